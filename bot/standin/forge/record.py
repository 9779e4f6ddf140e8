"""What was asked and what was answered, without any credential."""

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bot.standin.forge.state import Token

_HIDDEN_HEADERS = {"authorization", "cookie"}
_TOKEN_VALUE = re.compile(rb'"token": ?"[^"]+"')


@dataclass(slots=True, eq=False)
class Exchange:
    """One request; `status` stays None while it is handled and when no answer was given."""

    number: int
    kind: str
    at: float
    method: str
    path: str
    query: str
    request_headers: dict[str, str]
    request_body: bytes
    caller: str = "nobody"
    token_id: int | None = None
    permissions: dict[str, str] = field(default_factory=dict)
    status: int | None = None
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: bytes = b""
    fault: str | None = None

    def called_with(self, token: Token) -> None:
        """Note which token made the call, and what it may do; never its value."""
        self.caller, self.token_id = "installation", token.id
        self.permissions = dict(token.permissions)

    def answered(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        """Note the answer; a new token's value is not kept."""
        self.status = status
        self.response_headers = dict(headers)
        self.response_body = _TOKEN_VALUE.sub(b'"token":"ghs_hidden"', body)

    def to_json(self) -> dict[str, Any]:
        """For the control interface; bodies as text."""
        shape = asdict(self)
        for key in ("request_body", "response_body"):
            shape[key] = shape[key].decode(errors="replace")
        return shape


def shown_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Headers without the ones that hold credentials."""
    return {name: value for name, value in headers.items() if name.lower() not in _HIDDEN_HEADERS}

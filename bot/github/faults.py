"""GitHub's refusals as our errors, told apart by status and headers and never by a library's classes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, TypeGuard

from bot.domain.ports import Rate
from bot.errors import (
    Forbidden,
    Invalid,
    IssuewrightError,
    NotFound,
    OutcomeUnknown,
    Permanent,
    RateLimited,
    RetryLater,
    Unauthorized,
)
from bot.limits import RATE_LIMIT_MAX_WAIT_SECONDS

MAX_MESSAGE_CHARS: Final = 300
# Numbers in headers: seconds since 1970 have 10 digits.
MAX_DIGITS: Final = 11

GONE: Final = frozenset({404, 410, 451})
MOVED: Final = frozenset({300, 301, 302, 303, 307, 308})
# Answers that say nothing about the request itself.
TRANSIENT: Final = frozenset({408, 425})


class Conflict(Invalid):
    """409: the state of the repository refuses it (empty repository, moved reference)."""


class Moved(NotFound):
    """A redirect that we do not follow: away from GitHub's API, too long, or of a write."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: `headers` with lower-case names, `body` whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True, slots=True)
class Call:
    """One request as its errors name it: method and path, without host, query and credential."""

    method: str
    path: str

    def __str__(self) -> str:
        """Method and path."""
        return f"{self.method} {self.path}"

    @property
    def is_write(self) -> bool:
        """Whether GitHub's state may have changed by it."""
        return self.method not in {"GET", "HEAD"}

    def unanswered(self, why: str, after_seconds: float | None = None) -> RetryLater:
        """The error for a call whose outcome we were not told: a write may have landed."""
        if self.is_write:
            return OutcomeUnknown(f"{why}: {self}", after_seconds=after_seconds)
        return RetryLater(f"{why}: {self}", after_seconds=after_seconds)


def rate_of(answer: Answer) -> Rate | None:
    """What the answer says of the hourly limit; None where it says nothing that can be read."""
    said = (answer.headers.get(f"x-ratelimit-{name}", "") for name in ("limit", "remaining", "reset"))
    limit, remaining, reset = (_number(text) for text in said)
    if limit is None or remaining is None or reset is None:
        return None
    return Rate(limit, remaining, datetime.fromtimestamp(reset, UTC))


def hidden_limit(call: Call, answer: Answer, now: datetime) -> RateLimited | None:
    """The limit in an answer that looks like a success, as GraphQL tells of it.

    https://docs.github.com/en/graphql/overview/rate-limits-and-query-limits-for-the-graphql-api
    """
    if b"RATE_LIMITED" not in answer.body:
        return None
    details = _object(answer.body).get("errors")
    kinds = [part.get("type") for part in details if isinstance(part, dict)] if _is_list(details) else []
    if "RATE_LIMITED" not in kinds:
        return None
    words = f"GitHub answered {answer.status} with a limit to {call}"
    return RateLimited(words, after_seconds=_wait_seconds(answer.headers, now))


def is_suspension(error: IssuewrightError) -> bool:
    """Whether a refusal says that the installation is suspended: GitHub has words alone for it."""
    return isinstance(error, Forbidden) and "installation has been suspended" in str(error).lower()


def fault(call: Call, answer: Answer, now: datetime) -> IssuewrightError:
    """The error that an answer outside 2xx means; *now* turns a reset time into a wait.

    A limit without `after_seconds` is one of which GitHub did not say how long it lasts.
    """
    status, said = answer.status, _message(answer.body)
    words = f"GitHub answered {status} to {call}" + (f": {said}" if said else "")
    if status == 429 or (status == 403 and _is_limit(answer.headers, said)):
        return RateLimited(words, after_seconds=_wait_seconds(answer.headers, now))
    if status == 403:
        needed = answer.headers.get("x-accepted-github-permissions", "")[:MAX_MESSAGE_CHARS]
        return Forbidden(f"{words} (it accepts the permissions {needed})" if needed else words)
    refusal = _refusal(status)
    if refusal is not None:
        return refusal(words)
    why = f"GitHub answered {status}" + (f" ({said})" if said else "")
    return call.unanswered(why, after_seconds=_seconds(answer.headers.get("retry-after")))


def _refusal(status: int) -> type[Permanent] | None:
    """The class of a refusal that is final, or None where the status says nothing about the request."""
    if status in GONE:
        return NotFound
    if status in MOVED:
        return Moved
    if 400 <= status < 500 and status not in TRANSIENT:
        return {401: Unauthorized, 409: Conflict}.get(status, Invalid)
    return None


def _is_limit(headers: Mapping[str, str], said: str) -> bool:
    """Whether a 403 is a limit; the words decide only when GitHub sent neither header."""
    if "retry-after" in headers or headers.get("x-ratelimit-remaining") == "0":
        return True
    return "rate limit" in said.lower() or "abuse detection" in said.lower()


def _wait_seconds(headers: Mapping[str, str], now: datetime) -> float | None:
    """`retry-after`, else the time until the reset when nothing remains, else None.

    https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
    """
    asked = _seconds(headers.get("retry-after"))
    if asked is not None:
        return asked
    reset = _number(headers.get("x-ratelimit-reset", ""))
    if headers.get("x-ratelimit-remaining") == "0" and reset is not None:
        return _bounded(reset - now.timestamp())
    return None


def _seconds(value: str | None) -> float | None:
    """A whole number of seconds within our bounds, or None for anything else."""
    number = _number(value or "")
    return None if number is None else _bounded(number)


def _number(text: str) -> int | None:
    """A whole number of at most `MAX_DIGITS` digits, or None for anything else."""
    return int(text) if text.isascii() and text.isdigit() and len(text) <= MAX_DIGITS else None


def _bounded(seconds: float) -> float:
    """At least a second, at most `RATE_LIMIT_MAX_WAIT_SECONDS`."""
    return min(max(seconds, 1.0), RATE_LIMIT_MAX_WAIT_SECONDS)


def _message(body: bytes) -> str:
    """GitHub's own words in one short line; empty when the body is not its JSON."""
    data = _object(body)
    details = data.get("errors")
    parts = [data.get("message"), *(details if _is_list(details) else [details])]
    words = (_words(part) for part in parts)
    return " ".join("; ".join(word for word in words if word).split())[:MAX_MESSAGE_CHARS]


def _object(body: bytes) -> dict[str, Any]:
    """The JSON object in *body*; an empty one where there is none."""
    try:
        data = json.loads(body)
    except (ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _is_list(value: object) -> TypeGuard[list[Any]]:
    """Whether *value* is a list, whatever it holds."""
    return isinstance(value, list)


def _words(part: object) -> str:
    """One entry of an error answer as text: a sentence, or an object with message, field and code."""
    if isinstance(part, str):
        return part
    if isinstance(part, dict):
        return " ".join(str(part[key]) for key in ("field", "code", "message") if part.get(key))
    return ""

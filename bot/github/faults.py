"""GitHub's refusals as our errors, told apart by status and headers and never by a library's classes."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

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

# https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api
DEFAULT_WAIT_SECONDS: Final = 60.0
# A primary limit is reset within the hour; anything longer is a clock that is wrong.
MAX_WAIT_SECONDS: Final = 3_900.0
MAX_MESSAGE_CHARS: Final = 300

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


def fault(call: Call, answer: Answer, now: datetime) -> IssuewrightError:
    """The error that an answer outside 2xx means; *now* turns a reset time into a wait."""
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


def _wait_seconds(headers: Mapping[str, str], now: datetime) -> float:
    """`retry-after`, else the time until the reset when nothing remains, else a minute."""
    asked = _seconds(headers.get("retry-after"))
    if asked is not None:
        return asked
    reset = headers.get("x-ratelimit-reset", "")
    if headers.get("x-ratelimit-remaining") == "0" and reset.isascii() and reset.isdigit():
        return _bounded(float(reset) - now.timestamp())
    return DEFAULT_WAIT_SECONDS


def _seconds(value: str | None) -> float | None:
    """A whole number of seconds within our bounds, or None for anything else."""
    if value is None or not (value.isascii() and value.isdigit()):
        return None
    return _bounded(float(value))


def _bounded(seconds: float) -> float:
    """At least a second, at most `MAX_WAIT_SECONDS`."""
    return min(max(seconds, 1.0), MAX_WAIT_SECONDS)


def _message(body: bytes) -> str:
    """GitHub's own words in one short line; empty when the body is not its JSON."""
    try:
        data = json.loads(body)
    except ValueError:
        return ""
    if not isinstance(data, dict):
        return ""
    details = data.get("errors")
    parts = [data.get("message"), *(details if isinstance(details, list) else [details])]
    words = (_words(part) for part in parts)
    return " ".join("; ".join(word for word in words if word).split())[:MAX_MESSAGE_CHARS]


def _words(part: object) -> str:
    """One entry of an error answer as text: a sentence, or an object with message, field and code."""
    if isinstance(part, str):
        return part
    if isinstance(part, dict):
        return " ".join(str(part[key]) for key in ("field", "code", "message") if part.get(key))
    return ""

"""What went wrong with a model call, as errors of our own: by status and headers, without the SDK.

Statuses and types: https://platform.claude.com/docs/en/api/errors
"""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from bot.domain.enums import Cause
from bot.errors import AccountRefused, IssuewrightError, OutcomeUnknown, Permanent, RateLimited, RetryLater

MAX_AFTER_SECONDS = 300.0
MAX_DETAIL_CHARS = 200
_STATUSES = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "api_error": 500,
    "timeout_error": 504,
    "overloaded_error": 529,
}
_LIMITS = frozenset({429, 529})
_CUT = frozenset({408, 504})
_REFUSED_KEY = frozenset({401, 403})
_SPEND_CODES = re.compile(r"spend_limit|billing")
_SPEND_WORDS = re.compile(r"credit balance|spend(ing)? limit|usage limits|billing", re.IGNORECASE)
_KEY_SHAPE = re.compile(r"sk-ant-[\w-]+")
_REMEDIES = {
    400: "the request was refused: this is a defect of ours or a setting the model does not know",
    401: "the key was refused: check ANTHROPIC_API_KEY",
    403: "the key may not do this: check the key's workspace and permissions",
    404: (
        "the model or the address is not known there: check AGENT_DEFAULT_MODEL (haiku, sonnet, opus, or a "
        "name that this server has) and ANTHROPIC_BASE_URL"
    ),
    413: "the conversation is too large to send: split the request into smaller issues",
    422: "the request was not understood: check that ANTHROPIC_BASE_URL speaks the Messages API",
}
_OTHER_REMEDY = "check that ANTHROPIC_BASE_URL speaks the Messages API"
_SPEND_REMEDY = (
    "The model account has reached its spend limit or has no credit: raise the limit at "
    "https://platform.claude.com/settings/billing, then retry"
)


@dataclass(frozen=True, slots=True)
class Failure:
    """An answer with an error status: what the server said, in the parts that matter."""

    status: int
    type: str = ""
    code: str = ""
    message: str = ""
    retry_after: str | None = None

    @classmethod
    def read_event(cls, body: object) -> "Failure":
        """An error that came within a stream: its type stands for the status that it would have had."""
        failure = cls.read(500, {}, body)
        return replace(failure, status=_STATUSES.get(failure.type, 500))

    @classmethod
    def read(cls, status: int, headers: Mapping[str, str], body: object) -> "Failure":
        """Take the documented fields out of a *body* of any shape."""
        error = body.get("error") if isinstance(body, dict) else None
        fields = error if isinstance(error, dict) else {}
        details = fields.get("details")
        code = details.get("error_code") if isinstance(details, dict) else None
        return cls(
            status=status,
            type=str(fields.get("type") or ""),
            code=str(code or ""),
            message=str(fields.get("message") or ""),
            retry_after=_wait(headers),
        )


def from_status(failure: Failure, *, api_key: str) -> IssuewrightError:
    """The error for an answer with an error status; its words never hold *api_key*."""
    if _is_spend(failure):
        return AccountRefused(_SPEND_REMEDY, cause=Cause.MODEL_ERROR)
    after_seconds = _after_seconds(failure.retry_after)
    words = f"The model server answered {failure.status} {failure.type}".strip()
    if failure.status in _LIMITS:
        return RateLimited(words, after_seconds=after_seconds, cause=Cause.MODEL_ERROR, is_away=True)
    if failure.status in _CUT:
        return OutcomeUnknown(words, after_seconds=after_seconds, cause=Cause.MODEL_ERROR, is_away=True)
    if failure.status >= 500 or failure.status == 409:
        return RetryLater(words, after_seconds=after_seconds, cause=Cause.MODEL_ERROR, is_away=True)
    remedy = _REMEDIES.get(failure.status, _OTHER_REMEDY)
    kind = AccountRefused if failure.status in _REFUSED_KEY else Permanent
    return kind(f"{words}; {remedy}{_detail(failure, api_key)}", cause=Cause.MODEL_ERROR)


def from_event(failure: Failure, *, api_key: str, is_started: bool) -> IssuewrightError:
    """The error for an error event; after the answer had begun, what was written may have been charged."""
    error = from_status(failure, api_key=api_key)
    if not is_started or isinstance(error, AccountRefused):
        return error
    words = f"The model's answer broke off: {failure.type or 'error'}"
    return OutcomeUnknown(words, cause=Cause.MODEL_ERROR, is_away=isinstance(error, RetryLater))


def away(reason: str) -> RetryLater:
    """Nothing was sent, so nothing was charged."""
    return RetryLater(f"The model server cannot be reached: {reason}", cause=Cause.MODEL_ERROR, is_away=True)


def cut(reason: str) -> OutcomeUnknown:
    """Something was sent and no whole answer came back: it may have been charged."""
    return OutcomeUnknown(f"The model's answer did not arrive: {reason}", cause=Cause.MODEL_ERROR)


def unsendable(reason: str) -> Permanent:
    """The request cannot be written down as JSON; trying again cannot help."""
    return Permanent(f"The request to the model could not be built: {reason}", cause=Cause.MODEL_ERROR)


def no_credentials(reason: str) -> AccountRefused:
    """The machine's own credentials for the provider are missing or have run out; nothing was sent."""
    remedy = "check those of this machine, or set ANTHROPIC_API_KEY"
    words = f"The model provider's credentials could not be had ({reason}): {remedy}"
    return AccountRefused(words, cause=Cause.MODEL_ERROR)


def _is_spend(failure: Failure) -> bool:
    """Whether money, not speed, is the limit: waiting does not help then."""
    if failure.status == 402 or _SPEND_CODES.search(f"{failure.code} {failure.type}"):
        return True
    return failure.status in {400, 403, 429} and bool(_SPEND_WORDS.search(failure.message))


def _wait(headers: Mapping[str, str]) -> str | None:
    """How long to wait as the headers say it, in seconds: in milliseconds, in seconds, or until a date."""
    milliseconds, wait = headers.get("retry-after-ms"), headers.get("retry-after")
    if milliseconds is not None:
        try:
            return str(float(milliseconds) / 1_000)
        except ValueError:
            return wait
    then, now = _date(wait), _date(headers.get("date"))
    return wait if then is None or now is None else str((then - now).total_seconds())


def _date(value: str | None) -> datetime | None:
    """An HTTP date; None when it is none. Both are the server's own, so that no clock of ours matters."""
    try:
        return parsedate_to_datetime(value or "").astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _after_seconds(value: str | None) -> float | None:
    """The wait in seconds, at most 300; None when it is missing or none."""
    try:
        seconds = float(value or "")
    except ValueError:
        return None
    return None if math.isnan(seconds) else min(max(seconds, 0.0), MAX_AFTER_SECONDS)


def _detail(failure: Failure, api_key: str) -> str:
    """The server's own words, short, on one line, without a key; none for a refused key."""
    if failure.status in _REFUSED_KEY or not failure.message:
        return ""
    message = failure.message.replace(api_key, "[key]") if api_key else failure.message
    text = " ".join(message.split())
    return f" ({_KEY_SHAPE.sub('[key]', text)[:MAX_DETAIL_CHARS]})"

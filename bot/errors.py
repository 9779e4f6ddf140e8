"""One tree of errors, split by what the receiver can do.

IssuewrightError
├── ConfigError            a start cannot go on; every problem with key, form and remedy (exit 2)
├── DatabaseAway           the database does not answer, and may later
├── UserError              shown in the thread or the terminal; says what to do
├── RetryLater             the same thing may succeed after `after_seconds`
│   ├── RateLimited        GitHub or the model asked us to wait
│   ├── StillEnding        what has to end first has not: whoever asks waits in its place
│   └── OutcomeUnknown     a write may or may not have landed: look before repeating
├── Permanent              trying again cannot help; `cause` ends the job
│   ├── NotFound           404, 410, 451: the thing is not there, or not for us
│   ├── Forbidden          403: not allowed (also: locked thread, missing permission)
│   │   └── Uninstalled    the App itself is no longer there: nothing can be asked any more
│   ├── AccountRefused     the model's key or account: no job can go on before the operator acts
│   ├── Unauthorized       401: the credential is not valid
│   └── Invalid            400, 409, 422: the request itself was refused
└── LeaseLost              another worker owns the job now; write nothing more
"""

from dataclasses import dataclass

from bot.domain.enums import Cause


class IssuewrightError(Exception):
    """The root of every error that this product raises on purpose."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in the configuration: the key, what is wrong with it, and the remedy."""

    key: str
    wrong: str
    remedy: str


class ConfigError(IssuewrightError):
    """The configuration cannot be used; carries all problems of the start at once."""

    def __init__(self, *problems: Problem) -> None:
        """Keep *problems* for the report."""
        super().__init__("; ".join(f"{p.key}: {p.wrong} ({p.remedy})" for p in problems))
        self.problems = problems


class DatabaseAway(IssuewrightError):
    """The database does not answer, and may later; the words are its own or the system's."""


class UserError(IssuewrightError):
    """A message for the person who asked; safe to show, says what to do."""


class RetryLater(IssuewrightError):
    """The same thing may succeed later, not before *after_seconds* (None: our own backoff)."""

    def __init__(
        self,
        message: str,
        *,
        after_seconds: float | None = None,
        cause: Cause = Cause.GITHUB_ERROR,
        is_away: bool | None = None,
    ) -> None:
        """Keep the wait and the *cause* that ends the job when trying again has not helped.

        *is_away*: what the job needs does not serve it now, through no fault of the job (GitHub: always),
        so that waiting for it costs no attempt.
        """
        super().__init__(message)
        self.after_seconds = after_seconds
        self.cause = cause
        self.is_away = cause is Cause.GITHUB_ERROR if is_away is None else is_away


class RateLimited(RetryLater):
    """A limit was reached; `after_seconds` says when to come back."""


class StillEnding(RetryLater):
    """Something before it has to end first, and will: asked again soon, in its place, and it costs no try."""


class OutcomeUnknown(RetryLater):
    """A write was sent and no answer came: it may have landed."""


class Permanent(IssuewrightError):
    """Trying again cannot help; *cause* is the job's end, `public` its words for a thread anybody reads."""

    def __init__(self, message: str, *, cause: Cause = Cause.GITHUB_ERROR) -> None:
        """Keep the *cause* that ends the job; the message may be told in public, unless a kind says else."""
        super().__init__(message)
        self.cause = cause
        self.public = message


class NotFound(Permanent):
    """The thing is not there, or not visible to us (404, 410, 451)."""


class Forbidden(Permanent):
    """We are not allowed (403): a missing permission, a locked thread, an archived repository."""


class Uninstalled(Forbidden):
    """The App is not installed there any more; never the answer to a question for a thing."""


class AccountRefused(Permanent):
    """The model's key or account is refused: no job can go on before the operator has acted."""


class Unauthorized(Permanent):
    """The credential is not valid (401)."""


class Invalid(Permanent):
    """The request itself was refused (400, 409, 422)."""


class LeaseLost(IssuewrightError):
    """Another worker owns the job now: stop, and write nothing more."""

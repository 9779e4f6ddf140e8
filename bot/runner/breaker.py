"""What stops the jobs of a worker while the model refuses its key or account: a refusal costs jobs."""

from dataclasses import dataclass, field
from typing import Final

from bot import logs
from bot.domain.enums import Cause
from bot.domain.ports import Model
from bot.domain.values import ModelReply, ModelRequest
from bot.errors import RetryLater

log = logs.get(__name__)

MAX_PROBE_SECONDS: Final = 900.0


@dataclass(slots=True)
class Breaker:
    """Open from the first refusal until a call goes well; now and then one job may try.

    Times are seconds of the monotonic clock.
    """

    reason: str | None = field(default=None, init=False)
    _probe_at: float = field(default=0.0, init=False)
    _probe_seconds: float = field(default=0.0, init=False)

    def check(self, now: float) -> None:
        """Let a job pass where it may try.

        Raises:
            RetryLater: The model refuses us, and another job has tried of late.
        """
        if self.reason is None:
            return
        if now < self._probe_at:
            raise refusal(self.reason, self._probe_at - now)
        self._probe_seconds = min(self._probe_seconds * 2, MAX_PROBE_SECONDS)
        self._probe_at = now + self._probe_seconds

    def refused(self, reason: str, now: float, *, probe_seconds: float) -> bool:
        """Open, for *probe_seconds* at first; True for the first refusal alone.

        Of that one the operator is told, once, in the log; health shows the model's last word.
        """
        is_first = self.reason is None
        if is_first:
            self._probe_seconds = probe_seconds
            self._probe_at = now + probe_seconds
            log.error("model_refused", why=reason, effect="all jobs wait until a call goes well again")
        self.reason = reason
        return is_first

    def served(self) -> None:
        """A call went well: close."""
        if self.reason is not None:
            log.info("model_serves_again")
        self.reason = None


@dataclass(slots=True)
class Heard:
    """A model as one attempt at a job asks it; `has_answered` once a call went well."""

    model: Model
    has_answered: bool = field(default=False, init=False)

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        """Answer *request* once; raises what the model does."""
        reply = await self.model.complete(request, timeout_seconds=timeout_seconds)
        self.has_answered = True
        return reply


def refusal(reason: str, after_seconds: float | None = None) -> RetryLater:
    """What gives a job back that is no worse than the others: it waits like for a model that is away."""
    return RetryLater(reason, after_seconds=after_seconds, cause=Cause.MODEL_ERROR, is_away=True)

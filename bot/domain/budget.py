"""Budget arithmetic: whole micro-USD, checked against what the next call can cost at most."""

from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from bot.domain.enums import Cause
from bot.domain.money import micro_usd, usd, usd_text
from bot.domain.overspend import BudgetExceeded, BudgetKind, TokensExceeded
from bot.errors import RetryLater

__all__ = [
    "MINUTE",
    "Account",
    "BudgetExceeded",
    "BudgetKind",
    "Budgets",
    "Spent",
    "Sums",
    "TokensExceeded",
    "check",
    "check_call",
    "day_start",
    "micro_usd",
    "month_start",
    "resets_at",
    "usd",
    "usd_text",
]

MINUTE: Final = timedelta(seconds=60)
"""How far back the breaker looks."""


# Of several that are used up, the one that stays so for longest is told.
_LASTING: Final = tuple(kind for kind in BudgetKind if kind is not BudgetKind.MINUTE)


def check(spent_micro_usd: int, reserve_micro_usd: int, limit_micro_usd: int, *, limit: str) -> None:
    """Allow a call that can cost *reserve* when *spent* (open reservations included) is spent already.

    Raises:
        BudgetExceeded: both together are more than the limit; *limit* names it ("this job").
    """
    if spent_micro_usd + reserve_micro_usd > limit_micro_usd:
        raise BudgetExceeded(
            limit,
            spent_micro_usd=spent_micro_usd,
            reserve_micro_usd=reserve_micro_usd,
            limit_micro_usd=limit_micro_usd,
        )


@dataclass(frozen=True, slots=True)
class Account:
    """What one job has spent: settled calls, and reservations that are open or were never settled."""

    limit_micro_usd: int
    settled_micro_usd: int = 0
    reserved_micro_usd: int = 0

    @property
    def spent_micro_usd(self) -> int:
        """Settled and reserved together: what counts against the limit."""
        return self.settled_micro_usd + self.reserved_micro_usd

    def reserve(self, amount_micro_usd: int) -> "Account":
        """The account with a call of at most *amount* under way.

        Raises:
            BudgetExceeded: the limit does not cover it.
        """
        check(self.spent_micro_usd, amount_micro_usd, self.limit_micro_usd, limit="this job")
        return replace(self, reserved_micro_usd=self.reserved_micro_usd + amount_micro_usd)

    def settle(self, reserved_micro_usd: int, actual_micro_usd: int) -> "Account":
        """The account after a call that had *reserved* and cost *actual* (more is possible, and counts)."""
        return replace(
            self,
            settled_micro_usd=self.settled_micro_usd + actual_micro_usd,
            reserved_micro_usd=self.reserved_micro_usd - reserved_micro_usd,
        )


@dataclass(frozen=True, slots=True)
class Budgets:
    """Limits in whole micro-USD; 0: none. Days and months are those of UTC.

    `user_day`, `repository_day` and `organization_*` are counted within one organization; `minute` is
    counted over everything, and `job_tokens` caps a job whose model has no price.
    """

    job: int = 0
    user_day: int = 0
    repository_day: int = 0
    organization_day: int = 0
    organization_month: int = 0
    minute: int = 0
    job_tokens: int = 0

    def of(self, kind: BudgetKind) -> int:
        """The limit of one kind, in micro-USD; 0: none."""
        return int(getattr(self, kind.value))

    def for_agent(self, *, cost_micro_usd: int, tokens: int, has_price: bool) -> "Budgets":
        """The same for a job of an agent that has limits of its own: of two for the job the smaller.

        *tokens* counts only where the model has no price, for there money bounds nothing.
        """
        job = min(filter(None, (self.job, cost_micro_usd)), default=0)
        return replace(self, job=job, job_tokens=0 if has_price else tokens)


@dataclass(frozen=True, slots=True)
class Spent:
    """What one job has used: settled calls, and what open or interrupted ones can use at most."""

    micro_usd: int = 0
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Sums:
    """What is spent or reserved, in micro-USD, by everything that a call would count for.

    `oldest_in_minute` is the instant of the oldest call of the last 60 s.
    """

    job: Spent = Spent()
    user_day: int = 0
    repository_day: int = 0
    organization_day: int = 0
    organization_month: int = 0
    minute: int = 0
    oldest_in_minute: datetime | None = None

    def of(self, kind: BudgetKind) -> int:
        """The sum of one kind, in micro-USD."""
        return self.job.micro_usd if kind is BudgetKind.JOB else int(getattr(self, kind.value))


def check_call(sums: Sums, needed: Spent, limits: Budgets, *, now: datetime) -> None:
    """Let a call pass that can use *needed* at most; every limit is decided here.

    Raises:
        BudgetExceeded: A limit does not cover it; of several the one that lasts longest.
        RetryLater: Too much was spent within the last minute: the same call may pass later.
    """
    for kind in _LASTING:
        _check(kind, sums.of(kind), needed.micro_usd, limits, now)
    if limits.job_tokens and sums.job.tokens + needed.tokens > limits.job_tokens:
        raise TokensExceeded(
            spent_tokens=sums.job.tokens, reserve_tokens=needed.tokens, limit_tokens=limits.job_tokens
        )
    # What is above the limit by itself would wait for ever.
    _check(BudgetKind.MINUTE, 0, needed.micro_usd, limits, now)
    if limits.minute and sums.minute + needed.micro_usd > limits.minute:
        oldest = sums.oldest_in_minute or now
        raise RetryLater(
            "So much is spent just now that the operator's limit for a minute holds all jobs up",
            after_seconds=max((oldest + MINUTE - now).total_seconds(), 0.0),
            cause=Cause.BUDGET,
            is_away=True,
        )


def _check(kind: BudgetKind, spent: int, needed: int, limits: Budgets, now: datetime) -> None:
    """One limit; a call that can cost nothing passes wherever nothing is over the limit."""
    limit = limits.of(kind)
    if limit and spent + needed > limit:
        by_agent = " or `limits.cost_usd` of the agent" if kind is BudgetKind.JOB else ""
        raise BudgetExceeded(
            kind.words,
            spent_micro_usd=spent,
            reserve_micro_usd=needed,
            limit_micro_usd=limit,
            resets_at=resets_at(kind, now),
            remedy=f"{kind.setting}{by_agent}",
        )


def day_start(now: datetime) -> datetime:
    """The first instant of UTC's day."""
    return now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def month_start(now: datetime) -> datetime:
    """The first instant of UTC's month."""
    return day_start(now).replace(day=1)


def resets_at(kind: BudgetKind, now: datetime) -> datetime | None:
    """When a budget of this kind begins anew; None for a job and for the breaker."""
    if kind is BudgetKind.ORGANIZATION_MONTH:
        return month_start(month_start(now) + timedelta(days=31))
    if kind in {BudgetKind.JOB, BudgetKind.MINUTE}:
        return None
    return day_start(now) + timedelta(days=1)

"""What a call is refused with that a budget does not cover: which one, how much, until when, who can help."""

from datetime import datetime
from enum import StrEnum
from typing import Final

from bot.domain.enums import Cause
from bot.domain.money import usd_text
from bot.errors import Permanent


class BudgetKind(StrEnum):
    """What a limit is for: the field of `Budgets` that holds it."""

    ORGANIZATION_MONTH = "organization_month"
    ORGANIZATION_DAY = "organization_day"
    REPOSITORY_DAY = "repository_day"
    USER_DAY = "user_day"
    JOB = "job"
    MINUTE = "minute"

    @property
    def setting(self) -> str:
        """The environment variable by which the operator changes the limit."""
        return f"ISSUEWRIGHT_BUDGET_{self.name}_USD"

    @property
    def words(self) -> str:
        """What the limit is for, as people read it."""
        return _WORDS[self]


_WORDS: Final = {
    BudgetKind.ORGANIZATION_MONTH: "this organization's month",
    BudgetKind.ORGANIZATION_DAY: "this organization's day",
    BudgetKind.REPOSITORY_DAY: "this repository's day",
    BudgetKind.USER_DAY: "this person's day",
    BudgetKind.JOB: "this job",
    BudgetKind.MINUTE: "one minute of all jobs together",
}


class BudgetExceeded(Permanent):
    """The next call could break a limit, so it is not made; `limit` says which in words.

    The message names the amounts; `public` is the same without them, for a thread that anybody reads.
    """

    def __init__(
        self,
        limit: str,
        *,
        spent_micro_usd: int,
        reserve_micro_usd: int,
        limit_micro_usd: int,
        resets_at: datetime | None = None,
        remedy: str = "",
    ) -> None:
        """Keep the numbers for the report; *resets_at* is when the budget begins anew, if it does."""
        ending = _ending(resets_at, remedy)
        super().__init__(
            f"The budget of {usd_text(limit_micro_usd)} for {limit} does not cover the next model call: "
            f"{usd_text(spent_micro_usd)} spent or reserved, up to {usd_text(reserve_micro_usd)} needed."
            f"{ending}",
            cause=Cause.BUDGET,
        )
        self.limit = limit
        self.spent_micro_usd = spent_micro_usd
        self.reserve_micro_usd = reserve_micro_usd
        self.limit_micro_usd = limit_micro_usd
        self.resets_at = resets_at
        self.public = f"The budget for {limit} does not cover the next model call.{ending}"


class TokensExceeded(BudgetExceeded):
    """The cap on tokens that a job has whose model has no known price; no money is involved."""

    def __init__(self, *, spent_tokens: int, reserve_tokens: int, limit_tokens: int) -> None:
        """Keep the numbers in the message."""
        super().__init__("this job", spent_micro_usd=0, reserve_micro_usd=0, limit_micro_usd=0)
        self.public = (
            f"The limit of {limit_tokens:,} tokens for this job does not cover the next model call: "
            f"{spent_tokens:,} used or reserved, up to {reserve_tokens:,} needed (the model has no price). "
            f"{_RAISED_BY} `limits.tokens` of the agent, or the model's price in AGENT_MODELS_FILE."
        )
        self.args = (self.public,)


_RAISED_BY: Final = "Whoever runs Issuewright can raise it:"


def _ending(resets_at: datetime | None, remedy: str) -> str:
    """When the budget begins anew, and what raises it."""
    anew = f" It begins anew on {resets_at:%Y-%m-%d at %H:%M} UTC." if resets_at else ""
    return anew + (f" {_RAISED_BY} {remedy}." if remedy else "")

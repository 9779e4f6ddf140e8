"""Budget arithmetic: whole micro-USD, checked against what the next call can cost at most."""

from dataclasses import dataclass, replace
from decimal import ROUND_FLOOR, Decimal

from bot.errors import IssuewrightError

MICRO_USD_PER_USD = 1_000_000


class BudgetExceeded(IssuewrightError):
    """The next call could break a limit, so it is not made; `limit` says which in words."""

    def __init__(
        self, limit: str, *, spent_micro_usd: int, reserve_micro_usd: int, limit_micro_usd: int
    ) -> None:
        """Keep the numbers for the report."""
        super().__init__(
            f"The budget of {usd_text(limit_micro_usd)} for {limit} does not cover the next model call: "
            f"{usd_text(spent_micro_usd)} spent or reserved, up to {usd_text(reserve_micro_usd)} needed."
        )
        self.limit = limit
        self.spent_micro_usd = spent_micro_usd
        self.reserve_micro_usd = reserve_micro_usd
        self.limit_micro_usd = limit_micro_usd


def micro_usd(usd: float) -> int:
    """Dollars as whole micro-USD, rounded down: a limit is never read as more than was written.

    Raises:
        ValueError: *usd* is negative or not a finite number.
    """
    amount = Decimal(str(usd))
    if not amount.is_finite() or amount < 0:
        raise ValueError(f"{usd} is no amount of money")
    return int((amount * MICRO_USD_PER_USD).to_integral_value(ROUND_FLOOR))


def usd(amount_micro_usd: int) -> float:
    """Micro-USD as dollars, for people and for fields that the data model calls `cost_usd`."""
    return amount_micro_usd / MICRO_USD_PER_USD


def usd_text(amount_micro_usd: int) -> str:
    """Micro-USD as people read it: `$3.00`; below ten cents with four places."""
    places = 4 if 0 < amount_micro_usd < 100_000 else 2
    return f"${usd(amount_micro_usd):.{places}f}"


def remaining(spent_micro_usd: int, limit_micro_usd: int) -> int:
    """What is left under the limit, never below 0."""
    return max(limit_micro_usd - spent_micro_usd, 0)


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

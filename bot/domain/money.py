"""Amounts of money: whole micro-USD inside, dollars for people."""

from decimal import ROUND_FLOOR, Decimal

MICRO_USD_PER_USD = 1_000_000


def micro_usd(usd: float | str) -> int:
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

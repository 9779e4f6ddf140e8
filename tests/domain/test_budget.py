"""Budget arithmetic: the next call's worst cost decides, and money never gets lost."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import budget
from bot.domain.budget import Account, BudgetExceeded

AMOUNTS = st.integers(0, 10**12)


def test_dollars_become_whole_micro_usd_rounded_down() -> None:
    assert [budget.micro_usd(amount) for amount in (3.0, 0.1, 0.0000019, 0)] == [3_000_000, 100_000, 1, 0]


@pytest.mark.parametrize("amount", [-0.01, float("nan"), float("inf")])
def test_what_is_no_amount_of_money_is_refused(amount: float) -> None:
    with pytest.raises(ValueError, match="no amount of money"):
        budget.micro_usd(amount)


@pytest.mark.parametrize(
    ("micro_usd", "text"), [(3_000_000, "$3.00"), (12_345, "$0.0123"), (0, "$0.00"), (100_000, "$0.10")]
)
def test_money_is_shown_as_people_read_it(micro_usd: int, text: str) -> None:
    assert budget.usd_text(micro_usd) == text


def test_what_is_left_is_never_below_zero() -> None:
    assert (budget.remaining(2, 5), budget.remaining(9, 5)) == (3, 0)


def test_a_call_that_just_fits_is_allowed() -> None:
    budget.check(2, 3, 5, limit="this job")


def test_a_call_that_might_not_fit_is_refused_with_the_numbers() -> None:
    with pytest.raises(
        BudgetExceeded, match=r"The budget of \$3\.00 for this job .*\$2\.90 .*\$0\.20"
    ) as caught:
        budget.check(2_900_000, 200_000, 3_000_000, limit="this job")
    assert (caught.value.limit, caught.value.spent_micro_usd) == ("this job", 2_900_000)
    assert (caught.value.reserve_micro_usd, caught.value.limit_micro_usd) == (200_000, 3_000_000)


def test_a_settled_call_counts_as_what_it_cost() -> None:
    account = Account(10).reserve(6).settle(6, 2)
    assert (account.spent_micro_usd, account.reserved_micro_usd) == (2, 0)
    assert account.reserve(8).spent_micro_usd == 10


def test_a_call_that_was_cut_counts_in_full() -> None:
    with pytest.raises(BudgetExceeded):
        Account(10).reserve(6).reserve(5)


@given(AMOUNTS, st.lists(st.tuples(AMOUNTS, st.floats(0, 1), st.booleans())))
def test_no_history_of_calls_spends_more_than_the_limit(
    limit: int, calls: list[tuple[int, float, bool]]
) -> None:
    account = Account(limit)
    for worst, share, is_cut in calls:
        try:
            reserved = account.reserve(worst)
        except BudgetExceeded:
            continue
        account = reserved if is_cut else reserved.settle(worst, int(worst * share))
        assert account.spent_micro_usd <= limit

"""Budget arithmetic: the next call's worst cost decides, and money never gets lost."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import budget
from bot.domain.budget import Account, BudgetExceeded, BudgetKind, Budgets, Spent, Sums, TokensExceeded
from bot.domain.enums import Cause
from bot.errors import RetryLater

AMOUNTS = st.integers(0, 10**12)
NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
DOLLAR = 1_000_000
ABOVE = [kind for kind in BudgetKind if kind not in {BudgetKind.JOB, BudgetKind.MINUTE}]


def check(sums: Sums, micro_usd: int, limits: Budgets, tokens: int = 0) -> None:
    """Whether a call passes at noon."""
    budget.check_call(sums, Spent(micro_usd, tokens), limits, now=NOW)


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


@pytest.mark.parametrize("kind", ABOVE)
def test_each_limit_holds_to_the_last_micro_dollar(kind: BudgetKind) -> None:
    limits = Budgets(**{kind.value: 10})
    sums: dict[str, Any] = {kind.value: 6}
    spent = Sums(**sums)
    check(spent, 4, limits)
    with pytest.raises(BudgetExceeded, match=kind.setting) as caught:
        check(spent, 5, limits)
    assert (caught.value.cause, caught.value.limit) == (Cause.BUDGET, kind.words)


def test_a_limit_of_zero_is_none() -> None:
    much = 10**15
    check(Sums(Spent(much, much), much, much, much, much, much), much, Budgets(), much)


def test_a_refusal_says_which_how_much_until_when_and_who_can_raise_it() -> None:
    with pytest.raises(BudgetExceeded) as caught:
        check(Sums(user_day=9_800_000), 400_000, Budgets(user_day=10 * DOLLAR))
    assert str(caught.value) == (
        "The budget of $10.00 for this person's day does not cover the next model call: $9.80 spent or "
        "reserved, up to $0.40 needed. It begins anew on 2026-11-23 at 00:00 UTC. Whoever runs Issuewright "
        "can raise it: ISSUEWRIGHT_BUDGET_USER_DAY_USD."
    )
    assert "$" not in caught.value.public
    assert "2026-11-23 at 00:00 UTC" in caught.value.public


def test_of_several_the_one_that_lasts_longest_is_told() -> None:
    sums = Sums(Spent(9), 9, 9, 9, 9, 9)
    order = (*ABOVE, BudgetKind.JOB)
    limits = {kind.value: 9 for kind in BudgetKind}
    for kind in order:
        with pytest.raises(BudgetExceeded) as caught:
            check(sums, 1, Budgets(**limits))
        assert caught.value.limit == kind.words
        limits[kind.value] = 0
    with pytest.raises(RetryLater):
        check(sums, 1, Budgets(**limits))


def test_the_cap_on_tokens_names_what_lifts_it() -> None:
    limits = Budgets(job_tokens=2_000)
    check(Sums(Spent(0, 1_500)), 0, limits, 500)
    with pytest.raises(TokensExceeded, match=r"2,000 tokens .* 1,500 used .* 501 needed .*AGENT_MODELS_FILE"):
        check(Sums(Spent(0, 1_500)), 0, limits, 501)


@pytest.mark.parametrize(("oldest", "seconds"), [(-45, 15.0), (-60, 0.0), (5, 65.0)])
def test_the_breaker_says_when_the_oldest_call_falls_out(oldest: int, seconds: float) -> None:
    sums = Sums(minute=8, oldest_in_minute=NOW + timedelta(seconds=oldest))
    check(sums, 2, Budgets(minute=10))
    with pytest.raises(RetryLater, match="limit for a minute") as caught:
        check(sums, 3, Budgets(minute=10))
    assert (caught.value.after_seconds, caught.value.is_away, caught.value.cause) == (
        seconds,
        True,
        Cause.BUDGET,
    )


def test_a_call_above_the_breaker_by_itself_does_not_wait() -> None:
    with pytest.raises(BudgetExceeded, match="ISSUEWRIGHT_BUDGET_MINUTE_USD"):
        check(Sums(), 11, Budgets(minute=10))


def test_of_two_limits_for_a_job_the_smaller_counts_and_tokens_only_without_a_price() -> None:
    both = Budgets(job=3).for_agent(cost_micro_usd=2, tokens=9, has_price=True)
    assert (both.job, both.job_tokens) == (2, 0)
    assert Budgets(job=3).for_agent(cost_micro_usd=4, tokens=9, has_price=False) == Budgets(
        job=3, job_tokens=9
    )
    assert Budgets().for_agent(cost_micro_usd=4, tokens=9, has_price=True).job == 4
    assert Budgets(job=3).for_agent(cost_micro_usd=0, tokens=9, has_price=True).job == 3


@pytest.mark.parametrize(
    ("now", "day", "month"),
    [
        ("2026-11-30T23:59:59.999+00:00", "2026-12-01", "2026-12-01"),
        ("2026-12-31T12:00:00+00:00", "2027-01-01", "2027-01-01"),
        ("2028-02-01T00:00:00+00:00", "2028-02-02", "2028-03-01"),
        ("2026-12-01T00:30:00+02:00", "2026-12-01", "2026-12-01"),
    ],
)
def test_days_and_months_are_those_of_utc(now: str, day: str, month: str) -> None:
    instant = datetime.fromisoformat(now)
    found = [budget.resets_at(kind, instant) for kind in (BudgetKind.USER_DAY, BudgetKind.ORGANIZATION_MONTH)]
    assert found == [datetime.fromisoformat(f"{each}T00:00:00+00:00") for each in (day, month)]
    assert budget.resets_at(BudgetKind.JOB, instant) is None


@given(st.builds(Sums, st.builds(Spent, AMOUNTS), *[AMOUNTS] * 5), AMOUNTS, st.data())
def test_what_passes_breaks_no_limit_and_what_does_not_pass_would_break_one(
    sums: Sums, needed: int, data: st.DataObject
) -> None:
    limits = Budgets(**{kind.value: data.draw(AMOUNTS, kind.value) for kind in BudgetKind})
    would_break = [k for k in BudgetKind if limits.of(k) and sums.of(k) + needed > limits.of(k)]
    try:
        check(sums, needed, limits)
    except (BudgetExceeded, RetryLater):
        has_passed = False
    else:
        has_passed = True
    assert has_passed is not bool(would_break)

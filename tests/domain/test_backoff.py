"""How long to wait before the next try."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.backoff import backoff_seconds


def test_each_time_is_twice_as_long() -> None:
    assert [backoff_seconds(5.0, times, 300.0) for times in range(4)] == [5.0, 10.0, 20.0, 40.0]


@pytest.mark.parametrize("times", [63, 64, 65, 1_023, 1_024, 10**9])
def test_no_count_is_too_much(times: int) -> None:
    assert backoff_seconds(5.0, times, 300.0) == 300.0


@given(st.floats(0.001, 1e6), st.integers(0, 10**6), st.floats(0.001, 1e6))
def test_it_never_exceeds_its_bound_and_never_falls(first: float, times: int, most: float) -> None:
    waited = backoff_seconds(first, times, most)
    assert min(first, most) <= waited <= most
    assert backoff_seconds(first, times + 1, most) >= waited

"""The breaker of one worker: a refused account stops all jobs, is told once, and sometimes one job tries."""

import pytest
import structlog

from bot.domain.enums import Cause
from bot.errors import RetryLater
from bot.runner.breaker import MAX_PROBE_SECONDS, Breaker

WORDS = "the account has no credit"


def test_until_something_is_refused_every_job_passes() -> None:
    breaker = Breaker()
    breaker.check(0.0)
    breaker.check(0.0)
    assert breaker.reason is None


def test_of_five_refusals_the_first_alone_is_told_and_ends_its_job() -> None:
    breaker = Breaker()
    with structlog.testing.capture_logs() as told:
        firsts = [breaker.refused(WORDS, float(second), probe_seconds=60.0) for second in range(5)]
    assert firsts == [True, False, False, False, False]
    assert [line["event"] for line in told] == ["model_refused"]
    assert WORDS in told[0]["why"]


def test_a_job_that_comes_meanwhile_waits_at_no_cost_until_one_may_try() -> None:
    breaker = Breaker()
    breaker.refused(WORDS, 100.0, probe_seconds=60.0)
    with pytest.raises(RetryLater, match=WORDS) as caught:
        breaker.check(130.0)
    error = caught.value
    assert (error.after_seconds, error.is_away, error.cause) == (30.0, True, Cause.MODEL_ERROR)


def test_one_job_tries_and_each_next_one_after_twice_the_time_up_to_a_quarter_of_an_hour() -> None:
    breaker = Breaker()
    breaker.refused(WORDS, 0.0, probe_seconds=60.0)
    now, waits = 60.0, []
    for _ in range(6):
        breaker.check(now)
        with pytest.raises(RetryLater) as caught:
            breaker.check(now)
        waits.append(caught.value.after_seconds or 0.0)
        now += waits[-1]
    assert waits == [120.0, 240.0, 480.0, MAX_PROBE_SECONDS, MAX_PROBE_SECONDS, MAX_PROBE_SECONDS]


def test_a_call_that_goes_well_closes_it_and_the_next_refusal_is_told_anew() -> None:
    breaker = Breaker()
    breaker.refused(WORDS, 0.0, probe_seconds=60.0)
    with structlog.testing.capture_logs() as told:
        breaker.served()
        breaker.served()
    breaker.check(1.0)
    assert [line["event"] for line in told] == ["model_serves_again"]
    assert breaker.refused(WORDS, 2.0, probe_seconds=60.0)

"""A model that is away makes a job late, not lost; one that refuses the account stops the others."""

import errno

import pytest
from sqlalchemy import select

from bot.db.tables import job_runs
from bot.domain.enums import Cause, JobStatus
from bot.errors import AccountRefused, OutcomeUnknown, RateLimited, RetryLater
from bot.llm import failures
from bot.runner.breaker import MAX_PROBE_SECONDS, Breaker
from tests.runner.conftest import PROPOSE, Stack, World, attempt

DAY_SECONDS = 24 * 3600
BUSY = failures.from_status(failures.Failure(529, "overloaded_error"), api_key="k")
REFUSED = failures.from_status(failures.Failure(401, "authentication_error"), api_key="k")


@pytest.mark.parametrize(("status", "kind"), [(429, RateLimited), (529, RateLimited), (504, OutcomeUnknown)])
@pytest.mark.parametrize("retry_after", [None, "7"])
def test_a_model_that_does_not_serve_now_is_away(
    status: int, kind: type[RetryLater], retry_after: str | None
) -> None:
    error = failures.from_status(failures.Failure(status, retry_after=retry_after), api_key="k")
    assert isinstance(error, kind)
    assert error.is_away


def test_a_server_that_breaks_or_is_not_there_is_away_and_a_cut_answer_is_not() -> None:
    broken = failures.from_status(failures.Failure(500), api_key="k")
    assert isinstance(broken, RetryLater) and broken.is_away
    assert failures.away("ConnectError").is_away
    assert not failures.cut("it is no JSON").is_away


@pytest.mark.parametrize(
    "failure",
    [
        failures.Failure(401, "authentication_error"),
        failures.Failure(402),
        failures.Failure(403, "permission_error"),
        failures.Failure(429, message="You have reached your specified API usage limits"),
        failures.Failure(400, message="Your credit balance is too low"),
    ],
)
def test_a_key_without_credit_or_right_is_the_accounts_trouble(failure: failures.Failure) -> None:
    assert isinstance(failures.from_status(failure, api_key="k"), AccountRefused)


def edits_of(world: World) -> int:
    """How often a comment of ours was edited."""
    return sum(one.method == "PATCH" and "/issues/comments/" in one.path for one in world.forge.requests)


async def test_a_model_that_is_away_costs_no_attempt_and_the_waits_grow(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = [BUSY]
    for seconds in (10.0, 20.0, 40.0, 80.0, 160.0):
        facts = await attempt(world, stack, job_id)
        assert (facts.status, facts.attempts, facts.waits_seconds) == (JobStatus.PENDING, 0, seconds)
        world.clock.advance(seconds)
    world.model.turns[:] = PROPOSE
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause, facts.attempts) == (JobStatus.COMPLETED, Cause.PULL_REQUEST, 1)


async def test_the_living_comment_says_once_that_it_waits_and_becomes_the_result(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = [BUSY]
    facts = await attempt(world, stack, job_id)
    (waiting,) = world.said(job_id)
    assert "The model does not answer just now" in waiting
    edits = edits_of(world)
    world.clock.advance(facts.waits_seconds or 0)
    facts = await attempt(world, stack, job_id)
    assert edits_of(world) == edits == 1
    world.clock.advance(facts.waits_seconds or 0)
    world.model.turns[:] = PROPOSE
    await attempt(world, stack, job_id)
    (result,) = world.said(job_id)
    assert "Draft pull request" in result
    assert "does not answer" not in result


async def test_no_job_waits_for_the_model_longer_than_a_day(world: World, stack: Stack, job_id: str) -> None:
    world.model.turns[:] = [BUSY]
    await attempt(world, stack, job_id)
    world.clock.advance(DAY_SECONDS + 1)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.MODEL_ERROR)
    (told,) = world.said(job_id)
    assert "answered 529" in told and "trying again did not help" in told


async def test_a_turn_ends_the_waiting_so_that_the_next_one_begins_anew(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = [BUSY]
    await attempt(world, stack, job_id)
    world.model.turns[:] = [PROPOSE[0], BUSY]
    world.clock.advance(DAY_SECONDS + 1)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.waits_seconds) == (JobStatus.PENDING, 10.0)
    async with world.database.read() as connection:
        run = (await connection.execute(select(job_runs.c.waits, job_runs.c.waiting_since))).one()
    assert run.waits == 1 and (world.clock.now() - run.waiting_since).total_seconds() < 60


async def test_a_refused_account_ends_one_job_in_words_and_the_others_wait(
    world: World, stack: Stack, job_id: str
) -> None:
    second, third = await world.submit("The cat"), await world.submit("The bird")
    world.model.turns[:] = [REFUSED]
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.MODEL_ERROR)
    assert "check ANTHROPIC_API_KEY" in world.said(job_id)[0]

    # Too early to try: the model is not asked, and the thread hears nothing.
    facts = await attempt(world, stack, second)
    assert (facts.status, facts.attempts) == (JobStatus.PENDING, 0)
    assert facts.waits_seconds == pytest.approx(60, abs=5)
    assert world.said(second) == []

    # One may try, and is no worse than the others.
    world.clock.advance(60)
    world.model.turns[:] = [REFUSED]
    facts = await attempt(world, stack, third)
    assert (facts.status, facts.attempts) == (JobStatus.PENDING, 0)

    # The operator has acted.
    world.clock.advance(MAX_PROBE_SECONDS)
    world.model.turns[:] = list(PROPOSE)
    assert (await attempt(world, stack, second)).cause is Cause.PULL_REQUEST
    assert stack.runner.breaker.reason is None
    world.model.turns[:] = list(PROPOSE)
    assert (await attempt(world, stack, third)).cause is Cause.PULL_REQUEST


async def test_work_that_is_repeated_from_its_record_does_not_say_that_the_model_serves(
    world: World, stack: Stack, job_id: str
) -> None:
    # GitHub is away as the agent is at its end: the next attempt asks the model nothing.
    world.model.turns[:] = list(PROPOSE)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(stack.ending), "freeze", _away)
        await attempt(world, stack, job_id)
    asked = len(world.model.requests)
    stack.runner.breaker.refused("no credit", world.clock.monotonic(), probe_seconds=1.0)
    world.clock.advance(MAX_PROBE_SECONDS)
    facts = await attempt(world, stack, job_id)
    assert (facts.cause, len(world.model.requests)) == (Cause.PULL_REQUEST, asked)
    assert stack.runner.breaker.reason == "no credit"


async def _away(*_: object) -> None:
    raise RetryLater("GitHub is away")


def test_probes_grow_rarer_to_a_bound() -> None:
    breaker, now, gaps = Breaker(), 0.0, []
    assert breaker.refused("no credit", now, probe_seconds=60.0)
    assert not breaker.refused("no credit", now, probe_seconds=60.0)
    for _ in range(6):
        began = now
        while True:
            now += 1.0
            try:
                breaker.check(now)
            except RetryLater:
                continue
            break
        gaps.append(now - began)
    assert gaps == [60.0, 120.0, 240.0, 480.0, 900.0, 900.0]
    breaker.served()
    breaker.check(now)


async def test_a_full_disk_lets_the_job_wait_and_costs_no_attempt(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = [OSError(errno.ENOSPC, "No space left on device")]
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.attempts) == (JobStatus.PENDING, 0)
    assert "no room left" in (facts.error or "")
    world.clock.advance(facts.waits_seconds or 0)
    world.model.turns[:] = PROPOSE
    assert (await attempt(world, stack, job_id)).cause is Cause.PULL_REQUEST

"""Attempts that do not reach the end: bugs, crashes, stops, lost leases, and what becomes of the job."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import update

from bot.db import schedule, tables
from bot.db.schedule import MAX_CRASHES_WITHOUT_PROGRESS
from bot.domain.enums import Cause, IssueStatus, JobStatus, OperationKind, OperationState, Phase
from bot.domain.values import ClaimedJob, Scope
from bot.errors import RetryLater
from bot.runner.reconcile import Reaper
from bot.runner.run import MAX_BACKOFF_SECONDS
from bot.standin.forge.faults import Drop, Reply
from tests.runner.conftest import LEASE_SECONDS, PROPOSE, Stack, World, attempt


class Bug(KeyError):
    """Something that nobody expected."""


async def claimed(stack: Stack, job_id: str) -> ClaimedJob:
    """The job, owned by this worker."""
    job = await stack.claim(job_id)
    assert job is not None
    return job


async def frozen(world: World, stack: Stack, job_id: str) -> None:
    """Bring the job to its frozen end, and give it back before anything is published."""
    world.forge.faults.add("GET", "/git/ref/heads/issuewright", Reply(503))
    facts = await attempt(world, stack, job_id)
    assert (facts.phase, facts.status) == (Phase.FROZEN, JobStatus.PENDING)
    world.clock.advance(facts.waits_seconds or 0.0)


# ── bugs of ours ─────────────────────────────────────────────────────────────────────────────────
async def test_a_bug_costs_an_attempt_and_the_last_one_is_told_in_words(
    world: World, stack: Stack, job_id: str
) -> None:
    for number in (1, 2):
        await stack.runner.crashed(await claimed(stack, job_id), Bug("x"))
        facts = await world.facts(job_id)
        assert (facts.status, facts.attempts, facts.error) == (
            JobStatus.PENDING,
            number,
            "Bug in our own code",
        )
        assert facts.waits_seconds == 5.0 * 2**number
        world.clock.advance(facts.waits_seconds)
    await stack.runner.crashed(await claimed(stack, job_id), Bug("x"))
    facts = await world.facts(job_id)
    assert (facts.status, facts.phase, facts.cause) == (JobStatus.PENDING, Phase.FROZEN, Cause.BUG)

    facts = await attempt(world, stack, job_id)

    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.BUG)
    (comment,) = world.said(job_id)
    assert "Something in Issuewright failed" in comment
    assert "KeyError" not in comment


async def test_a_bug_while_publishing_never_changes_the_frozen_end(
    world: World, stack: Stack, job_id: str
) -> None:
    await frozen(world, stack, job_id)
    await world.change_job(job_id, attempts=2)
    await stack.runner.crashed(await claimed(stack, job_id), Bug("x"))
    facts = await world.facts(job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.BUG)
    assert {row.state for row in (await world.operations(job_id)).values()} == {
        OperationState.DONE,
        OperationState.FAILED,
    }


async def test_a_bug_after_the_pull_request_stands_leaves_it_the_jobs_end(
    world: World, stack: Stack, job_id: str
) -> None:
    world.forge.faults.add("POST", "/assignees$", Drop(), times=None)
    facts = await attempt(world, stack, job_id)
    assert facts.phase is Phase.FROZEN
    await world.change_job(job_id, attempts=2)
    world.clock.advance(600.0)
    await stack.runner.crashed(await claimed(stack, job_id), Bug("x"))
    facts = await world.facts(job_id)
    assert (facts.status, facts.cause) == (JobStatus.COMPLETED, Cause.PULL_REQUEST)
    assert facts.issue_status is IssueStatus.REVIEW


async def test_a_crash_of_one_who_lost_the_lease_takes_nothing_from_the_next_owner(
    world: World, stack: Stack, job_id: str
) -> None:
    late = await claimed(stack, job_id)
    world.clock.advance(LEASE_SECONDS + 1)
    await Reaper(world.database, world.clock).run_once()
    async with world.stack("w2") as other:
        owned = await claimed(other, job_id)
        for attempts in (1, 3):
            await stack.runner.crashed(replace(late, attempts=attempts), Bug("x"))
        facts = await world.facts(job_id)
        assert (facts.status, facts.fence) == (JobStatus.RUNNING, owned.fence)
        assert facts.phase is not Phase.FROZEN


# ── workers that die ─────────────────────────────────────────────────────────────────────────────
async def die_on_it(world: World, stack: Stack, job_id: str) -> bool:
    """Claim the job and fall silent; whether it is set aside by now."""
    await claimed(stack, job_id)
    world.clock.advance(LEASE_SECONDS + 1)
    async with world.database.write() as connection:
        (reaped,) = await schedule.reap(Scope.system(), connection, now=world.clock.now())
    return reaped.is_quarantined


async def test_a_job_that_kills_its_workers_is_set_aside_in_words(
    world: World, stack: Stack, job_id: str
) -> None:
    deaths = [await die_on_it(world, stack, job_id) for _ in range(MAX_CRASHES_WITHOUT_PROGRESS)]
    assert deaths == [False, False, True]

    facts = await attempt(world, stack, job_id)

    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.BUG)
    assert "set aside" in world.said(job_id)[0]
    assert not world.model.requests


async def test_a_job_that_is_set_aside_while_github_is_away_is_told_of_later(
    world: World, stack: Stack, job_id: str
) -> None:
    for _ in range(MAX_CRASHES_WITHOUT_PROGRESS):
        await die_on_it(world, stack, job_id)
    world.forge.faults.add("POST", "/access_tokens$", Reply(503))
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.phase) == (JobStatus.PENDING, Phase.FROZEN)
    world.clock.advance(facts.waits_seconds or 0.0)
    assert (await attempt(world, stack, job_id)).cause is Cause.BUG
    assert len(world.said(job_id)) == 1


async def test_a_frozen_job_whose_publishing_kills_its_workers_ends_untold(
    world: World, stack: Stack, job_id: str
) -> None:
    await frozen(world, stack, job_id)
    for _ in range(MAX_CRASHES_WITHOUT_PROGRESS):
        await die_on_it(world, stack, job_id)
    requests = len(world.forge.requests)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.BUG)
    assert len(world.forge.requests) == requests
    assert facts.error is not None and "set aside" in facts.error


async def test_the_reaper_leaves_leases_alone_that_hold(world: World, stack: Stack, job_id: str) -> None:
    job = await claimed(stack, job_id)
    world.clock.advance(LEASE_SECONDS - 1)
    await Reaper(world.database, world.clock).run_once()
    assert (await world.facts(job_id)).fence == job.fence
    world.clock.advance(1)
    await Reaper(world.database, world.clock).run_once()
    facts = await world.facts(job_id)
    assert (facts.status, facts.fence, facts.attempts) == (JobStatus.PENDING, job.fence + 1, 0)


# ── workers that are told to stop ────────────────────────────────────────────────────────────────
async def test_a_worker_that_stops_hands_the_job_back_at_once(
    world: World, stack: Stack, job_id: str
) -> None:
    is_asked = asyncio.Event()

    async def think_for_ever() -> None:
        is_asked.set()
        await asyncio.sleep(3600)  # ended by the stop

    world.model.on_ask = think_for_ever
    running = asyncio.create_task(stack.runner.run(await claimed(stack, job_id)))
    await is_asked.wait()

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    facts = await world.facts(job_id)
    assert (facts.status, facts.attempts, facts.waits_seconds) == (JobStatus.PENDING, 0, 0.0)
    assert facts.error == "handed back by a worker that stopped"
    assert world.space.hosts[0].is_closed
    world.model.on_ask = None
    assert (await attempt(world, stack, job_id)).cause is Cause.PULL_REQUEST
    assert len(world.said(job_id)) == 1


async def test_a_stop_is_not_lost_where_the_job_cannot_be_handed_back(
    world: World, stack: Stack, job_id: str
) -> None:
    async def lose_it_and_think_for_ever() -> None:
        await world.change_run(job_id, fence=99)
        is_asked.set()
        await asyncio.sleep(3600)  # ended by the stop

    is_asked = asyncio.Event()
    world.model.on_ask = lose_it_and_think_for_ever
    running = asyncio.create_task(stack.runner.run(await claimed(stack, job_id)))
    await is_asked.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert (await world.facts(job_id)).fence == 99


async def test_a_lease_that_is_lost_during_the_work_stops_it(world: World, stack: Stack, job_id: str) -> None:
    async def lose_it() -> None:
        await world.change_run(job_id, fence=99)
        world.clock.tick()
        await asyncio.sleep(3600)  # ended by the loss

    world.model.on_ask = lose_it
    await stack.runner.run(await claimed(stack, job_id))
    facts = await world.facts(job_id)
    assert (facts.status, facts.fence) == (JobStatus.RUNNING, 99)
    assert world.space.discarded == [job_id]
    assert len(world.model.requests) == 1


# ── a frozen end ─────────────────────────────────────────────────────────────────────────────────
async def test_a_frozen_job_that_is_claimed_again_only_publishes(
    world: World, stack: Stack, job_id: str
) -> None:
    await frozen(world, stack, job_id)
    asked, checked_out = len(world.model.requests), len(world.space.checkouts)
    world.forge.set_permission("octo/pets", "maria", "read")  # the end is fixed; nobody is asked again

    facts = await attempt(world, stack, job_id)

    assert facts.cause is Cause.PULL_REQUEST
    assert (len(world.model.requests), len(world.space.checkouts)) == (asked, checked_out)


@pytest.mark.parametrize("status", [403, 404, 422])
async def test_a_token_that_is_refused_for_the_change_ends_in_the_comment(
    world: World, stack: Stack, job_id: str, status: int
) -> None:
    await frozen(world, stack, job_id)
    world.forge.faults.add("POST", "/access_tokens$", Reply(status))
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.GITHUB_ERROR)
    (comment,) = world.said(job_id)
    assert "GitHub did not let this finish" in comment
    assert not world.pulls(job_id)


async def test_an_app_that_was_uninstalled_while_it_published_ends_the_job_untold(
    world: World, stack: Stack, job_id: str
) -> None:
    await frozen(world, stack, job_id)
    await world.forge.uninstall(world.tenant.installation_id)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.GITHUB_ERROR)
    states = {row.state for row in (await world.operations(job_id)).values()}
    assert states == {OperationState.DONE, OperationState.FAILED}


async def test_a_refusal_that_was_not_told_before_a_crash_is_told_after_it(
    world: World, stack: Stack, job_id: str
) -> None:
    await frozen(world, stack, job_id)
    async with world.database.write() as connection:
        table = tables.operations
        refused = update(table).where(table.c.kind == OperationKind.BRANCH)
        await connection.execute(refused.values(state=OperationState.FAILED, error="GitHub said no"))
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause, facts.error) == (
        JobStatus.FAILED,
        Cause.GITHUB_ERROR,
        "GitHub said no",
    )
    assert "GitHub said no" in world.said(job_id)[0]


async def test_a_frozen_job_waits_for_github_a_day_and_ends_untold(
    world: World, stack: Stack, job_id: str
) -> None:
    await frozen(world, stack, job_id)
    world.forge.faults.add("*", "", Reply(503), times=None)
    facts = await attempt(world, stack, job_id)
    assert facts.status is JobStatus.PENDING
    world.clock.advance(25 * 3600)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.GITHUB_ERROR)
    assert facts.error is not None and facts.error.endswith("and trying again did not help.")
    world.forge.faults.clear()
    world.forge.requests.clear()  # hundreds of made-up answers


async def test_a_wait_that_comes_too_late_changes_nothing(world: World, stack: Stack, job_id: str) -> None:
    job = await claimed(stack, job_id)
    await world.change_run(job_id, fence=99)
    await stack.runner._give_back(job, RetryLater("later"))
    assert (await world.facts(job_id)).status is JobStatus.RUNNING


async def test_waits_grow_to_a_bound_and_a_little_by_chance(world: World, stack: Stack, job_id: str) -> None:
    runner = replace(stack.runner, jitter=lambda: 1.0)
    job = replace(await claimed(stack, job_id), attempts=4000)
    await runner._give_back(job, RetryLater("later", cause=Cause.BUG))
    assert (await world.facts(job_id)).waits_seconds == MAX_BACKOFF_SECONDS * 1.5


async def test_the_work_is_done_again_from_the_start(world: World, stack: Stack, job_id: str) -> None:
    world.model.turns[2] = RetryLater("busy", cause=Cause.MODEL_ERROR)
    await attempt(world, stack, job_id)
    world.model.turns[2] = PROPOSE[2]
    world.clock.advance(60.0)
    facts = await attempt(world, stack, job_id)
    assert (facts.cause, facts.attempts) == (Cause.PULL_REQUEST, 2)
    fences = sorted({row.fence for row in await world.rows("job_steps", job_id)})
    assert len(fences) == 2
    assert len(world.space.discarded) == 2

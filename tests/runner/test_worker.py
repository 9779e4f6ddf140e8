"""The worker's loops in one process: from a stored delivery to a draft, through bugs, stops and trouble."""

import asyncio
from dataclasses import replace

import pytest
from sqlalchemy import select

from bot.db import tables, workers
from bot.db.workers import WorkerReport
from bot.domain.enums import Cause, DeliveryState, JobStatus, Phase, Tier
from bot.domain.values import Scope
from bot.runner.reconcile import Reaper
from bot.runner.worker import FORGET_AFTER
from bot.standin.forge.faults import Reply
from tests.runner.conftest import ANSWER, BACKOFF_SECONDS, LEASE_SECONDS, REPOSITORY, Stack, World
from tests.runner.shop import (
    WAIT_SECONDS,
    BrokenRunner,
    HandBell,
    at_work,
    job_ids,
    label_an_issue,
    make_worker,
    worker_rows,
)
from tests.runner.stands import ShakyDatabase


async def test_a_label_becomes_a_draft_without_any_other_process(world: World, stack: Stack) -> None:
    async with at_work(world, stack) as shop:
        number = await label_an_issue(world)

        async def has_job() -> bool:
            return bool(await job_ids(world))

        await shop.until(has_job)
        (job_id,) = await job_ids(world)
        world.threads[job_id] = number
        assert await shop.until_ended(job_id) is Cause.PULL_REQUEST

        async def has_eyes() -> bool:
            return bool(world.thread(job_id).reactions)

        await shop.until(has_eyes)
    assert [one.content for one in world.thread(job_id).reactions] == ["eyes"]
    assert len(world.said(job_id)) == len(world.pulls(job_id)) == 1


async def test_a_worker_says_that_it_lives_and_takes_its_row_away(world: World, stack: Stack) -> None:
    async with at_work(world, stack) as shop:

        async def has_beaten() -> bool:
            return bool(await worker_rows(world))

        await shop.until(has_beaten)
        (row,) = await worker_rows(world)
        assert (row.id, row.running, row.github_word, row.model_word) == ("worker-1", 0, "ok", None)
        assert (row.sandbox_tier, row.sandbox_reason) == (Tier.NONE, "no bwrap. install it")
        assert row.started_at <= row.heartbeat_at
        await world.clock.until_somebody_waits()
        world.clock.tick()

        async def has_beaten_again() -> bool:
            rows = await worker_rows(world)
            return bool(rows[0].heartbeat_at > row.heartbeat_at)

        await shop.until(has_beaten_again)
    assert await worker_rows(world) == []


async def test_workers_that_fell_silent_are_forgotten(world: World, stack: Stack) -> None:
    long_ago = world.clock.now()
    lost = WorkerReport("lost", "h", 1, "0", Tier.NONE, "", None, None, None, None, 0, long_ago, long_ago)
    async with world.database.write() as connection:
        await workers.beat(Scope.system(), connection, lost)
    world.clock.advance(FORGET_AFTER.total_seconds() + 1)
    async with at_work(world, stack) as shop:

        async def is_forgotten() -> bool:
            return [row.id for row in await worker_rows(world)] == ["worker-1"]

        await shop.until(is_forgotten)


async def test_without_a_bell_the_database_is_looked_at_every_now_and_then(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = ANSWER
    async with at_work(world, stack, bell=None) as shop:

        async def is_over() -> bool:
            facts = await world.facts(job_id)
            if facts.status is JobStatus.PENDING:
                await world.clock.until_somebody_waits()
                world.clock.tick()
            return facts.phase is Phase.SETTLED

        await shop.until(is_over)


async def test_no_more_jobs_are_taken_than_can_run_here(world: World, stack: Stack) -> None:
    world.model.turns[:] = ANSWER
    running = asyncio.Event()
    may_go_on = asyncio.Event()

    async def wait_for_the_test() -> None:
        running.set()
        await may_go_on.wait()

    world.model.on_ask = wait_for_the_test
    jobs = [await world.submit(f"Bug {number}") for number in range(3)]
    async with at_work(world, stack, concurrency=1) as shop:
        shop.bell.ring()
        await running.wait()
        assert shop.worker.running == 1
        shop.bell.ring()
        states = [(await world.facts(job_id)).status for job_id in jobs]
        assert sorted(states) == [JobStatus.PENDING, JobStatus.PENDING, JobStatus.RUNNING]
        assert shop.worker.engine.depth() == 0
        may_go_on.set()
        for job_id in jobs:
            assert await shop.until_ended(job_id) is Cause.NO_CHANGE_NEEDED


async def test_a_product_that_is_switched_off_runs_nothing(world: World, stack: Stack, job_id: str) -> None:
    async with at_work(world, stack, is_enabled=False) as shop:
        await label_an_issue(world)

        async def is_dispatched() -> bool:
            async with world.database.read() as connection:
                state = await connection.scalar(select(tables.deliveries.c.state))
            return state is not DeliveryState.RECEIVED

        await shop.until(is_dispatched)
        assert (await world.facts(job_id)).status is JobStatus.PENDING
        assert shop.worker.engine.depth() == 0


async def test_a_bug_in_one_attempt_ends_neither_the_job_nor_the_worker(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = ANSWER
    broken = BrokenRunner(stack.runner, ["run"])
    async with at_work(world, stack, runner=broken) as shop:

        async def is_given_back() -> bool:
            return broken.crashes == [job_id] and (await world.facts(job_id)).waits_seconds is not None

        await shop.until(is_given_back)
        facts = await world.facts(job_id)
        assert (facts.error, facts.attempts) == ("KeyError in our own code", 1)
        world.clock.advance(60.0)
        assert await shop.until_ended(job_id) is Cause.NO_CHANGE_NEEDED


@pytest.mark.parametrize("breaks", [["claim"], ["run", "crashed"]])
async def test_no_job_ends_the_worker_however_broken_its_end_is(
    world: World, stack: Stack, breaks: list[str]
) -> None:
    world.model.turns[:] = ANSWER
    broken = BrokenRunner(stack.runner, breaks)
    first = await world.submit("Bug 1")
    async with at_work(world, stack, runner=broken, concurrency=1) as shop:

        async def is_broken() -> bool:
            return not broken.breaks

        await shop.until(is_broken)
        second = await world.submit("Bug 2")
        assert await shop.until_ended(second) is Cause.NO_CHANGE_NEEDED
        # The other one is taken up again after its lease, by whoever is there.
        world.clock.advance(2 * LEASE_SECONDS)
        assert await shop.until_ended(first) is Cause.NO_CHANGE_NEEDED


async def test_what_a_lost_worker_left_behind_is_taken_up(world: World, stack: Stack, job_id: str) -> None:
    world.model.turns[:] = ANSWER
    async with world.stack("lost") as lost:
        assert await lost.claim(job_id) is not None
    world.clock.advance(LEASE_SECONDS + 1)
    async with at_work(world, stack) as shop:
        assert await shop.until_ended(job_id) is Cause.NO_CHANGE_NEEDED


async def test_an_id_that_is_nobodys_or_not_free_is_passed_over(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = ANSWER
    async with at_work(world, stack, concurrency=1) as shop:
        await shop.worker.engine.push(["01NOBODY", job_id, job_id])
        assert await shop.until_ended(job_id) is Cause.NO_CHANGE_NEEDED
    assert (await world.facts(job_id)).attempts == 1


async def test_a_stop_hands_the_running_job_back(world: World, stack: Stack, job_id: str) -> None:
    running = asyncio.Event()

    async def think_for_ever() -> None:
        running.set()
        await asyncio.Event().wait()

    world.model.on_ask = think_for_ever
    async with at_work(world, stack) as shop:
        shop.bell.ring()
        await running.wait()
        await shop.close()
    facts = await world.facts(job_id)
    assert (facts.status, facts.attempts, facts.waits_seconds) == (JobStatus.PENDING, 0, 0.0)


async def test_a_database_that_is_away_is_waited_for(world: World, stack: Stack, job_id: str) -> None:
    world.model.turns[:] = ANSWER
    shaky = ShakyDatabase(world.database_url)
    shaky.is_away = True
    parts = make_worker(world, stack)
    changes = {
        "database": shaky,
        "dispatcher": replace(parts.dispatcher, database=shaky),
        "outbox": replace(parts.outbox, database=shaky),
        "reaper": Reaper(shaky, world.clock),
    }
    async with at_work(world, stack, **changes) as shop:

        async def was_refused_often() -> bool:
            shop.bell.ring()
            return shaky.refusals > 10

        await shop.until(was_refused_often)
        shaky.is_away = False
        assert await shop.until_ended(job_id) is Cause.NO_CHANGE_NEEDED
        shaky.is_away = True
    await shaky.close()


async def test_a_stop_is_heard_while_the_database_is_away(world: World, stack: Stack, job_id: str) -> None:
    shaky = ShakyDatabase(world.database_url)
    running = asyncio.Event()

    async def lose_the_database() -> None:
        shaky.is_away = True
        running.set()
        await asyncio.Event().wait()

    world.model.on_ask = lose_the_database
    runner = replace(stack.runner, database=shaky)
    async with at_work(world, stack, runner=runner, database=shaky) as shop:
        shop.bell.ring()
        await running.wait()
        await shop.close()
    assert (await world.facts(job_id)).status is JobStatus.RUNNING  # its lease will run out
    await shaky.close()


async def test_a_reply_waits_for_a_github_that_is_away(world: World, stack: Stack) -> None:
    async with at_work(world, stack) as shop:
        number = await label_an_issue(world)
        world.forge.faults.add("POST", "/reactions$", Reply(429, headers={"retry-after": "5"}))
        thread = world.forge.world.repository(REPOSITORY).threads[number]

        async def is_postponed() -> bool:
            async with world.database.read() as connection:
                errors = await connection.scalars(select(tables.operations.c.error))
                return any(error is not None for error in errors)

        await shop.until(is_postponed)
        world.clock.advance(BACKOFF_SECONDS)

        async def has_eyes() -> bool:
            return bool(thread.reactions)

        await shop.until(has_eyes)


async def test_a_loop_that_breaks_ends_the_worker_with_its_error(world: World, stack: Stack) -> None:
    class BrokenReaper(Reaper):
        async def run_once(self) -> None:
            raise KeyError("a bug in a loop")

    worker = make_worker(world, stack, reaper=BrokenReaper(world.database, world.clock))
    running = asyncio.create_task(worker.run(asyncio.Event()))
    assert isinstance(worker.bell, HandBell)
    worker.bell.ring()
    with pytest.raises(KeyError, match="a bug in a loop"):
        async with asyncio.timeout(WAIT_SECONDS):
            await running
    assert await worker_rows(world) == []

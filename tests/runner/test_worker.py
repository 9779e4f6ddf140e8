"""The worker's loops in one process: from a stored delivery to a draft, through bugs, stops and trouble."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import select

from bot.db import tables, workers
from bot.db.deliveries import IncomingDelivery
from bot.db.workers import WorkerReport
from bot.domain.enums import Cause, DeliveryState, JobStatus, Phase, Tier
from bot.domain.values import ClaimedJob, SandboxStatus, Scope
from bot.handlers import router
from bot.intake.apply import Intake
from bot.intake.dispatch import Dispatcher
from bot.intake.inbox import Inbox
from bot.intake.installations import Installations
from bot.publish.outbox import Outbox
from bot.queue.inprocess import InProcessEngine
from bot.runner.reconcile import Reaper
from bot.runner.run import Runner
from bot.runner.words import GitHubWatch, LastWord
from bot.runner.worker import FORGET_AFTER, Worker
from bot.standin.forge.faults import Reply
from tests.runner.conftest import BACKOFF_SECONDS, LEASE_SECONDS, REPOSITORY, Stack, World
from tests.runner.stands import HEARTBEAT_SECONDS, ShakyDatabase

WAIT_SECONDS = 20.0


class HandBell:
    """Rung by the test."""

    def __init__(self) -> None:
        self._is_rung = asyncio.Event()

    def ring(self) -> None:
        self._is_rung.set()

    async def wait(self, timeout_seconds: float) -> bool:
        await self._is_rung.wait()
        self._is_rung.clear()
        return True


@dataclass
class Shop:
    """A worker at work; `bell` wakes it, `stop` ends it."""

    world: World
    worker: Worker
    bell: HandBell
    stop: asyncio.Event
    task: "asyncio.Task[None]"

    async def until(self, is_so: Callable[[], Awaitable[bool]]) -> None:
        """Ring, and look at the database again and again, until something is so."""
        async with asyncio.timeout(WAIT_SECONDS):
            self.bell.ring()
            while True:
                if await is_so():
                    return
                assert not self.task.done(), "the worker has ended"
                await asyncio.sleep(0)

    async def until_ended(self, job_id: str) -> Cause | None:
        """Wait for the job's end; its cause."""

        async def is_over() -> bool:
            return (await self.world.facts(job_id)).phase is Phase.SETTLED

        await self.until(is_over)
        return (await self.world.facts(job_id)).cause

    async def close(self) -> None:
        """Tell the worker to stop, and wait until it has."""
        self.stop.set()
        async with asyncio.timeout(WAIT_SECONDS):
            await self.task


def make_worker(world: World, stack: Stack, **changes: Any) -> Worker:
    """A worker of real parts."""
    database, clock = stack.database, world.clock
    intake = Intake(
        database=database,
        gate=stack.gate,
        installations=Installations(database, stack.app, clock),
        clock=clock,
        help_text=lambda _: "Help!",
        default_model="sonnet",
        is_enabled=True,
    )
    route = partial(router.route, own_app_id=world.forge.app_id)
    parts: dict[str, Any] = {
        "id": "worker-1",
        "database": database,
        "dispatcher": Dispatcher(database, route, intake, clock, BACKOFF_SECONDS),
        "outbox": Outbox(database, stack.app, stack.publishing.publisher, clock, BACKOFF_SECONDS),
        "engine": InProcessEngine(),
        "runner": stack.runner,
        "reaper": Reaper(database, clock),
        "sandbox": SandboxStatus(Tier.NONE, "no bwrap", "install it"),
        "model_word": LastWord(),
        "github": GitHubWatch(stack.app, clock),
        "clock": clock,
        "concurrency": 2,
        "lease_seconds": LEASE_SECONDS,
        "heartbeat_seconds": HEARTBEAT_SECONDS,
        "poll_seconds": HEARTBEAT_SECONDS,
        "bell": HandBell(),
    }
    return Worker(**{**parts, **changes})


@asynccontextmanager
async def at_work(world: World, stack: Stack, **changes: Any) -> AsyncIterator[Shop]:
    """A worker that is stopped at the end, if it is still at work."""
    worker = make_worker(world, stack, **changes)
    stop = asyncio.Event()
    bell = worker.bell if isinstance(worker.bell, HandBell) else HandBell()
    shop = Shop(world, worker, bell, stop, asyncio.create_task(worker.run(stop)))
    try:
        yield shop
    finally:
        if not shop.task.done():
            await shop.close()


async def label_an_issue(world: World) -> int:
    """A person labels an issue; its delivery is stored as the web process does."""
    world.forge.set_webhook("http://127.0.0.1:1/nobody", "secret")
    number = await world.forge.open_issue(REPOSITORY, "maria", "The dog meows", "It should bark.")
    await world.forge.add_label(REPOSITORY, number, "agent", "maria")
    sent = world.forge.deliveries[-1]
    delivery = IncomingDelivery(
        target_type="integration",
        target_id="1",
        guid=sent.guid,
        event=sent.event,
        action=sent.action,
        digest=hashlib.sha256(sent.payload).hexdigest(),
        payload=sent.payload,
        installation_id=sent.installation_id,
        received_at=world.clock.now(),
        state=DeliveryState.RECEIVED,
    )
    await Inbox(world.database).store(delivery)
    return number


async def job_ids(world: World) -> list[str]:
    """All jobs."""
    async with world.database.read() as connection:
        statement = select(tables.agent_jobs.c.id).order_by(tables.agent_jobs.c.id)
        return list((await connection.execute(statement)).scalars())


async def worker_rows(world: World) -> list[Any]:
    """What the workers say of themselves."""
    async with world.database.read() as connection:
        return list((await connection.execute(select(tables.workers))).all())


@dataclass
class BrokenRunner:
    """A runner that breaks in the way of the test, and else works."""

    runner: Runner
    breaks: list[str]
    crashes: list[str] = field(default_factory=list)

    async def claim(self, job_id: str) -> ClaimedJob | None:
        if "claim" in self.breaks:
            self.breaks.remove("claim")
            raise KeyError("a bug in the claim")
        return await self.runner.claim(job_id)

    async def run(self, job: ClaimedJob) -> None:
        if "run" in self.breaks:
            self.breaks.remove("run")
            raise KeyError("a bug in the run")
        await self.runner.run(job)

    async def crashed(self, job: ClaimedJob, error: BaseException) -> None:
        self.crashes.append(job.id)
        if "crashed" in self.breaks:
            self.breaks.remove("crashed")
            raise KeyError("a bug in the way to end a broken attempt")
        await self.runner.crashed(job, error)


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
    async with at_work(world, stack, bell=None) as shop:

        async def is_over() -> bool:
            facts = await world.facts(job_id)
            if facts.status is JobStatus.PENDING:
                await world.clock.until_somebody_waits()
                world.clock.tick()
            return facts.phase is Phase.SETTLED

        await shop.until(is_over)


async def test_no_more_jobs_are_taken_than_can_run_here(world: World, stack: Stack) -> None:
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
            assert await shop.until_ended(job_id) is Cause.PULL_REQUEST


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
    broken = BrokenRunner(stack.runner, ["run"])
    async with at_work(world, stack, runner=broken) as shop:

        async def is_given_back() -> bool:
            return broken.crashes == [job_id] and (await world.facts(job_id)).waits_seconds is not None

        await shop.until(is_given_back)
        facts = await world.facts(job_id)
        assert (facts.error, facts.attempts) == ("KeyError in our own code", 1)
        world.clock.advance(60.0)
        assert await shop.until_ended(job_id) is Cause.PULL_REQUEST


@pytest.mark.parametrize("breaks", [["claim"], ["run", "crashed"]])
async def test_no_job_ends_the_worker_however_broken_its_end_is(
    world: World, stack: Stack, breaks: list[str]
) -> None:
    broken = BrokenRunner(stack.runner, breaks)
    first = await world.submit("Bug 1")
    async with at_work(world, stack, runner=broken, concurrency=1) as shop:

        async def is_broken() -> bool:
            return not broken.breaks

        await shop.until(is_broken)
        second = await world.submit("Bug 2")
        assert await shop.until_ended(second) is Cause.PULL_REQUEST
        # The other one is taken up again after its lease, by whoever is there.
        world.clock.advance(2 * LEASE_SECONDS)
        assert await shop.until_ended(first) is Cause.PULL_REQUEST


async def test_what_a_lost_worker_left_behind_is_taken_up(world: World, stack: Stack, job_id: str) -> None:
    async with world.stack("lost") as lost:
        assert await lost.runner.claim(job_id) is not None
    world.clock.advance(LEASE_SECONDS + 1)
    async with at_work(world, stack) as shop:
        assert await shop.until_ended(job_id) is Cause.PULL_REQUEST


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
        assert await shop.until_ended(job_id) is Cause.PULL_REQUEST
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

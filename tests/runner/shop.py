"""A worker at work in one process, woken and stopped by the test, and a runner that breaks on demand."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import select

from bot.db import tables
from bot.db.deliveries import IncomingDelivery
from bot.domain.enums import Cause, DeliveryState, Phase, Tier
from bot.domain.values import ClaimedJob, SandboxStatus
from bot.handlers import router
from bot.intake.apply import Intake
from bot.intake.dispatch import Dispatcher
from bot.intake.installations import Installations
from bot.publish.outbox import Outbox
from bot.queue.inprocess import InProcessEngine
from bot.runner.reconcile import Reaper
from bot.runner.run import Runner
from bot.runner.words import GitHubWatch, LastWord
from bot.runner.work import Work
from bot.runner.worker import Worker
from tests.db.rows import stored
from tests.runner.conftest import BACKOFF_SECONDS, LEASE_SECONDS, REPOSITORY, Stack, World
from tests.runner.stands import HEARTBEAT_SECONDS

WAIT_SECONDS = 60.0


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
    database, clock = stack.database, stack.clock
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


async def label_an_issue(world: World, title: str = "The dog meows", sender: str = "maria") -> int:
    """A person labels an issue; its delivery is stored as the web process does."""
    world.forge.set_webhook("http://127.0.0.1:1/nobody", "secret")
    number = await world.forge.open_issue(REPOSITORY, "maria", title, "It should bark.")
    await world.forge.add_label(REPOSITORY, number, "agent:fix", sender)
    await store_last_delivery(world)
    return number


async def store_last_delivery(world: World) -> None:
    """Take in what the forge sent last, as the web process does."""
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
    await stored(world.database, delivery)


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

    @property
    def work(self) -> Work:
        return self.runner.work

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

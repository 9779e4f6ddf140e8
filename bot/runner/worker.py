"""The worker: dispatches deliveries, admits and runs jobs, sends the outbox, says that it is alive."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import __version__, logs
from bot.db import pauses, schedule, workers
from bot.db.database import Database
from bot.db.listening import DatabaseBell
from bot.db.schedule import Places
from bot.db.turns import take_turn
from bot.db.workers import WorkerReport
from bot.domain.clock import Clock
from bot.domain.values import SandboxStatus, Scope
from bot.errors import RetryLater
from bot.intake.dispatch import Dispatcher
from bot.publish.outbox import Outbox
from bot.queue.base import QueueEngine
from bot.runner.chores import ChoreRunner
from bot.runner.reconcile import Reaper
from bot.runner.run import Runner
from bot.runner.serving import TROUBLE_SECONDS, Serving
from bot.runner.words import OK, GitHubWatch, LastWord

log = logs.get(__name__)

FORGET_AFTER: Final = timedelta(days=1)
LOOK_SECONDS: Final = 2.0
"""How long a heartbeat waits for GitHub's word; without it, it says the last one."""


class Bell(Protocol):
    """Rung by whoever has stored something."""

    async def wait(self, timeout_seconds: float) -> bool:
        """Whether it was rung within *timeout_seconds*."""


@dataclass(slots=True)
class Worker:
    """One worker process; `run` returns when it was told to stop and everything is handed back."""

    id: str
    database: Database
    dispatcher: Dispatcher
    outbox: Outbox
    engine: QueueEngine
    runner: Runner
    reaper: Reaper
    sandbox: SandboxStatus
    model_word: LastWord
    github: GitHubWatch
    clock: Clock
    concurrency: int
    lease_seconds: float
    heartbeat_seconds: float
    poll_seconds: float
    is_enabled: bool = True
    bell: Bell | None = None
    database_bell: DatabaseBell | None = None
    upkeep: ChoreRunner | None = None
    started_at: datetime = field(init=False)
    running: int = field(default=0, init=False)
    _deliveries_wait: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _work_waits: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _mail_waits: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _looking: "asyncio.Task[None] | None" = field(default=None, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until *stop* is set, then hand the jobs back and leave."""
        self.started_at = self.clock.now()
        await self.engine.start()
        bells: list[Bell | None] = [bell for bell in (self.bell, self.database_bell) if bell is not None]
        loops: list[Coroutine[Any, Any, None]] = [self._listen(bell) for bell in bells or [None]]
        loops += [self._forever(each) for each in (self._dispatch, self._schedule, self._mail, self._beat)]
        loops += [self._forever(each) for each in self.upkeep.loops(self._wake)] if self.upkeep else []
        loops += [self._serve() for _ in range(self.concurrency)]
        stopping = asyncio.create_task(stop.wait())
        tasks = [asyncio.create_task(loop) for loop in loops]
        log.info("worker_started", worker_id=self.id, sandbox=self.sandbox.tier.value)
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for ended in done - {stopping}:
                ended.result()
        finally:
            # First of all nothing more is taken; what is at work here ends while the engine closes.
            closing = asyncio.create_task(self.engine.close())
            await asyncio.sleep(0)
            tasks += [] if self._looking is None else [self._looking]
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)
            await closing
            # A database that is away gives the deliveries to others after a while.
            await _if_the_database_answers(self.dispatcher.close())
            await self.outbox.close()
            if self.database_bell is not None:
                await self.database_bell.close()
            await _if_the_database_answers(self._leave())
            log.info("worker_stopped", worker_id=self.id)

    async def _leave(self) -> None:
        """Take our row away; a database that is away forgets us by our silence."""
        async with self.database.write() as connection:
            await workers.leave(Scope.system(), connection, self.id)

    async def _listen(self, bell: Bell | None) -> None:
        """Turn rings, or the passing of time, into looks at the database.

        Our own web process rings for a delivery: nothing else stands before its dispatch.
        """
        while True:
            is_rung = False
            if bell is None:
                await self.clock.sleep(self.poll_seconds)
            else:
                is_rung = await bell.wait(self.poll_seconds)
            if is_rung and bell is self.bell:
                self._deliveries_wait.set()
            else:
                self._wake()

    def _wake(self) -> None:
        """Let every loop look at the database."""
        for waits in (self._deliveries_wait, self._work_waits, self._mail_waits):
            waits.set()

    async def _forever(self, once: Callable[[], Awaitable[None]]) -> None:
        """*once* again and again; a database that is away is waited for."""
        while True:
            try:
                await once()
            except (SQLAlchemyError, OSError) as error:
                log.warning("database_trouble", why=type(error).__name__)
                await self.clock.sleep(TROUBLE_SECONDS)

    async def _dispatch(self) -> None:
        """Deliveries to jobs, a few at a time; the end of each makes room for the next."""
        await self._deliveries_wait.wait()
        self._deliveries_wait.clear()
        if not await self.dispatcher.fill(self._wake):
            self._work_waits.set()
            self._mail_waits.set()

    async def _schedule(self) -> None:
        """Jobs to the engine, no more than can run.

        What was admitted and not claimed within a lease died with its worker, and is handed out again.
        """
        await self._work_waits.wait()
        self._work_waits.clear()
        await self.reaper.run_once()
        if self.is_enabled and (places := await self._free_places()).free > 0:
            await self._hand_over(await self._admit(places))

    async def _free_places(self) -> Places:
        """How many jobs the engine's workers could take; where it is not shared that is this one alone."""
        if not self.engine.is_shared:
            return Places(self.concurrency - self.running - self.engine.depth(), self.concurrency)
        async with self.database.read() as connection:
            return await self._free_places_of_all(connection)

    async def _free_places_of_all(self, connection: AsyncConnection) -> Places:
        since = self.clock.now() - timedelta(seconds=self.lease_seconds)
        return await schedule.free_places(Scope.system(), connection, since=since)

    async def _admit(self, places: Places) -> list[str]:
        async with self.database.write() as connection:
            if self.engine.is_shared:
                # The others admit to the same places: counted again when it is our turn.
                await take_turn(connection, pauses.TURN)
                places = await self._free_places_of_all(connection)
            return await schedule.admit(
                Scope.system(),
                connection,
                now=self.clock.now(),
                readmit_after=timedelta(seconds=self.lease_seconds),
                places=places.free,
                spare=places.spare,
            )

    async def _hand_over(self, job_ids: list[str]) -> None:
        """To the engine; one that does not take them costs them their admission, not their turn."""
        try:
            await self.engine.push(job_ids)
        except RetryLater as error:
            log.warning("queue_refused", why=str(error), jobs=len(job_ids))
            async with self.database.write() as connection:
                await schedule.unadmit(Scope.system(), connection, job_ids)

    async def _mail(self) -> None:
        """Writes of no run, a few installations at a time; the end of a turn makes room for the next."""
        await self._mail_waits.wait()
        self._mail_waits.clear()
        await self.outbox.fill(self._mail_waits.set)

    async def _serve(self) -> None:
        """One of the places at which jobs run."""
        serving = Serving(self.database, self.engine, self.runner, self.clock, self.lease_seconds)
        while True:
            ticket = await self.engine.pop()
            self.running += 1
            try:
                await serving.serve(ticket)
            finally:
                self.running -= 1
                self._work_waits.set()

    async def _beat(self) -> None:
        await self._look_at_github()
        now = self.clock.now()
        report = WorkerReport(
            id=self.id,
            hostname=socket.gethostname(),
            pid=os.getpid(),
            version=__version__,
            sandbox_tier=self.sandbox.tier,
            sandbox_reason=_in_words(self.sandbox),
            model_word=self.model_word.text,
            model_at=self.model_word.at,
            github_word=self.github.word.text,
            github_at=self.github.word.at,
            running=self.running,
            started_at=self.started_at,
            heartbeat_at=now,
            concurrency=self.concurrency,
            queue_word=self.engine.trouble() or OK,
            queue_at=now,
        )
        async with self.database.write() as connection:
            await workers.beat(Scope.system(), connection, report)
            await workers.forget(Scope.system(), connection, before=now - FORGET_AFTER)
        # Others may count on our places from now on, and we on those of others.
        self._work_waits.set()
        await self.clock.sleep(self.heartbeat_seconds)

    async def _look_at_github(self) -> None:
        """Hear GitHub's word; one that is slow to say it holds up no heartbeat."""
        if self._looking is None:
            self._looking = asyncio.create_task(self.github.look())
        done, _ = await asyncio.wait([self._looking], timeout=LOOK_SECONDS)
        if done:
            looked, self._looking = self._looking, None
            looked.result()


async def _if_the_database_answers(work: Awaitable[None]) -> None:
    """Do *work* while leaving; a database that is away does not hold us back."""
    try:
        await work
    except (SQLAlchemyError, OSError) as error:
        log.warning("database_trouble", why=type(error).__name__)


def _in_words(sandbox: SandboxStatus) -> str:
    """The reason why repository code cannot be held, and the remedy; nothing where it can."""
    return ". ".join(filter(None, [sandbox.reason, sandbox.remedy]))

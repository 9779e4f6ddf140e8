"""The worker: dispatches deliveries, admits and runs jobs, sends the outbox, says that it is alive."""

import asyncio
import os
import socket
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from sqlalchemy.exc import SQLAlchemyError

from bot import __version__, logs
from bot.db import schedule, workers
from bot.db.database import Database
from bot.db.workers import WorkerReport
from bot.domain.clock import Clock
from bot.domain.values import ClaimedJob, SandboxStatus, Scope
from bot.intake.dispatch import Dispatcher
from bot.publish.outbox import Outbox
from bot.queue.base import QueueEngine
from bot.runner.reconcile import Reaper
from bot.runner.run import Runner
from bot.runner.words import GitHubWatch, LastWord

log = logs.get(__name__)

FORGET_AFTER: Final = timedelta(days=1)
TROUBLE_SECONDS: Final = 1.0


class Bell(Protocol):
    """Rung by the web process after it has stored something."""

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
    started_at: datetime = field(init=False)
    running: int = field(default=0, init=False)
    _deliveries_wait: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _work_waits: asyncio.Event = field(default_factory=asyncio.Event, init=False)
    _mail_waits: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    async def run(self, stop: asyncio.Event) -> None:
        """Work until *stop* is set, then hand the jobs back and leave."""
        self.started_at = self.clock.now()
        loops: list[Coroutine[Any, Any, None]] = [self._listen()]
        loops += [self._forever(each) for each in (self._dispatch, self._schedule, self._mail, self._beat)]
        loops += [self._serve() for _ in range(self.concurrency)]
        stopping = asyncio.create_task(stop.wait())
        tasks = [asyncio.create_task(loop) for loop in loops]
        log.info("worker_started", worker_id=self.id, sandbox=self.sandbox.tier.value)
        try:
            done, _ = await asyncio.wait([stopping, *tasks], return_when=asyncio.FIRST_COMPLETED)
            for ended in done - {stopping}:
                ended.result()
        finally:
            for task in (stopping, *tasks):
                task.cancel()
            await asyncio.gather(stopping, *tasks, return_exceptions=True)
            await self._leave()
            log.info("worker_stopped", worker_id=self.id)

    async def _leave(self) -> None:
        """Take our row away; a database that is away forgets us by our silence."""
        try:
            async with self.database.write() as connection:
                await workers.leave(Scope.system(), connection, self.id)
        except (SQLAlchemyError, OSError) as error:
            log.warning("database_trouble", why=type(error).__name__)

    async def _listen(self) -> None:
        """Turn rings, or the passing of time, into looks at the database."""
        while True:
            if self.bell is None:
                await self.clock.sleep(self.poll_seconds)
            else:
                await self.bell.wait(self.poll_seconds)
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
        """Deliveries to jobs; apart from the rest, because it may have to wait for GitHub."""
        await self._deliveries_wait.wait()
        self._deliveries_wait.clear()
        while await self.dispatcher.run_once():
            self._work_waits.set()
            self._mail_waits.set()

    async def _schedule(self) -> None:
        """Jobs to the engine, no more than can run here: others are for other workers.

        What was admitted and not claimed within a lease died with its worker, and is handed out again.
        """
        await self._work_waits.wait()
        self._work_waits.clear()
        await self.reaper.run_once()
        free_places = self.concurrency - self.running - self.engine.depth()
        if not self.is_enabled or free_places <= 0:
            return
        async with self.database.write() as connection:
            admitted = await schedule.admit(
                Scope.system(),
                connection,
                now=self.clock.now(),
                readmit_after=timedelta(seconds=self.lease_seconds),
                places=free_places,
            )
        await self.engine.push(admitted)

    async def _mail(self) -> None:
        await self._mail_waits.wait()
        self._mail_waits.clear()
        await self.outbox.run_once()

    async def _serve(self) -> None:
        """One of the places at which jobs run."""
        while True:
            job_id = (await self.engine.pop()).job_id
            self.running += 1
            try:
                await self._run_job(job_id)
            finally:
                self.running -= 1
                self._work_waits.set()

    async def _run_job(self, job_id: str) -> None:
        """One attempt; where it cannot even be given back, its lease runs out and it is taken up again."""
        try:
            job = await self.runner.claim(job_id)
            if job is not None:
                with logs.bound(job_id=job.id, issue_id=job.issue_id, fence=job.fence):
                    await self._attempt(job)
        except Exception:
            # Also where our own way to end a broken attempt is broken: no job may end the worker.
            log.exception("job_left_alone", job_id=job_id)
            await self.clock.sleep(TROUBLE_SECONDS)

    async def _attempt(self, job: ClaimedJob) -> None:
        try:
            await self.runner.run(job)
        except Exception as error:
            # The entry of every job: a bug ends an attempt, never the worker.
            log.exception("job_crashed")
            await self.runner.crashed(job, error)

    async def _beat(self) -> None:
        await self.github.look()
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
        )
        async with self.database.write() as connection:
            await workers.beat(Scope.system(), connection, report)
            await workers.forget(Scope.system(), connection, before=now - FORGET_AFTER)
        await self.clock.sleep(self.heartbeat_seconds)


def _in_words(sandbox: SandboxStatus) -> str:
    """The reason why repository code cannot be held, and the remedy; nothing where it can."""
    return ". ".join(filter(None, [sandbox.reason, sandbox.remedy]))

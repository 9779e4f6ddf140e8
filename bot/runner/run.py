"""One attempt at one job, from claim to end, and what becomes of an attempt that did not get there."""

import asyncio
import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from bot import logs
from bot.db import jobs, schedule
from bot.db.database import Database
from bot.db.schedule import MAX_CRASHES_WITHOUT_PROGRESS
from bot.domain.clock import Clock
from bot.domain.enums import Cause, Phase
from bot.domain.values import ClaimedJob, Scope
from bot.errors import LeaseLost, Permanent, RetryLater
from bot.runner.ending import AGAIN, Ending
from bot.runner.lease import CancelRequested, JobLease
from bot.runner.outcome import Outcome
from bot.runner.work import Work

log = logs.get(__name__)

_SET_ASIDE: Final = "The worker died on this job again and again, so it was set aside."
_OUR_BUG: Final = "Something went wrong in Issuewright itself; its log has the details."
MAX_BACKOFF_SECONDS: Final = 300.0
MAX_WAIT: Final = timedelta(hours=24)
"""How long a job waits for a GitHub that is away before it ends with `github_error`."""


@dataclass(frozen=True, slots=True)
class Times:
    """Waits of a worker, in seconds."""

    lease_seconds: float
    heartbeat_seconds: float
    backoff_seconds: float


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs jobs; each call of `run` is one attempt at one job."""

    database: Database
    work: Work
    ending: Ending
    clock: Clock
    times: Times
    owner: str
    jitter: Callable[[], float] = random.random

    async def claim(self, job_id: str) -> ClaimedJob | None:
        """Own the job from now on; None when it is not free."""
        async with self.database.write() as connection:
            return await schedule.claim(
                Scope.system(),
                connection,
                job_id,
                self.owner,
                now=self.clock.now(),
                lease=timedelta(seconds=self.times.lease_seconds),
            )

    async def run(self, job: ClaimedJob) -> None:
        """Bring a claimed job to its end, or give it back; one that was lost is left alone."""
        log.info("job_claimed", attempt=job.attempts, phase=job.phase.value)
        try:
            await self._attempt(job)
        except LeaseLost:
            log.warning("lease_lost")
        except RetryLater as error:
            await self._give_back(job, error)
        except asyncio.CancelledError:
            # This worker is told to stop: another one goes on from what is recorded.
            await asyncio.shield(self._hand_back(job, "handed back by a worker that stopped"))
            raise

    async def crashed(self, job: ClaimedJob, error: BaseException) -> None:
        """A bug of ours ended the attempt: try again while attempts are left, then end it in words."""
        name = type(error).__name__
        if job.attempts < job.max_attempts:
            await self._give_back(job, RetryLater(f"{name} in our own code", cause=Cause.BUG))
            return
        with contextlib.suppress(LeaseLost):
            if await self._is_frozen(job):
                await self.ending.give_up(job, Cause.BUG, _OUR_BUG)
                return
            await self.ending.freeze(job, Outcome(Cause.BUG, _OUR_BUG, AGAIN))
            await self._hand_back(job, f"{name} in our own code")

    async def _attempt(self, job: ClaimedJob) -> None:
        lease = self._lease(job)
        is_set_aside = job.crashes_without_progress >= MAX_CRASHES_WITHOUT_PROGRESS
        if job.phase is Phase.FROZEN and is_set_aside:
            await self.ending.give_up(job, Cause.BUG, _SET_ASIDE)
            return
        if job.phase is not Phase.FROZEN:
            set_aside = Outcome(Cause.BUG, _SET_ASIDE, AGAIN)
            outcome = set_aside if is_set_aside else await self._outcome(job, lease)
            await lease.guard(self.ending.freeze(job, outcome), may_cancel=False)
        await lease.guard(self.ending.publish(job, lease), may_cancel=False)

    async def _outcome(self, job: ClaimedJob, lease: JobLease) -> Outcome:
        """What the work came to; every way to fail that can be told in words is an outcome too."""
        try:
            return await lease.guard(self._work(job, lease), may_cancel=True)
        except CancelRequested as error:
            return Outcome(Cause.CANCELLED, f"This job was cancelled: {error}.", AGAIN)
        except Permanent as error:
            return Outcome(error.cause, _sentence(str(error)), AGAIN)
        except RetryLater as error:
            if not await self._is_exhausted(job, error):
                raise
            return Outcome(error.cause, _sentence(f"{error}, and trying again did not help"), AGAIN)

    async def _work(self, job: ClaimedJob, lease: JobLease) -> Outcome:
        await self._phase(job, Phase.AUTHORIZE)
        await self.work.authorize(job)
        await self.ending.publishing.announce(job, lease)
        await self._phase(job, Phase.WORK)
        outcome = await self.work.run(job)
        if outcome.cause is Cause.PULL_REQUEST:
            await self.work.authorize(job)
        return outcome

    async def _is_exhausted(self, job: ClaimedJob, error: RetryLater) -> bool:
        """A GitHub that is away costs no attempt, but no job waits for it longer than MAX_WAIT."""
        if error.cause is not Cause.GITHUB_ERROR:
            return job.attempts >= job.max_attempts
        async with self.database.read() as connection:
            asked_at = await jobs.created_at(Scope(job.organization_id), connection, job.id)
        return self.clock.now() - asked_at > MAX_WAIT

    async def _give_back(self, job: ClaimedJob, error: RetryLater) -> None:
        """Let the job wait; an attempt is lost unless it is GitHub that is away."""
        backoff = min(self.times.backoff_seconds * 2.0**job.attempts, MAX_BACKOFF_SECONDS)
        seconds = max(error.after_seconds or 0.0, backoff) * (1 + self.jitter() / 2)
        try:
            if await self._is_frozen(job) and await self._is_exhausted(job, error):
                await self.ending.give_up(job, error.cause, f"{error}, and trying again did not help.")
                return
            await self._wait(job, str(error), seconds, is_counted=error.cause is not Cause.GITHUB_ERROR)
        except LeaseLost:
            log.warning("lease_lost")
        else:
            log.warning("job_waits", why=str(error), seconds=round(seconds, 1))

    async def _hand_back(self, job: ClaimedJob, why: str) -> None:
        """Let another worker have it at once; where that fails, the lease runs out instead."""
        try:
            await self._wait(job, why, 0.0, is_counted=False)
        except (LeaseLost, SQLAlchemyError, OSError) as error:
            log.warning("not_handed_back", why=type(error).__name__)

    async def _wait(self, job: ClaimedJob, why: str, seconds: float, *, is_counted: bool) -> None:
        now = self.clock.now()
        async with self.database.write() as connection:
            await jobs.retry_later(
                Scope(job.organization_id),
                connection,
                job,
                wake_at=now + timedelta(seconds=seconds),
                error=why,
                is_counted=is_counted,
                now=now,
            )

    async def _is_frozen(self, job: ClaimedJob) -> bool:
        """Whether the end is fixed by now, so that only publishing is left."""
        async with self.database.read() as connection:
            found = await jobs.load(Scope(job.organization_id), connection, job.id)
        return found.phase is Phase.FROZEN

    async def _phase(self, job: ClaimedJob, phase: Phase) -> None:
        async with self.database.write() as connection:
            await jobs.set_phase(Scope(job.organization_id), connection, job, phase)

    def _lease(self, job: ClaimedJob) -> JobLease:
        return JobLease(
            self.database, job, self.clock, self.times.lease_seconds, self.times.heartbeat_seconds
        )


def _sentence(words: str) -> str:
    """*words* of an error as people read them: a capital in front, one full stop behind."""
    return f"{words[:1].upper()}{words[1:].rstrip('.')}."

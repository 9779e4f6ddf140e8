"""One attempt at one job, from claim to end, and what becomes of an attempt that did not get there."""

import asyncio
import contextlib
import errno
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from bot import logs
from bot.db import jobs, schedule, trouble
from bot.db.database import Database
from bot.db.schedule import MAX_CRASHES_WITHOUT_PROGRESS
from bot.domain.backoff import backoff_seconds
from bot.domain.clock import Clock
from bot.domain.enums import Cause, Phase
from bot.domain.values import ClaimedJob, Scope
from bot.errors import AccountRefused, LeaseLost, Permanent, RetryLater
from bot.runner.announcing import Announcing
from bot.runner.breaker import Breaker, Heard, refusal
from bot.runner.ending import AGAIN, Ending
from bot.runner.lease import CancelRequested, JobLease
from bot.runner.outcome import Outcome, sentence
from bot.runner.work import Withdrawn, Work

log = logs.get(__name__)

_HANDED_BACK: Final = "handed back by a worker that stopped"
_SET_ASIDE: Final = "The worker died on this job again and again, so it was set aside."
_OUR_BUG: Final = "Something went wrong in Issuewright itself; its log has the details."
MAX_BACKOFF_SECONDS: Final = 300.0
MAX_WAIT: Final = timedelta(hours=24)
"""How long a job waits for a GitHub or a model that is away before it ends with that."""
TROUBLE_SECONDS: Final = 1.0
_PROBE_BACKOFFS: Final = 12
_FULL: Final = "The worker's machine has no room left on its disk"
_NO_ROOM: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EMFILE, errno.ENFILE})


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
    breaker: Breaker = field(default_factory=Breaker)

    async def claim(self, job_id: str) -> ClaimedJob | None:
        """Own the job from now on; None when it is not free.

        Whoever is told to stop meanwhile gives back what the database may already have written down.
        """
        claiming = asyncio.create_task(self._claim(job_id))
        try:
            return await asyncio.shield(claiming)
        except asyncio.CancelledError:
            await asyncio.shield(self._unclaim(claiming))
            raise

    async def _claim(self, job_id: str) -> ClaimedJob | None:
        async with self.database.write() as connection:
            return await schedule.claim(
                Scope.system(),
                connection,
                job_id,
                self.owner,
                now=self.clock.now(),
                lease=timedelta(seconds=self.times.lease_seconds),
            )

    async def _unclaim(self, claiming: "asyncio.Task[ClaimedJob | None]") -> None:
        try:
            job = await claiming
        except (SQLAlchemyError, OSError) as error:
            log.warning("database_trouble", why=type(error).__name__)
            return
        if job is not None:
            await self._hand_back(job, _HANDED_BACK)

    async def run(self, job: ClaimedJob) -> None:
        """Bring a claimed job to its end, or give it back; one that was lost is left alone."""
        log.info("job_claimed", attempt=job.attempts, phase=job.phase.value)
        try:
            await self._one_attempt(job)
        except (SQLAlchemyError, ConnectionError, TimeoutError) as error:
            if not trouble.is_passing(error):
                raise
            await self._after_trouble(job, error)

    async def _one_attempt(self, job: ClaimedJob) -> None:
        """The same, where the database answers."""
        try:
            await self._attempt(job)
        except LeaseLost:
            log.warning("lease_lost")
        except RetryLater as error:
            await self._give_back(job, error)
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise
            await self._give_back(job, RetryLater(_FULL, cause=Cause.BUG, is_away=True))
        except asyncio.CancelledError:
            # This worker is told to stop: another one goes on from what is recorded.
            await asyncio.shield(self._hand_back(job, _HANDED_BACK))
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
        except Withdrawn as error:
            return Outcome(error.cause, f"This job was cancelled: {error}.", AGAIN, is_quiet=True)
        except Permanent as error:
            return Outcome(error.cause, sentence(error.public), AGAIN)
        except RetryLater as error:
            if not await self._is_exhausted(job, error):
                raise
            return Outcome(error.cause, sentence(f"{error}, and trying again did not help"), AGAIN)

    async def _work(self, job: ClaimedJob, lease: JobLease) -> Outcome:
        self.breaker.check(self.clock.monotonic())
        async with self.work.reading(job):
            await self._phase(job, Phase.AUTHORIZE)
            await self.work.authorize(job)
            await self.work.confirm(job)
            await self._phase(job, Phase.WORK)
            outcome = await self._with_model(job, Announcing(self.ending.publishing, lease, self.clock))
            return await self._confirmed(job, outcome) if outcome.cause is Cause.PULL_REQUEST else outcome

    async def _confirmed(self, job: ClaimedJob, outcome: Outcome) -> Outcome:
        """A change that the person may still ask for; where GitHub cannot say, it is kept and asked later.

        So no attempt repeats what was run to find it.
        """
        try:
            await self.work.authorize(job)
        except RetryLater as error:
            log.warning("permission_unknown", why=str(error))
            return replace(outcome, is_unconfirmed=True)
        return outcome

    async def _with_model(self, job: ClaimedJob, announcing: Announcing) -> Outcome:
        """Do the work; of many jobs that a refused account stops, the first ends, and the others wait."""
        heard = Heard(self.work.model)
        try:
            outcome = await self.work.with_model(heard).run(job, announcing.told)
        except AccountRefused as error:
            probe_seconds = _PROBE_BACKOFFS * self.times.backoff_seconds
            if self.breaker.refused(str(error), self.clock.monotonic(), probe_seconds=probe_seconds):
                raise
            raise refusal(str(error)) from error
        # Work that is only repeated from its record says nothing of the account.
        if heard.has_answered:
            self.breaker.served()
        return outcome

    async def _is_exhausted(self, job: ClaimedJob, error: RetryLater) -> bool:
        """What is away costs no attempt, but no job waits for it longer than MAX_WAIT."""
        if not error.is_away:
            return job.attempts >= job.max_attempts
        _, since = await self._waited(job)
        return since is not None and self.clock.now() - since > MAX_WAIT

    async def _give_back(self, job: ClaimedJob, error: RetryLater) -> None:
        """Let the job wait; an attempt is lost unless GitHub or the model is away."""
        waits, _ = await self._waited(job)
        doublings = waits + 1 if error.is_away else job.attempts
        backoff = backoff_seconds(self.times.backoff_seconds, doublings, MAX_BACKOFF_SECONDS)
        seconds = max(error.after_seconds or 0.0, backoff) * (1 + self.jitter() / 2)
        try:
            if await self._is_frozen(job) and await self._is_exhausted(job, error):
                await self.ending.give_up(job, error.cause, f"{error}, and trying again did not help.")
                return
            if error.is_away and error.cause is Cause.MODEL_ERROR:
                await self.ending.publishing.say_waiting(job, self._lease(job))
            await self._wait(job, str(error), seconds, is_counted=not error.is_away, is_waiting=error.is_away)
        except LeaseLost:
            log.warning("lease_lost")
        else:
            log.warning("job_waits", why=str(error), seconds=round(seconds, 1))

    async def _hand_back(self, job: ClaimedJob, why: str) -> bool:
        """Let another worker have it at once; where the database is away, False: else the lease runs out."""
        try:
            await self._wait(job, why, 0.0, is_counted=False)
        except LeaseLost:
            log.warning("lease_lost")
        except (SQLAlchemyError, OSError) as error:
            log.warning("not_handed_back", why=type(error).__name__)
            return False
        return True

    async def _after_trouble(self, job: ClaimedJob, error: Exception) -> None:
        """Give the job back to whoever comes first, as soon as the database takes that; no attempt is lost.

        After a lease's time it is not ours any more.
        """
        log.warning("database_trouble", why=trouble.words(error))
        end = self.clock.monotonic() + self.times.lease_seconds
        while not await self._hand_back(job, "the database did not answer") and self.clock.monotonic() < end:
            await self.clock.sleep(TROUBLE_SECONDS)

    async def _waited(self, job: ClaimedJob) -> tuple[int, datetime | None]:
        async with self.database.read() as connection:
            return await jobs.waited(Scope(job.organization_id), connection, job)

    async def _wait(
        self, job: ClaimedJob, why: str, seconds: float, *, is_counted: bool, is_waiting: bool = False
    ) -> None:
        now = self.clock.now()
        async with self.database.write() as connection:
            await jobs.retry_later(
                Scope(job.organization_id),
                connection,
                job,
                wake_at=now + timedelta(seconds=seconds),
                error=why,
                is_counted=is_counted,
                is_waiting=is_waiting,
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

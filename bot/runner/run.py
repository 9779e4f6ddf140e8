"""One job from claim to settle: what ends it is frozen first, and published only from what was frozen."""

import asyncio
import contextlib
import random
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final

from bot import logs
from bot.db import jobs, schedule, transcript
from bot.db.database import Database
from bot.domain.clock import Clock
from bot.domain.enums import Cause, JobStatus, LogLevel, Phase
from bot.domain.values import ClaimedJob, Scope
from bot.errors import LeaseLost, Permanent, RetryLater
from bot.runner import freezing
from bot.runner.freezing import Voice
from bot.runner.lease import CancelRequested, JobLease
from bot.runner.outcome import Outcome
from bot.runner.publishing import Publishing, Refused
from bot.runner.work import Work

log = logs.get(__name__)

_AGAIN: Final = "`/agent fix` asks again."
_KEPT: Final = "The change is kept with the job; mend what GitHub refused and use `/agent fix` again."
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
    publishing: Publishing
    voice: Callable[[ClaimedJob], Awaitable[Voice]]
    clock: Clock
    times: Times
    owner: str
    jitter: Callable[[], float] = random.random

    async def run(self, job_id: str) -> None:
        """Claim the job and bring it to its end, or give it back; a job that is not free is left alone."""
        job = await self._claim(job_id)
        if job is None:
            return
        with logs.bound(job_id=job.id, issue_id=job.issue_id, fence=job.fence):
            log.info("job_claimed", attempt=job.attempts, phase=job.phase.value)
            try:
                await self._attempt(job)
            except LeaseLost:
                log.warning("lease_lost")
            except RetryLater as error:
                await self._give_back(job, error)
            except asyncio.CancelledError:
                # This worker is told to stop: another one goes on from what is recorded.
                await asyncio.shield(self._hand_back(job))
                raise

    async def crashed(self, job_id: str, error: BaseException) -> None:
        """A bug of ours ended the attempt: try again while attempts are left, then end it in words."""
        async with self.database.read() as connection:
            job = await jobs.load(Scope.system(), connection, job_id)
        try:
            if job.attempts < job.max_attempts:
                await self._give_back(
                    job, RetryLater(f"{type(error).__name__} in our own code", cause=Cause.BUG)
                )
            else:
                sentence = "Something went wrong in Issuewright itself; its log has the details."
                await self._end(job, self._lease(job), Outcome(Cause.BUG, sentence))
        except LeaseLost:
            log.warning("lease_lost", job_id=job_id)

    async def quarantine(self, job_id: str) -> None:
        """End a job whose workers died again and again before it made a step."""
        job = await self._claim(job_id)
        if job is not None:
            sentence = "The worker died on this job again and again, so it was set aside."
            await self._end(job, self._lease(job), Outcome(Cause.BUG, sentence, _AGAIN))

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

    async def _attempt(self, job: ClaimedJob) -> None:
        lease = self._lease(job)
        if job.phase is Phase.FROZEN:
            await lease.guard(self._publish_and_settle(job, lease), may_cancel=False)
            return
        outcome = await self._outcome(job, lease)
        await lease.guard(self._end(job, lease, outcome), may_cancel=False)

    async def _outcome(self, job: ClaimedJob, lease: JobLease) -> Outcome:
        """What the work came to; every way to fail that can be told in words is an outcome too."""
        try:
            return await lease.guard(self._work(job, lease), may_cancel=True)
        except CancelRequested as error:
            return Outcome(Cause.CANCELLED, f"This job was cancelled: {error}.", _AGAIN)
        except Permanent as error:
            return Outcome(error.cause, f"{error}.".replace("..", "."), _AGAIN)
        except RetryLater as error:
            if not await self._is_exhausted(job, error):
                raise
            return Outcome(error.cause, f"{error}, and trying again did not help.", _AGAIN)

    async def _work(self, job: ClaimedJob, lease: JobLease) -> Outcome:
        await self._phase(job, Phase.AUTHORIZE)
        await self.work.authorize(job)
        await self.publishing.announce(job, lease)
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

    async def _end(self, job: ClaimedJob, lease: JobLease, outcome: Outcome) -> None:
        await self._freeze(job, outcome)
        await self._publish_and_settle(job, lease)

    async def _freeze(self, job: ClaimedJob, outcome: Outcome) -> None:
        """Fix the end in one transaction: words, files, keys, artifacts, cause."""
        voice = await self.voice(job)
        kinds = freezing.withheld(outcome, voice)
        if kinds:
            outcome = _without_change(outcome, kinds)
        scope = Scope(job.organization_id)
        now = self.clock.now()
        async with self.database.write() as connection:
            has_living = await self.publishing.has_living(connection, job)
            await jobs.freeze(
                scope,
                connection,
                job,
                outcome.cause,
                error=outcome.sentence or None,
                result={"summary": outcome.summary, "steps": outcome.steps, "costUsd": outcome.cost_usd},
                now=now,
            )
            await transcript.add_artifacts(scope, connection, job, freezing.artifacts_of(outcome), now=now)
            await self.publishing.freeze_in(
                connection, job, freezing.operations_of(job, outcome, voice, has_living=has_living)
            )
            await transcript.add_log(
                scope, connection, job.id, LogLevel.INFO, f"ended: {outcome.cause.value}", now=now
            )
        log.info("job_frozen", cause=outcome.cause.value)

    async def _publish_and_settle(self, job: ClaimedJob, lease: JobLease) -> None:
        refused = await self.publishing.publish(job, lease)
        if refused is not None:
            await self._freeze_refusal(job, refused)
            await self.publishing.publish(job, lease)
        await self._settle(job)

    async def _freeze_refusal(self, job: ClaimedJob, refused: Refused) -> None:
        """The change cannot be published: the job ends with that, and the thread hears it instead."""
        voice = await self.voice(job)
        outcome = Outcome(refused.cause, refused.sentence, _KEPT)
        scope = Scope(job.organization_id)
        async with self.database.write() as connection:
            has_living = await self.publishing.has_living(connection, job)
            await self.publishing.refuse(connection, job, refused.sentence)
            await jobs.freeze(
                scope,
                connection,
                job,
                refused.cause,
                error=refused.sentence,
                result={"summary": ""},
                now=self.clock.now(),
            )
            (last,) = freezing.operations_of(job, outcome, voice, has_living=has_living)
            renamed = replace(last, key=freezing.key_of(job, "refused"))
            await self.publishing.freeze_in(connection, job, [renamed])

    async def _settle(self, job: ClaimedJob) -> JobStatus:
        scope = Scope(job.organization_id)
        async with self.database.write() as connection:
            pull = await self.publishing.pull_artifact(connection, job)
            if pull is not None:
                await transcript.add_artifacts(scope, connection, job, [pull], now=self.clock.now())
            status = await jobs.settle(scope, connection, job, now=self.clock.now())
        log.info("job_settled", status=status.value)
        return status

    async def _give_back(self, job: ClaimedJob, error: RetryLater) -> None:
        """Let the job wait; an attempt is lost unless it is GitHub that is away."""
        if await self._has_waited_too_long(job, error):
            async with self.database.write() as connection:
                await self.publishing.refuse(connection, job, str(error))
            await self._settle(job)
            return
        backoff = min(self.times.backoff_seconds * 2.0**job.attempts, MAX_BACKOFF_SECONDS)
        seconds = max(error.after_seconds or 0.0, backoff) * (1 + self.jitter() / 2)
        async with self.database.write() as connection:
            await jobs.retry_later(
                Scope(job.organization_id),
                connection,
                job,
                wake_at=self.clock.now() + timedelta(seconds=seconds),
                error=str(error),
                is_counted=error.cause is not Cause.GITHUB_ERROR,
                now=self.clock.now(),
            )
        log.warning("job_waits", why=str(error), seconds=round(seconds, 1))

    async def _hand_back(self, job: ClaimedJob) -> None:
        now = self.clock.now()
        with contextlib.suppress(LeaseLost):
            async with self.database.write() as connection:
                await jobs.retry_later(
                    Scope(job.organization_id),
                    connection,
                    job,
                    wake_at=now,
                    error="handed back by a worker that stopped",
                    is_counted=False,
                    now=now,
                )

    async def _has_waited_too_long(self, job: ClaimedJob, error: RetryLater) -> bool:
        """Whether a frozen job could not be published for so long that it ends untold."""
        async with self.database.read() as connection:
            found = await jobs.load(Scope(job.organization_id), connection, job.id)
        return found.phase is Phase.FROZEN and await self._is_exhausted(job, error)

    async def _phase(self, job: ClaimedJob, phase: Phase) -> None:
        async with self.database.write() as connection:
            await jobs.set_phase(Scope(job.organization_id), connection, job, phase)

    def _lease(self, job: ClaimedJob) -> JobLease:
        return JobLease(
            self.database, job, self.clock, self.times.lease_seconds, self.times.heartbeat_seconds
        )


def _without_change(outcome: Outcome, kinds: tuple[str, ...]) -> Outcome:
    """The same end without a change that holds a secret: it is neither published nor kept."""
    sentence = f"The change was withheld: it holds something that looks like a secret ({', '.join(kinds)})."
    return Outcome(
        Cause.REFUSED,
        sentence,
        _AGAIN,
        records=outcome.records,
        steps=outcome.steps,
        cost_usd=outcome.cost_usd,
    )

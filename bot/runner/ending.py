"""The end of a job: frozen first, published from that alone, settled when nothing is left to send."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from bot import logs
from bot.db import job_messages, jobs, transcript
from bot.db.database import Database
from bot.domain.clock import Clock
from bot.domain.enums import Cause, LogLevel
from bot.domain.values import ClaimedJob, Scope
from bot.runner import freezing
from bot.runner.freezing import Voice
from bot.runner.lease import JobLease
from bot.runner.outcome import COMMAND, Outcome
from bot.runner.publishing import Publishing, Refused

log = logs.get(__name__)

AGAIN: Final = f"`{COMMAND}` asks again."
_MEND: Final = f"Mend what GitHub refused and use `{COMMAND}` again."


@dataclass(frozen=True, slots=True)
class Ending:
    """Brings a job from its outcome to its final state; every method raises LeaseLost."""

    database: Database
    publishing: Publishing
    voice: Callable[[ClaimedJob], Awaitable[Voice]]
    clock: Clock

    async def freeze(self, job: ClaimedJob, outcome: Outcome) -> None:
        """Fix the end in one transaction: words, files, keys, artifacts, cause."""
        voice = await self.voice(job)
        kinds = freezing.withheld(outcome, voice)
        if kinds:
            outcome = _without_change(outcome, kinds)
        scope = Scope(job.organization_id)
        now = self.clock.now()
        async with self.database.write() as connection:
            has_living = await self.publishing.has_living(connection, job)
            outcome = _with_late(outcome, await job_messages.count_waiting(scope, connection, job.id))
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
            if has_living or not outcome.is_quiet:
                await self.publishing.freeze_in(
                    connection, job, freezing.operations_of(job, outcome, voice, has_living=has_living)
                )
            await transcript.add_log(
                scope, connection, job.id, LogLevel.INFO, f"ended: {outcome.cause.value}", now=now
            )
        log.info("job_frozen", cause=outcome.cause.value)

    async def publish(self, job: ClaimedJob, lease: JobLease) -> None:
        """Send what was frozen, or, where GitHub refuses the change, say so instead; then settle.

        Raises:
            RetryLater: Something is not known, or has to wait.
        """
        refused = await self.publishing.publish(job, lease)
        if refused is not None:
            await self._freeze_refusal(job, refused)
            await self.publishing.publish(job, lease)
        async with self.database.write() as connection:
            await self._settle(connection, job)

    async def give_up(self, job: ClaimedJob, cause: Cause, why: str) -> None:
        """Settle a frozen job although not everything was sent: the thread hears no more of it.

        A pull request that stands stays the job's end; one that was never opened cannot be.
        """
        scope = Scope(job.organization_id)
        async with self.database.write() as connection:
            await self.publishing.refuse(connection, job, why)
            has_pull = await self.publishing.pull_artifact(connection, job) is not None
            frozen = await jobs.frozen_cause(scope, connection, job)
            if frozen is Cause.PULL_REQUEST and not has_pull:
                await jobs.freeze(scope, connection, job, cause, error=why, result=None, now=self.clock.now())
            await self._settle(connection, job)
        log.warning("publishing_given_up", why=why)

    async def _freeze_refusal(self, job: ClaimedJob, refused: Refused) -> None:
        """The change cannot be published: the job ends with that, and the thread hears it instead."""
        voice = await self.voice(job)
        next_step = _MEND if refused.cause is Cause.GITHUB_ERROR else AGAIN
        outcome = Outcome(refused.cause, refused.sentence, next_step, has_kept_change=True)
        scope = Scope(job.organization_id)
        async with self.database.write() as connection:
            has_living = await self.publishing.has_living(connection, job)
            await self.publishing.refuse(connection, job, refused.sentence, has_last_word=True)
            await jobs.freeze(
                scope,
                connection,
                job,
                refused.cause,
                error=refused.sentence,
                result=None,
                now=self.clock.now(),
            )
            (last,) = freezing.operations_of(job, outcome, voice, has_living=has_living)
            renamed = replace(last, key=freezing.key_of(job, "refused"))
            await self.publishing.freeze_in(connection, job, [renamed])

    async def _settle(self, connection: AsyncConnection, job: ClaimedJob) -> None:
        scope = Scope(job.organization_id)
        pull = await self.publishing.pull_artifact(connection, job)
        if pull is not None:
            await transcript.add_artifacts(scope, connection, job, [pull], now=self.clock.now())
        status = await jobs.settle(scope, connection, job, now=self.clock.now())
        log.info("job_settled", status=status.value)


def _with_late(outcome: Outcome, count: int) -> Outcome:
    """The same end, with a word on what people said after the agent had ended its work."""
    if not count:
        return outcome
    said = "One comment" if count == 1 else f"{count} comments"
    words = f"{said} came too late to be read; `/agent continue` goes on with that."
    return replace(outcome, next_step=f"{outcome.next_step} {words}".strip())


def _without_change(outcome: Outcome, kinds: tuple[str, ...]) -> Outcome:
    """The same end without a change that holds a secret: it is neither published nor kept."""
    sentence = f"The change was withheld: it holds something that looks like a secret ({', '.join(kinds)})."
    return Outcome(
        Cause.REFUSED,
        sentence,
        AGAIN,
        records=outcome.records,
        steps=outcome.steps,
        cost_usd=outcome.cost_usd,
    )

"""One ticket of the engine: claimed, brought to its end, and told to the engine; no bug of ours ends more."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy.exc import IntegrityError

from bot import logs
from bot.db.again import again
from bot.db.database import Database
from bot.db.standing import Standing, standing
from bot.domain.clock import Clock
from bot.domain.enums import JobStatus
from bot.domain.values import ClaimedJob, Scope
from bot.errors import UserError
from bot.queue.base import Ended, QueueEngine, Ticket
from bot.runner.run import Runner

log = logs.get(__name__)

BY_QUEUE: Final = "operator:queue"
NO_SUCH_JOB: Final = "There is no such job in Issuewright's database."
TROUBLE_SECONDS: Final = 1.0


@dataclass(frozen=True, slots=True)
class Serving:
    """Works on tickets; what the engine says beyond the id decides nothing."""

    database: Database
    engine: QueueEngine
    runner: Runner
    clock: Clock
    lease_seconds: float

    async def serve(self, ticket: Ticket) -> None:
        """One attempt; where it cannot even be given back, its lease runs out and it is taken up again."""
        # What the engine hears from one who is told to stop: another worker may have it at once.
        ended = Ended(wake_at=self.clock.now())
        try:
            ended = await self._work(ticket)
        finally:
            await self.engine.end(ticket, ended)

    async def _work(self, ticket: Ticket) -> Ended:
        try:
            is_ours = await self._in_company(ticket.job_id)
            return await self._ended(ticket, is_ours=is_ours) if self.engine.is_shared else Ended()
        except Exception:
            # Also where our own way to end a broken attempt is broken: no job may end the worker.
            log.exception("job_left_alone", job_id=ticket.job_id)
            await self.clock.sleep(TROUBLE_SECONDS)
            return self._later(None)

    async def _in_company(self, job_id: str) -> bool:
        """One attempt, alone if it must be; whether there was one.

        It is claimed only when it may begin: who waits does not die with the worker.
        """
        found = await self._standing(job_id)
        company = self.runner.work.company
        async with company.place(job_id, is_suspect=found is not None and found.is_suspect) as is_free:
            job = await self.runner.claim(job_id) if is_free else None
            if job is not None:
                with logs.bound(**_ids(job)):
                    await self._attempt(job)
        return job is not None

    async def _standing(self, job_id: str) -> Standing | None:
        async with self.database.read() as connection:
            return await standing(Scope.system(), connection, job_id)

    async def _attempt(self, job: ClaimedJob) -> None:
        try:
            await self.runner.run(job)
        except Exception as error:
            # The entry of every job: a bug ends an attempt, never the worker.
            log.exception("job_crashed")
            await self.runner.crashed(job, error)

    async def _ended(self, ticket: Ticket, *, is_ours: bool) -> Ended:
        """What the database says has become of the job, for those who look at the engine."""
        found = await self._standing(ticket.job_id)
        if found is None:
            return Ended(reason=NO_SUCH_JOB)
        if not found.is_final:
            return self._later(found)
        if ticket.again and not is_ours:
            return await self._again(ticket)
        if found.status is JobStatus.COMPLETED:
            return Ended()
        return Ended(reason=found.error or found.status.value)

    async def _again(self, ticket: Ticket) -> Ended:
        """Somebody retried an ended job in the engine: a new job, one for each time that was done.

        The engine counts how often a job has ended there. A ticket that comes again because its worker
        was lost has the count that it had, and so finds the job that it has made.
        """
        try:
            async with self.database.write() as connection:
                made = await again(
                    Scope.system(),
                    connection,
                    ticket.job_id,
                    authority=BY_QUEUE,
                    trigger_key=f"queue:{ticket.job_id}:{ticket.again}",
                    now=self.clock.now(),
                )
        except UserError as error:
            return Ended(reason=str(error))
        except IntegrityError:
            return self._later(None)
        log.info("job_again", job_id=ticket.job_id, new_job_id=made.job_id, is_new=made.is_new)
        return Ended()

    def _later(self, found: Standing | None) -> Ended:
        """It is for the database to admit it again; the engine's own clock only catches what was missed."""
        now = self.clock.now()
        wake_at = found.wake_at if found is not None and found.wake_at is not None else now
        return Ended(wake_at=max(wake_at, now) + timedelta(seconds=self.lease_seconds))


def _ids(job: ClaimedJob) -> dict[str, object]:
    """What stands in every line about this attempt: whoever reads one finds all others, and the delivery."""
    return {
        "job_id": job.id,
        "issue_id": job.issue_id,
        "fence": job.fence,
        "delivery_id": job.origin.delivery_id,
        "installation_id": job.origin.installation_id,
        "repository_id": job.origin.repository_id,
    }

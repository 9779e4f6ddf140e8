"""Where a job stands, for those who only hold its id and do not own it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.schedule import MAX_CRASHES_WITHOUT_PROGRESS
from bot.db.scope import within
from bot.db.tables import agent_jobs, job_runs
from bot.domain.enums import JobStatus
from bot.domain.states import FINAL_JOBS
from bot.domain.values import Scope


@dataclass(frozen=True, slots=True)
class Standing:
    """A job's state; `error` is its sentence for people, `wake_at` the instant it waits for."""

    status: JobStatus
    error: str | None
    wake_at: datetime | None
    crashes_without_progress: int

    @property
    def is_final(self) -> bool:
        """Whether nothing will ever be done for this job again."""
        return self.status in FINAL_JOBS

    @property
    def is_suspect(self) -> bool:
        """Whether one more death of its worker would set it aside."""
        return self.crashes_without_progress == MAX_CRASHES_WITHOUT_PROGRESS - 1


async def standing(scope: Scope, connection: AsyncConnection, job_id: str) -> Standing | None:
    """How the job stands; None when there is none of that id."""
    statement = (
        select(
            agent_jobs.c.status,
            agent_jobs.c.error,
            job_runs.c.wake_at,
            func.coalesce(job_runs.c.crashes_without_progress, 0).label("crashes"),
        )
        .outerjoin(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .where(agent_jobs.c.id == job_id, within(scope, agent_jobs))
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else Standing(row.status, row.error, row.wake_at, row.crashes)

"""Jobs brought to their end."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import jobs, transcript
from bot.db.database import Database
from bot.db.tables import events, job_runs
from bot.db.transcript import Step
from bot.domain.enums import Cause, JobStatus, StepKind
from bot.domain.values import ClaimedJob, Scope
from tests.db.rows import NOW, claim


async def end_job(
    database: Database, job_id: str, cause: Cause, *, job: ClaimedJob | None = None
) -> JobStatus:
    """Run the job (unless it runs already as *job*), freeze and settle it."""
    job = job or await claim(database, job_id)
    scope = Scope(job.organization_id)
    async with database.write() as connection:
        await jobs.freeze(scope, connection, job, cause, error=None, result={"steps": 1}, now=NOW)
        return await jobs.settle(scope, connection, job, now=NOW)


async def add_step(
    scope: Scope, connection: AsyncConnection, job: ClaimedJob, step: Step, *, now: datetime
) -> None:
    """Record a step as a run does: in a write that owns the job."""
    await jobs.own(scope, connection, job, has_got_further=step.kind is StepKind.TURN)
    await transcript.insert_steps(connection, job, [step], now=now)


async def run_row(database: Database, job_id: str) -> dict[str, object]:
    """The row of `job_runs` by column keys."""
    statement = select(job_runs).where(job_runs.c.job_id == job_id)
    async with database.read() as connection:
        row = (await connection.execute(statement)).one()
    return {key: getattr(row, key) for key in job_runs.c.keys()}  # noqa: SIM118 (no mapping)


async def event_kinds(database: Database, job_id: str) -> list[str]:
    """What happened to the job, in order."""
    statement = select(events.c.kind).where(events.c.job_id == job_id).order_by(events.c.sequence)
    async with database.read() as connection:
        return list((await connection.execute(statement)).scalars())

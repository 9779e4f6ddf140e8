"""What triage made of a job: written down once, before the first turn, under the job's fence."""

from datetime import datetime

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import jobs
from bot.db.scope import within
from bot.db.tables import agent_issues, agent_jobs, job_origins, job_runs
from bot.domain.enums import Cause
from bot.domain.values import ClaimedJob, Json, Scope, Triage


async def note(
    scope: Scope, connection: AsyncConnection, job: ClaimedJob, triage: Triage, look: Json, *, now: datetime
) -> None:
    """Keep *triage*, and what the model said (*look*, empty where it said nothing); raises LeaseLost."""
    await jobs.own(scope, connection, job)
    await connection.execute(
        update(agent_jobs)
        .where(agent_jobs.c.id == job.id)
        .values(agent_type=triage.agent_type, model=triage.model, updated_at=now)
    )
    await connection.execute(
        update(agent_issues)
        .where(agent_issues.c.id == job.issue_id)
        .values(type=triage.type, priority=triage.priority, updated_at=now)
    )
    await connection.execute(
        update(job_origins)
        .where(job_origins.c.job_id == job.id)
        .values(triage=look, confidence=triage.confidence)
    )


async def look_of(scope: Scope, connection: AsyncConnection, job: ClaimedJob) -> Json | None:
    """What was kept of the model's look (empty where it said nothing); None: nobody has looked yet."""
    statement = (
        select(job_origins.c.triage)
        .join(agent_jobs, agent_jobs.c.id == job_origins.c.job_id)
        .where(job_origins.c.job_id == job.id, within(scope, agent_jobs))
    )
    found: Json | None = await connection.scalar(statement)
    return found


async def has_asked(scope: Scope, connection: AsyncConnection, job: ClaimedJob) -> bool:
    """Whether a job of the same request has ended with a question, whoever asked it."""
    statement = (
        select(agent_jobs.c.id)
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .where(
            agent_jobs.c.issue_id == job.issue_id,
            job_runs.c.cause == Cause.QUESTION_ASKED,
            within(scope, agent_jobs),
        )
    )
    return bool(await connection.scalar(select(exists(statement))))

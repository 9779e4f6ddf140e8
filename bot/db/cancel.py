"""Cancelling: a waiting job ends at once, a running one is marked for its owner."""

from datetime import datetime

from sqlalchemy import Select, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import events, jobs
from bot.db.scope import within
from bot.db.tables import agent_issues, agent_jobs, job_origins, job_runs
from bot.domain.enums import Cause, IssueStatus, JobStatus
from bot.domain.states import OPEN_JOBS, By, check_job
from bot.domain.values import Scope


async def request_cancel(
    scope: Scope,
    connection: AsyncConnection,
    *,
    repository_id: int,
    number: int | None,
    verb: str | None,
    reason: str,
    now: datetime,
) -> list[str]:
    """Cancel the open jobs of a thread (of a whole repository when *number* is None).

    A waiting job ends at once; a running one is marked and its owner ends it within seconds, as does
    the next owner of one that was given back: it waits no longer.

    Returns:
        The ids of the jobs that were waiting or running.
    """
    statement = _open_jobs(scope).where(job_origins.c.repository_id == repository_id)
    if number is not None:
        statement = statement.where(job_origins.c.number == number)
    if verb is not None:
        statement = statement.where(job_origins.c.verb == verb)
    return await _cancel(connection, statement, reason, now)


async def cancel_job(
    scope: Scope, connection: AsyncConnection, job_id: str, *, reason: str, now: datetime
) -> bool:
    """Cancel one job in the same way; whether it was open."""
    statement = _open_jobs(scope).where(agent_jobs.c.id == job_id)
    return bool(await _cancel(connection, statement, reason, now))


def _open_jobs(scope: Scope) -> Select[tuple[str, str, str, JobStatus]]:
    return (
        select(agent_jobs.c.id, agent_jobs.c.issue_id, agent_jobs.c.organization_id, agent_jobs.c.status)
        .join(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .where(agent_jobs.c.status.in_(OPEN_JOBS), within(scope, agent_jobs))
    )


async def _cancel(
    connection: AsyncConnection,
    statement: Select[tuple[str, str, str, JobStatus]],
    reason: str,
    now: datetime,
) -> list[str]:
    # All runs are locked, in one order, before the first event locks the organization.
    found = (await connection.execute(statement.order_by(agent_jobs.c.id))).all()
    for row in found:
        run = update(job_runs).where(job_runs.c.job_id == row.id)
        await connection.execute(run.values(cancel_reason=reason, wake_at=None))
    for row in found:
        if row.status is JobStatus.PAUSED:
            await _resume(connection, row.id, now)
        if row.status is not JobStatus.RUNNING:
            await _cancel_waiting(connection, row.id, row.issue_id, row.organization_id, reason, now)
    return [row.id for row in found]


async def _resume(connection: AsyncConnection, job_id: str, now: datetime) -> None:
    """A job that a person paused waits again: whoever ends it finds it like any other."""
    check_job(JobStatus.PAUSED, JobStatus.PENDING, By.PERSON)
    await connection.execute(
        update(agent_jobs)
        .where(agent_jobs.c.id == job_id, agent_jobs.c.status == JobStatus.PAUSED)
        .values(status=JobStatus.PENDING, updated_at=now)
    )


async def _cancel_waiting(
    connection: AsyncConnection, job_id: str, issue_id: str, organization_id: str, reason: str, now: datetime
) -> None:
    """End a job that waits and has published nothing; one whose words are out is left to its runner."""
    if await connection.scalar(select(job_runs.c.fence).where(job_runs.c.job_id == job_id)):
        return
    check_job(JobStatus.PENDING, JobStatus.CANCELLED, By.GITHUB)
    await connection.execute(
        update(agent_jobs)
        .where(agent_jobs.c.id == job_id, agent_jobs.c.status == JobStatus.PENDING)
        .values(status=JobStatus.CANCELLED, error=reason, completed_at=now, updated_at=now)
    )
    await connection.execute(
        update(job_runs).where(job_runs.c.job_id == job_id).values(cause=Cause.CANCELLED)
    )
    await jobs.close_run(connection, job_id)
    scope = Scope(organization_id)
    status = select(agent_issues.c.status).where(agent_issues.c.id == issue_id)
    if await connection.scalar(status) is not IssueStatus.REVIEW:  # where a pull request still waits
        await jobs.set_issue(scope, connection, issue_id, IssueStatus.CANCELLED, By.GITHUB, now=now)
    await events.append(
        scope,
        connection,
        "job.ended",
        now=now,
        issue_id=issue_id,
        job_id=job_id,
        data={"status": JobStatus.CANCELLED.value, "cause": Cause.CANCELLED.value},
    )

"""The scheduler: which jobs may run next, who owns one, and what becomes of a lost lease."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Select, and_, exists, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import events, jobs
from bot.db.columns import UtcTimestamp
from bot.db.scope import system_only, within
from bot.db.tables import agent_jobs, job_runs, job_steps, operations
from bot.db.turns import take_turn
from bot.domain.enums import IssueStatus, JobStatus, OperationState
from bot.domain.states import By, check_job
from bot.domain.values import ClaimedJob, Scope
from bot.errors import LeaseLost

ORGANIZATION_CAP = 3
MAX_CRASHES_WITHOUT_PROGRESS = 3


@dataclass(frozen=True, slots=True)
class Reaped:
    """A job whose owner was lost; a quarantined one is not worked on again, only ended in words."""

    job_id: str
    is_quarantined: bool


async def admit(
    scope: Scope, connection: AsyncConnection, *, now: datetime, readmit_after: timedelta, limit: int = 100
) -> list[str]:
    """Admit the jobs that may run now and return their ids, most urgent first.

    At most ORGANIZATION_CAP jobs of an organization are admitted or running. A job that was admitted
    longer than *readmit_after* ago and never claimed is handed out again: its engine lost it.
    """
    system_only(scope)
    await take_turn(connection, "admit")
    stale = now - readmit_after
    active, waiting = _active(stale).subquery(), _waiting(now, stale).subquery()
    statement = (
        select(waiting.c.id)
        .outerjoin(active, active.c.organization_id == waiting.c.organization_id)
        .where(waiting.c.place + func.coalesce(active.c.jobs, 0) <= ORGANIZATION_CAP)
        .order_by(waiting.c.priority, waiting.c.created_at, waiting.c.id)
        .limit(limit)
    )
    admitted = list((await connection.execute(statement)).scalars())
    # Locked in one order: a cancel locks several runs too.
    chosen = job_runs.c.job_id.in_(admitted)
    await connection.execute(
        select(job_runs.c.job_id).where(chosen).order_by(job_runs.c.job_id).with_for_update()
    )
    await connection.execute(update(job_runs).where(chosen).values(admitted_at=now))
    return admitted


def _active(stale: datetime) -> Select[tuple[str, int]]:
    """How many jobs of each organization are running, or admitted and not yet claimed."""
    return (
        select(agent_jobs.c.organization_id, func.count().label("jobs"))
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .where(
            or_(
                agent_jobs.c.status == JobStatus.RUNNING,
                and_(agent_jobs.c.status == JobStatus.PENDING, job_runs.c.admitted_at > stale),
            )
        )
        .group_by(agent_jobs.c.organization_id)
    )


def _waiting(now: datetime, stale: datetime) -> Select[tuple[Any, ...]]:
    """The jobs whose time has come, each with its place in the queue of its organization."""
    urgency = (agent_jobs.c.priority, agent_jobs.c.created_at, agent_jobs.c.id)
    place = func.row_number().over(partition_by=agent_jobs.c.organization_id, order_by=urgency)
    return (
        select(*urgency, agent_jobs.c.organization_id, place.label("place"))
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .where(
            agent_jobs.c.status == JobStatus.PENDING,
            or_(job_runs.c.wake_at.is_(None), job_runs.c.wake_at <= now),
            or_(job_runs.c.admitted_at.is_(None), job_runs.c.admitted_at <= stale),
        )
    )


async def claim(
    scope: Scope, connection: AsyncConnection, job_id: str, owner: str, *, now: datetime, lease: timedelta
) -> ClaimedJob | None:
    """Own the job until now + *lease*, with a fence higher than every earlier owner's; None if not free.

    A job that was given back is not free before its time, whoever still holds its id.
    """
    system_only(scope)
    # With the run locked, the condition sees what a cancel or another claim has just committed.
    await connection.execute(select(job_runs.c.job_id).where(job_runs.c.job_id == job_id).with_for_update())
    taken = await connection.execute(
        update(job_runs)
        .where(
            job_runs.c.job_id == job_id,
            or_(job_runs.c.lease_until.is_(None), job_runs.c.lease_until <= now),
            or_(job_runs.c.wake_at.is_(None), job_runs.c.wake_at <= now),
            exists().where(agent_jobs.c.id == job_id, agent_jobs.c.status == JobStatus.PENDING),
        )
        .values(fence=job_runs.c.fence + 1, lease_owner=owner, lease_until=now + lease, wake_at=None)
    )
    if taken.rowcount != 1:
        return None
    job = await jobs.load(scope, connection, job_id)
    check_job(JobStatus.PENDING, JobStatus.RUNNING, By.RUNNER)
    await connection.execute(
        update(agent_jobs)
        .where(agent_jobs.c.id == job_id)
        .values(
            status=JobStatus.RUNNING,
            attempts=job.attempts + 1,
            started_at=func.coalesce(agent_jobs.c.started_at, literal(now, UtcTimestamp())),
            updated_at=now,
        )
    )
    await jobs.set_issue(
        Scope(job.organization_id), connection, job.issue_id, IssueStatus.PROCESSING, By.RUNNER, now=now
    )
    await events.append(
        Scope(job.organization_id), connection, "job.started", now=now, issue_id=job.issue_id, job_id=job_id
    )
    return await jobs.load(scope, connection, job_id)


async def renew(
    scope: Scope, connection: AsyncConnection, job: ClaimedJob, *, now: datetime, lease: timedelta
) -> str | None:
    """Extend the lease to now + *lease*; returns the reason when somebody asked to cancel the job.

    Raises:
        LeaseLost: The job has another owner by now, or none.
    """
    result = await connection.execute(
        update(job_runs)
        .where(job_runs.c.job_id == job.id, job_runs.c.fence == job.fence)
        .where(exists().where(agent_jobs.c.id == job.id, agent_jobs.c.status == JobStatus.RUNNING))
        .where(exists().where(agent_jobs.c.id == job.id, within(scope, agent_jobs)))
        .values(lease_until=now + lease)
    )
    if result.rowcount != 1:
        raise LeaseLost(job.id)
    reason: str | None = await connection.scalar(
        select(job_runs.c.cancel_reason).where(job_runs.c.job_id == job.id)
    )
    return reason


async def has_expired(scope: Scope, connection: AsyncConnection, *, now: datetime) -> bool:
    """Whether any lease ran out, so that `reap` has something to do."""
    system_only(scope)
    found = await connection.scalar(
        select(job_runs.c.job_id)
        .join(agent_jobs, agent_jobs.c.id == job_runs.c.job_id)
        .where(agent_jobs.c.status == JobStatus.RUNNING, job_runs.c.lease_until <= now)
        .limit(1)
    )
    return found is not None


async def reap(scope: Scope, connection: AsyncConnection, *, now: datetime) -> list[Reaped]:
    """Take the running jobs whose lease ran out away from their owners.

    They wait again, one attempt given back; after MAX_CRASHES_WITHOUT_PROGRESS crashes without a new
    step, a frozen end or a finished write between them a job is quarantined: its next owner ends it.
    """
    system_only(scope)
    statement = (
        select(job_runs.c.job_id, job_runs.c.fence, job_runs.c.crashes_without_progress)
        .join(agent_jobs, agent_jobs.c.id == job_runs.c.job_id)
        .where(agent_jobs.c.status == JobStatus.RUNNING, job_runs.c.lease_until <= now)
        .order_by(job_runs.c.job_id)
    )
    reaped = []
    for row in (await connection.execute(statement)).all():
        has_moved = await _has_moved(connection, row.job_id, row.fence)
        crashes = 0 if has_moved else row.crashes_without_progress + 1
        fenced = await connection.execute(
            update(job_runs)
            .where(
                job_runs.c.job_id == row.job_id,
                job_runs.c.fence == row.fence,
                job_runs.c.lease_until <= now,
            )
            .values(
                fence=row.fence + 1,
                lease_owner=None,
                lease_until=None,
                admitted_at=None,
                crashes_without_progress=crashes,
            )
        )
        if fenced.rowcount == 1:
            await jobs.wait_again(connection, row.job_id, By.REAPER, now=now)
            reaped.append(Reaped(row.job_id, is_quarantined=crashes >= MAX_CRASHES_WITHOUT_PROGRESS))
    return reaped


async def _has_moved(connection: AsyncConnection, job_id: str, fence: int) -> bool:
    """Whether the owner with this fence recorded a step, or finished a write."""
    step = exists().where(job_steps.c.job_id == job_id, job_steps.c.fence == fence)
    write = exists().where(
        operations.c.job_id == job_id,
        operations.c.fence == fence,
        operations.c.state == OperationState.DONE,
    )
    return bool(await connection.scalar(select(or_(step, write))))

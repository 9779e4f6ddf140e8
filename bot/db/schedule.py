"""The scheduler: who owns a job, and what becomes of a lost lease; who may start is `admission`'s."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import case, exists, func, literal, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import events, jobs
from bot.db.admission import ORGANIZATION_CAP, Places, admit, free_places, unadmit
from bot.db.columns import UtcTimestamp
from bot.db.scope import system_only, within
from bot.db.submit import queue_issue
from bot.db.tables import agent_issues, agent_jobs, job_runs, job_steps, operations
from bot.domain.enums import IssueStatus, JobStatus, OperationState
from bot.domain.states import FINAL_ISSUES, By, check_job
from bot.domain.values import ClaimedJob, Scope
from bot.errors import LeaseLost

__all__ = [
    "MAX_CRASHES_WITHOUT_PROGRESS",
    "ORGANIZATION_CAP",
    "Places",
    "Reaped",
    "admit",
    "claim",
    "free_places",
    "has_expired",
    "reap",
    "renew",
    "unadmit",
]

MAX_CRASHES_WITHOUT_PROGRESS = 3
REQUEST_ENDED: Final = "its request has ended"


@dataclass(frozen=True, slots=True)
class Reaped:
    """A job whose owner was lost; a quarantined one is not worked on again, only ended in words."""

    job_id: str
    is_quarantined: bool


async def claim(
    scope: Scope, connection: AsyncConnection, job_id: str, owner: str, *, now: datetime, lease: timedelta
) -> ClaimedJob | None:
    """Own the job until now + *lease*, with a fence higher than every earlier owner's; None if not free.

    Free is what holds leave to start (see `admission`); the claim uses it up. So whoever still holds the
    id of a job that was given back, paused, cancelled or claimed gets nothing by it.
    """
    system_only(scope)
    # With the run locked, the condition sees what a cancel or another claim has just committed.
    await connection.execute(select(job_runs.c.job_id).where(job_runs.c.job_id == job_id).with_for_update())
    taken = await connection.execute(
        update(job_runs)
        .where(
            job_runs.c.job_id == job_id,
            job_runs.c.admitted_at.is_not(None),
            exists().where(agent_jobs.c.id == job_id, agent_jobs.c.status == JobStatus.PENDING),
        )
        .values(
            fence=job_runs.c.fence + 1,
            lease_owner=owner,
            lease_until=now + lease,
            admitted_at=None,
            wake_at=None,
        )
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
    await _take_up_issue(connection, job, now)
    await events.append(
        Scope(job.organization_id), connection, "job.started", now=now, issue_id=job.issue_id, job_id=job_id
    )
    return await jobs.load(scope, connection, job_id)


async def _take_up_issue(connection: AsyncConnection, job: ClaimedJob, now: datetime) -> None:
    """The issue is at work now; where somebody ended it while the job waited, the job is to end too."""
    status = (
        await connection.execute(select(agent_issues.c.status).where(agent_issues.c.id == job.issue_id))
    ).scalar_one()
    if status in FINAL_ISSUES:
        run = update(job_runs).where(job_runs.c.job_id == job.id, job_runs.c.cancel_reason.is_(None))
        await connection.execute(run.values(cancel_reason=REQUEST_ENDED))
        return
    scope = Scope(job.organization_id)
    await queue_issue(connection, job.issue_id, status, now=now)
    await jobs.set_issue(scope, connection, job.issue_id, IssueStatus.PROCESSING, By.RUNNER, now=now)


async def renew(
    scope: Scope, connection: AsyncConnection, job: ClaimedJob, *, now: datetime, lease: timedelta
) -> str | None:
    """Extend the lease to now + *lease*, never shorten it; returns the reason when the job is to end.

    Raises:
        LeaseLost: The job has another owner by now, or none.
    """
    until = literal(now + lease, UtcTimestamp())
    result = await connection.execute(
        update(job_runs)
        # The run's own row says whether it is held: when another transaction ends the job meanwhile,
        # Postgres looks at this row anew and at the job's as it was.
        .where(
            job_runs.c.job_id == job.id,
            job_runs.c.fence == job.fence,
            job_runs.c.lease_owner.is_not(None),
        )
        .where(exists().where(agent_jobs.c.id == job.id, within(scope, agent_jobs)))
        .values(lease_until=case((job_runs.c.lease_until > until, job_runs.c.lease_until), else_=until))
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
        is_quarantined = crashes >= MAX_CRASHES_WITHOUT_PROGRESS
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
                lease_losses=job_runs.c.lease_losses + 1,
                crashes_without_progress=crashes,
                quarantined_at=now if is_quarantined else job_runs.c.quarantined_at,
            )
        )
        if fenced.rowcount == 1:
            await jobs.wait_again(connection, row.job_id, By.REAPER, now=now)
            reaped.append(Reaped(row.job_id, is_quarantined=is_quarantined))
    return reaped


async def _has_moved(connection: AsyncConnection, job_id: str, fence: int) -> bool:
    """Whether the owner with this fence recorded a step that nobody had recorded before, or made a write.

    Who begins from the start again comes to the same steps: repeating them is no progress.
    """
    earlier = job_steps.alias()
    repeated = exists().where(
        earlier.c.job_id == job_steps.c.job_id,
        earlier.c.fence < job_steps.c.fence,
        earlier.c.number == job_steps.c.number,
        earlier.c.kind == job_steps.c.kind,
    )
    step = exists().where(job_steps.c.job_id == job_id, job_steps.c.fence == fence, ~repeated)
    write = exists().where(
        operations.c.job_id == job_id,
        operations.c.fence == fence,
        operations.c.state == OperationState.DONE,
    )
    return bool(await connection.scalar(select(or_(step, write))))

"""Rows that no longer agree with each other: issues that no job serves, writes that no job will send."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import events, jobs
from bot.db.scope import system_only
from bot.db.tables import agent_issues, agent_jobs, job_runs, operations
from bot.domain.enums import Cause, IssueStatus, JobStatus, OperationState
from bot.domain.states import FINAL_JOBS, OPEN_JOBS, By, end_of
from bot.domain.values import Scope

UNSENT: Final = "the job ended before this was sent"
UNKNOWN: Final = "the job ended before GitHub's answer came; whether this was made is not known"
NO_JOB: Final = "no job serves this request"
_MOVING: Final = (IssueStatus.QUEUED, IssueStatus.PROCESSING)
_ENDS: Final = {
    JobStatus.COMPLETED: IssueStatus.COMPLETED,
    JobStatus.FAILED: IssueStatus.FAILED,
    JobStatus.CANCELLED: IssueStatus.CANCELLED,
}


@dataclass(frozen=True, slots=True)
class Settled:
    """An issue that was waiting for nothing, and the state that its last job has left it in."""

    issue_id: str
    status: IssueStatus
    why: str


async def issue_ids(scope: Scope, connection: AsyncConnection, *, limit: int) -> list[str]:
    """Issues that are to be moving and have no open job."""
    system_only(scope)
    open_job = exists().where(agent_jobs.c.issue_id == agent_issues.c.id, agent_jobs.c.status.in_(OPEN_JOBS))
    statement = select(agent_issues.c.id).where(agent_issues.c.status.in_(_MOVING), ~open_job)
    return list(await connection.scalars(statement.order_by(agent_issues.c.id).limit(limit)))


async def settle(
    scope: Scope, connection: AsyncConnection, issue_id: str, *, now: datetime
) -> Settled | None:
    """Bring an issue to where its last job's cause says that it is, in the runner's place, with an event.

    None when it moves after all: the row is locked, and then looked at once more.
    """
    system_only(scope)
    issue = (
        await connection.execute(
            select(agent_issues.c.status, agent_issues.c.organization_id)
            .where(agent_issues.c.id == issue_id)
            .with_for_update()
        )
    ).one_or_none()
    if issue is None or issue.status not in _MOVING:
        return None
    last = (
        await connection.execute(
            select(agent_jobs.c.id, agent_jobs.c.status, job_runs.c.cause)
            .outerjoin(job_runs, job_runs.c.job_id == agent_jobs.c.id)
            .where(agent_jobs.c.issue_id == issue_id)
            .order_by(agent_jobs.c.status.in_(OPEN_JOBS).desc(), agent_jobs.c.id.desc())
            .limit(1)
        )
    ).one_or_none()
    if last is not None and last.status in OPEN_JOBS:
        return None
    found = _end(issue_id, last.status, last.cause) if last else Settled(issue_id, IssueStatus.FAILED, NO_JOB)
    owner = Scope(issue.organization_id)
    await jobs.set_issue(owner, connection, issue_id, IssueStatus.PROCESSING, By.RUNNER, now=now)
    await jobs.set_issue(owner, connection, issue_id, found.status, By.RUNNER, now=now)
    await events.append(
        owner,
        connection,
        "issue.settled",
        now=now,
        issue_id=issue_id,
        job_id=last.id if last else None,
        data={"status": found.status.value, "why": found.why},
    )
    return found


def _end(issue_id: str, status: JobStatus, cause: Cause | None) -> Settled:
    end = _ENDS[status] if cause is None else end_of(cause)[1]
    return Settled(issue_id, end, f"its last job ended: {cause.value if cause else status.value.lower()}")


async def close_writes(scope: Scope, connection: AsyncConnection, *, now: datetime) -> int:
    """Close, in words, the writes of ended jobs that are still open: nobody will send them.

    Those without a job (acknowledgements, help) belong to the outbox and are left to it.
    """
    system_only(scope)
    ended = exists().where(agent_jobs.c.id == operations.c.job_id, agent_jobs.c.status.in_(FINAL_JOBS))
    closed = 0
    for state, why in ((OperationState.INTENT, UNSENT), (OperationState.SENT, UNKNOWN)):
        result = await connection.execute(
            update(operations)
            .where(operations.c.state == state, operations.c.sequence >= 0, ended)
            .values(state=OperationState.FAILED, error=why, wake_at=None, done_at=now)
        )
        closed += result.rowcount
    return closed


async def trim_leases(
    scope: Scope, connection: AsyncConnection, *, now: datetime, lease: timedelta, slack: timedelta
) -> int:
    """Cut leases that reach further than anybody gives them to *lease* from now; returns how many.

    They were given by a clock that has been set back since; an owner that lives renews its own anyway.
    """
    system_only(scope)
    result = await connection.execute(
        update(job_runs).where(job_runs.c.lease_until > now + lease + slack).values(lease_until=now + lease)
    )
    return result.rowcount

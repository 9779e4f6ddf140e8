"""One job: loading it, moving it and its issue through their states; every write carries the fence."""

from datetime import datetime
from typing import Final

from sqlalchemy import RowMapping, bindparam, case, exists, func, literal, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import bell, events
from bot.db.columns import UtcTimestamp
from bot.db.prepared import prepared
from bot.db.scope import within
from bot.db.submit import NAME, snapshot_from_json
from bot.db.tables import agent_issues, agent_jobs, job_origins, job_runs, repositories
from bot.domain.enums import Cause, IssueStatus, JobStatus, Phase
from bot.domain.states import By, check_issue, check_job, end_of
from bot.domain.values import Actor, ClaimedJob, Json, Origin, RepositoryRef, Scope
from bot.errors import LeaseLost

# Built once, for a step of a run asks for one of them in each of its transactions.
_OWNED: Final = update(job_runs).where(
    job_runs.c.job_id == bindparam("own_job"),
    job_runs.c.fence == bindparam("own_fence"),
    job_runs.c.lease_owner.is_not(None),
)
_OWN: Final = prepared(_OWNED.values(fence=job_runs.c.fence))
_OWN_FURTHER: Final = prepared(_OWNED.values(waits=0, waiting_since=None))


async def load(scope: Scope, connection: AsyncConnection, job_id: str) -> ClaimedJob:
    """The job with its origin and its repository; raises NoResultFound when there is none in scope."""
    statement = (
        select(agent_jobs, job_runs, job_origins, repositories)
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .join(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .join(repositories, repositories.c.id == job_origins.c.repository_id)
        .where(agent_jobs.c.id == job_id, within(scope, agent_jobs))
    )
    found = (await connection.execute(statement)).mappings().one()
    repository = RepositoryRef(
        found[repositories.c.id],
        found[repositories.c.full_name],
        found[repositories.c.default_branch] or "main",
        found[repositories.c.is_private],
    )
    return ClaimedJob(
        id=job_id,
        issue_id=found[agent_jobs.c.issue_id],
        organization_id=found[agent_jobs.c.organization_id],
        agent_type=found[agent_jobs.c.agent_type],
        model=found[agent_jobs.c.model],
        attempts=found[agent_jobs.c.attempts],
        max_attempts=found[agent_jobs.c.max_attempts],
        fence=found[job_runs.c.fence],
        phase=found[job_runs.c.phase],
        lease_until=found[job_runs.c.lease_until],
        origin=_origin_of(found),
        repository=repository,
        crashes_without_progress=found[job_runs.c.crashes_without_progress],
        request_name=found[agent_jobs.c.config].get(NAME),
    )


def _origin_of(found: RowMapping) -> Origin:
    return Origin(
        repository_id=found[job_origins.c.repository_id],
        number=found[job_origins.c.number],
        kind=found[job_origins.c.kind],
        verb=found[job_origins.c.verb],
        actor=Actor(found[job_origins.c.actor_id], found[job_origins.c.actor_login]),
        trigger=found[job_origins.c.trigger],
        trigger_key=found[job_origins.c.trigger_key],
        snapshot=snapshot_from_json(found[job_origins.c.snapshot]),
        installation_id=found[job_origins.c.installation_id],
        comment_id=found[job_origins.c.comment_id],
        head_sha=found[job_origins.c.head_sha],
        confidence=found[job_origins.c.confidence],
        delivery_id=found[job_origins.c.delivery_id],
        continues_id=found[job_origins.c.continues_id],
    )


async def set_issue(
    scope: Scope, connection: AsyncConnection, issue_id: str, status: IssueStatus, by: By, *, now: datetime
) -> None:
    """Move an issue along one edge of the table; where it stands already, nothing happens.

    Raises:
        WrongTransition: The table has no such edge.
    """
    statement = select(agent_issues.c.status).where(
        agent_issues.c.id == issue_id, within(scope, agent_issues)
    )
    old = (await connection.execute(statement)).scalar_one()
    if old is status:
        return
    check_issue(old, status, by)
    await connection.execute(
        update(agent_issues).where(agent_issues.c.id == issue_id).values(status=status, updated_at=now)
    )


async def own(
    scope: Scope, connection: AsyncConnection, job: ClaimedJob, *, has_got_further: bool = False
) -> None:
    """Make sure, inside the caller's write, that the job is in scope and still ours; raises LeaseLost.

    A job that was settled or given back is nobody's, although its fence has not moved. One that has got
    further, by a new step of this write, forgets that it has waited.
    """
    _in_scope(scope, job)
    statement = _OWN_FURTHER if has_got_further else _OWN
    result = await connection.execute(statement, {"own_job": job.id, "own_fence": job.fence})
    if result.rowcount != 1:
        raise LeaseLost(job.id)


async def set_phase(scope: Scope, connection: AsyncConnection, job: ClaimedJob, phase: Phase) -> None:
    """Record how far the run has come; raises LeaseLost."""
    await own(scope, connection, job)
    await connection.execute(update(job_runs).where(job_runs.c.job_id == job.id).values(phase=phase))


async def freeze(
    scope: Scope,
    connection: AsyncConnection,
    job: ClaimedJob,
    cause: Cause,
    *,
    error: str | None,
    result: Json | None,
    now: datetime,
) -> None:
    """Fix the job's end before anything of it is published: from here on only publishing is left.

    Of a second end the cause and the error count; without a *result* the first one's stays.
    """
    await set_phase(scope, connection, job, Phase.FROZEN)
    run = update(job_runs).where(job_runs.c.job_id == job.id)
    await connection.execute(run.values(cause=cause, crashes_without_progress=0, waits=0, waiting_since=None))
    values: dict[str, object] = {"error": error, "updated_at": now}
    if result is not None:
        values["result"] = result
    await connection.execute(update(agent_jobs).where(agent_jobs.c.id == job.id).values(**values))


async def frozen_cause(scope: Scope, connection: AsyncConnection, job: ClaimedJob) -> Cause:
    """The cause that was frozen for this job."""
    _in_scope(scope, job)
    cause: Cause = (
        await connection.execute(select(job_runs.c.cause).where(job_runs.c.job_id == job.id))
    ).scalar_one()
    return cause


async def settle(scope: Scope, connection: AsyncConnection, job: ClaimedJob, *, now: datetime) -> JobStatus:
    """End a frozen job by its cause: job, issue, run, open key and event in the caller's transaction."""
    await own(scope, connection, job)
    cause = await frozen_cause(scope, connection, job)
    status, issue_status = end_of(cause)
    check_job(JobStatus.RUNNING, status, By.RUNNER)
    await connection.execute(
        update(agent_jobs)
        .where(agent_jobs.c.id == job.id, agent_jobs.c.status == JobStatus.RUNNING)
        .values(status=status, completed_at=now, updated_at=now)
    )
    await close_run(connection, job.id)
    await _move_issue(connection, job.issue_id, issue_status, By.RUNNER, now)
    await events.append(
        scope,
        connection,
        "job.ended",
        now=now,
        issue_id=job.issue_id,
        job_id=job.id,
        data={"status": status.value, "cause": cause.value},
    )
    await bell.ring(connection)
    return status


async def close_run(connection: AsyncConnection, job_id: str) -> None:
    """Take lease, leave to start, place and open key from the run of a job that the caller has ended."""
    await connection.execute(
        update(job_runs)
        .where(job_runs.c.job_id == job_id)
        .values(
            phase=Phase.SETTLED,
            lease_owner=None,
            lease_until=None,
            admitted_at=None,
            due_at=None,
            wake_at=None,
        )
    )
    await connection.execute(update(job_origins).where(job_origins.c.job_id == job_id).values(open_key=None))


async def retry_later(
    scope: Scope,
    connection: AsyncConnection,
    job: ClaimedJob,
    *,
    wake_at: datetime,
    error: str,
    is_counted: bool,
    now: datetime,
    is_waiting: bool = False,
) -> None:
    """Give the job back until *wake_at*; an attempt that is not *is_counted* is given back too.

    *is_waiting*: it waits for GitHub or the model; `waited` tells how often and since when it does so.
    The words of a frozen end stay; why it waits stands in the event.
    """
    await own(scope, connection, job)
    run = update(job_runs).where(job_runs.c.job_id == job.id)
    await connection.execute(
        run.values(lease_owner=None, lease_until=None, admitted_at=None, wake_at=wake_at)
    )
    if is_waiting:
        since = func.coalesce(job_runs.c.waiting_since, literal(now, UtcTimestamp()))
        await connection.execute(run.values(waits=job_runs.c.waits + 1, waiting_since=since))
    await wait_again(connection, job.id, By.RUNNER, now=now, is_counted=is_counted)
    is_frozen = exists().where(job_runs.c.job_id == job.id, job_runs.c.phase == Phase.FROZEN)
    await connection.execute(
        update(agent_jobs).where(agent_jobs.c.id == job.id, ~is_frozen).values(error=error)
    )
    await events.append(
        scope, connection, "job.waits", now=now, issue_id=job.issue_id, job_id=job.id, data={"why": error}
    )


async def waited(scope: Scope, connection: AsyncConnection, job: ClaimedJob) -> tuple[int, datetime | None]:
    """How often, and since when, the job has waited for GitHub or the model without getting any further."""
    _in_scope(scope, job)
    statement = select(job_runs.c.waits, job_runs.c.waiting_since).where(job_runs.c.job_id == job.id)
    row = (await connection.execute(statement)).one()
    return row.waits, row.waiting_since


async def wait_again(
    connection: AsyncConnection, job_id: str, by: By, *, now: datetime, is_counted: bool = False
) -> None:
    """RUNNING to PENDING and the issue back to QUEUED; the caller has changed the run's row."""
    check_job(JobStatus.RUNNING, JobStatus.PENDING, by)
    given_back = case((agent_jobs.c.attempts > 0, agent_jobs.c.attempts - 1), else_=0)
    await connection.execute(
        update(agent_jobs)
        .where(agent_jobs.c.id == job_id, agent_jobs.c.status == JobStatus.RUNNING)
        .values(
            status=JobStatus.PENDING,
            attempts=agent_jobs.c.attempts if is_counted else given_back,
            updated_at=now,
        )
    )
    issue_id = (
        await connection.execute(select(agent_jobs.c.issue_id).where(agent_jobs.c.id == job_id))
    ).scalar_one()
    await _move_issue(connection, issue_id, IssueStatus.QUEUED, by, now)
    await bell.ring(connection)


async def _move_issue(
    connection: AsyncConnection, issue_id: str, status: IssueStatus, by: By, now: datetime
) -> None:
    """Move an issue that is at work; one that somebody else moved meanwhile stays where they put it."""
    current = select(agent_issues.c.status).where(agent_issues.c.id == issue_id)
    if await connection.scalar(current) is IssueStatus.PROCESSING:
        await set_issue(Scope.system(), connection, issue_id, status, by, now=now)


def _in_scope(scope: Scope, job: ClaimedJob) -> None:
    if scope.organization_id not in (None, job.organization_id):
        message = f"job {job.id} is outside the scope of this query"
        raise LookupError(message)

"""Small rows for tests of queries, and two transactions at one time."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import TypeVar

from sqlalchemy import Table, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import schedule, submit, tenants
from bot.db.database import Database
from bot.db.deliveries import Accepted, IncomingDelivery
from bot.db.retention import Due
from bot.db.submit import Submission, Submitted
from bot.db.tables import agent_issues, agent_jobs, job_runs
from bot.db.tenants import Tenant
from bot.domain.enums import IssuePriority, IssueSource, IssueStatus, IssueType, JobStatus, ThreadKind
from bot.domain.intents import SaveInstallation
from bot.domain.values import Actor, ClaimedJob, Origin, RepositoryRef, Scope, Snapshot, Triage
from bot.intake.inbox import Inbox

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
LEASE = timedelta(seconds=30)
STALE = timedelta(seconds=60)
MINUTE = timedelta(minutes=1)
SYSTEM = Scope.system()
WAIT_SECONDS = 60.0

First = TypeVar("First")
Second = TypeVar("Second")


async def stored(database: Database, delivery: IncomingDelivery) -> Accepted:
    """Take *delivery* in, as a process of its own would."""
    inbox = Inbox(database)
    try:
        return await inbox.store(delivery)
    finally:
        await inbox.close()


async def drop_due(database: Database, due: Due, *, limit: int = 9) -> int:
    """Drop what *due* finds, at most *limit*, as the chore does."""
    async with database.read() as connection:
        ids = await due.find(connection, limit)
    async with database.write() as connection:
        return await due.drop(connection, ids)


def installation(
    account_id: int = 1,
    *,
    installation_id: int | None = None,
    repositories: tuple[int, ...] = (100,),
    removed: tuple[int, ...] = (),
    is_suspended: bool = False,
) -> SaveInstallation:
    """An installation of the account octo-<account_id>, numbered ten times the account."""
    return SaveInstallation(
        installation_id=installation_id or account_id * 10,
        account_id=account_id,
        account_login=f"octo-{account_id}",
        account_type="Organization",
        is_suspended=is_suspended,
        permissions=(("contents", "write"),),
        repositories=tuple(RepositoryRef(number, f"octo-{account_id}/r{number}") for number in repositories),
        removed_repository_ids=removed,
    )


def origin(number: int = 1, *, repository_id: int = 100, verb: str = "fix", trigger: str = "1") -> Origin:
    """A label put on an issue; *trigger* makes its key."""
    return Origin(
        repository_id=repository_id,
        number=number,
        kind=ThreadKind.ISSUE,
        verb=verb,
        actor=Actor(7, "octocat"),
        trigger="label:agent",
        trigger_key=f"{repository_id}:{number}:{verb}:{trigger}",
        snapshot=Snapshot("A title", "A body", "words", ("bug",), "octocat"),
        installation_id=10,
        comment_id=8,
        head_sha="c0ffee",
        confidence=0.9,
    )


def submission(
    source: Origin, *, external_id: str | None = None, priority: IssuePriority = IssuePriority.MEDIUM
) -> Submission:
    """A request that passed its gate."""
    return Submission(
        external_id=external_id or f"github:{source.open_key}",
        source=IssueSource.GITHUB,
        origin=source,
        triage=Triage(IssueType.BUG, priority, "code.fix", "sonnet", 0.9),
        authority="github:7",
    )


async def make_tenant(database: Database, account_id: int = 1, repository_id: int = 100) -> Tenant:
    """An account with one repository."""
    async with database.write() as connection:
        saved = installation(account_id, repositories=(repository_id,))
        await tenants.save_installation(SYSTEM, connection, saved, now=NOW)
        tenant = await tenants.tenant_of(SYSTEM, connection, account_id * 10, repository_id)
    assert tenant is not None
    return tenant


async def make_job(
    database: Database,
    tenant: Tenant,
    number: int = 1,
    *,
    trigger: str = "1",
    priority: IssuePriority = IssuePriority.MEDIUM,
    now: datetime = NOW,
) -> Submitted:
    """A job that waits, of the issue *number* in the tenant's repository."""
    source = origin(number, repository_id=tenant.repository.id, trigger=trigger)
    async with database.write() as connection:
        return await submit.submit(tenant.scope, connection, submission(source, priority=priority), now=now)


async def claim(database: Database, job_id: str, *, now: datetime = NOW, owner: str = "w1") -> ClaimedJob:
    """Admit the job alone, and claim it."""
    async with database.write() as connection:
        await connection.execute(update(job_runs).where(job_runs.c.job_id == job_id).values(admitted_at=now))
        job = await schedule.claim(SYSTEM, connection, job_id, owner, now=now, lease=LEASE)
    assert job is not None
    return job


async def start_job(database: Database, tenant: Tenant, number: int = 1) -> ClaimedJob:
    """A job that runs."""
    return await claim(database, (await make_job(database, tenant, number)).job_id)


async def states(database: Database, job_id: str) -> tuple[JobStatus, IssueStatus]:
    """The state of a job and of its issue."""
    statement = (
        select(agent_jobs.c.status, agent_issues.c.status)
        .join(agent_issues, agent_issues.c.id == agent_jobs.c.issue_id)
        .where(agent_jobs.c.id == job_id)
    )
    async with database.read() as connection:
        job, issue = (await connection.execute(statement)).one()
    return job, issue


async def count(database: Database, table: Table) -> int:
    """How many rows there are."""
    async with database.read() as connection:
        return int(await connection.scalar(select(func.count()).select_from(table)) or 0)


async def overlap(
    database: Database,
    first: Callable[[AsyncConnection], Awaitable[First]],
    second: Callable[[AsyncConnection], Awaitable[Second]],
) -> tuple[First, Second]:
    """Start *second* while the transaction of *first* has written and is not committed."""
    async with database.write() as connection:
        one = await first(connection)
        task = asyncio.create_task(_write(database, second))
        await _until_it_waits(database, task)
    return one, await task


async def _write(database: Database, work: Callable[[AsyncConnection], Awaitable[Second]]) -> Second:
    async with database.write() as connection:
        return await work(connection)


async def _until_it_waits(database: Database, task: "asyncio.Task[Second]") -> None:
    """On Postgres until it waits for a lock, or needed none; on SQLite it cannot even begin."""
    if database.engine.dialect.name == "sqlite":
        return
    async with asyncio.timeout(WAIT_SECONDS), database.read() as connection:
        waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
        while not task.done() and not await connection.scalar(waiting):  # noqa: ASYNC110 (Postgres knows)
            await asyncio.sleep(0)

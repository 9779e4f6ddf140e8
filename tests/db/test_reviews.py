"""Issues whose pull request waits for people."""

import pytest
from sqlalchemy import update

from bot.db import operations, reviews
from bot.db.database import Database
from bot.db.operations import Frozen
from bot.db.reviews import Review
from bot.db.tables import agent_jobs
from bot.db.tenants import Tenant
from bot.domain.enums import Cause, IssueStatus, OperationKind
from bot.domain.values import Scope
from tests.db.rows import NOW, SYSTEM, claim, make_job, make_tenant, states
from tests.db.runs import end_job, event_kinds


async def opened(database: Database, tenant: Tenant, number: int, pull: int, *, trigger: str = "1") -> str:
    """A job of issue *number* that ended with pull request *pull*; its id."""
    job = await claim(database, (await make_job(database, tenant, number, trigger=trigger)).job_id)
    scope = Scope(tenant.organization_id)
    frozen = Frozen(f"job:{job.id}:pull", OperationKind.PULL_REQUEST, {}, sequence=20)
    async with database.write() as connection:
        await operations.freeze(
            scope,
            connection,
            [frozen],
            job_id=job.id,
            fence=job.fence,
            installation_id=tenant.installation_id,
            repository_id=tenant.repository.id,
            now=NOW,
        )
        made = await operations.by_key(scope, connection, frozen.key)
        assert made is not None
        await operations.mark_done(
            scope, connection, made.id, fence=job.fence, remote_id=pull, remote_url=None, now=NOW
        )
    await end_job(database, job.id, Cause.PULL_REQUEST, job=job)
    return job.id


async def of_pull(database: Database, pull: int, *, repository_id: int = 100) -> Review | None:
    async with database.read() as connection:
        return await reviews.of_pull(SYSTEM, connection, repository_id=repository_id, number=pull)


async def end(database: Database, review: Review, *, is_merged: bool) -> bool:
    async with database.write() as connection:
        return await reviews.end(SYSTEM, connection, review, is_merged=is_merged, now=NOW)


@pytest.mark.parametrize(
    ("is_merged", "status", "kind"),
    [(True, IssueStatus.COMPLETED, "pull.merged"), (False, IssueStatus.CANCELLED, "pull.closed")],
)
async def test_what_people_decide_ends_the_issue_once(
    database: Database, is_merged: bool, status: IssueStatus, kind: str
) -> None:
    job_id = await opened(database, await make_tenant(database), 1, 8)
    found = await of_pull(database, 8)
    assert found is not None
    assert await end(database, found, is_merged=is_merged)
    assert not await end(database, found, is_merged=not is_merged)
    assert (await states(database, job_id))[1] is status
    assert (await event_kinds(database, job_id))[-1] == kind
    assert await of_pull(database, 8) is None


async def test_a_pull_request_that_is_not_ours_is_nobodys(database: Database) -> None:
    await opened(database, await make_tenant(database), 1, 8)
    assert await of_pull(database, 9) is None
    assert await of_pull(database, 8, repository_id=200) is None


async def test_of_several_pull_requests_for_an_issue_the_latest_counts(database: Database) -> None:
    tenant = await make_tenant(database)
    first = await opened(database, tenant, 1, 8)
    found = await of_pull(database, 8)
    assert found is not None
    await end(database, found, is_merged=False)
    second = await opened(database, tenant, 1, 9, trigger="2")
    assert (await states(database, first))[1] is IssueStatus.REVIEW
    assert await of_pull(database, 8) is None
    later = await of_pull(database, 9)
    assert later is not None
    assert later.job_id == second


async def test_those_that_wait_come_in_order_and_in_parts(database: Database) -> None:
    tenant = await make_tenant(database)
    for number in (1, 2, 3):
        await opened(database, tenant, number, number + 10)
    async with database.write() as connection:
        await connection.execute(update(agent_jobs).values(updated_at=NOW))
        first = await reviews.waiting(SYSTEM, connection, after="", limit=2)
        rest = await reviews.waiting(SYSTEM, connection, after=first[-1].issue_id, limit=2)
    assert [one.number for one in first + rest] == [11, 12, 13]

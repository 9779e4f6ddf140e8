"""Rows that no longer agree with each other are brought to agree, with a word on each."""

from datetime import timedelta

import pytest
from sqlalchemy import select, update

from bot.db import operations, stranded
from bot.db.database import Database
from bot.db.operations import Frozen
from bot.db.stranded import NO_JOB, Settled
from bot.db.tables import agent_issues, agent_jobs, events, job_runs
from bot.db.tables import operations as operations_table
from bot.domain.enums import Cause, IssueStatus, JobStatus, OperationKind, OperationState
from bot.domain.values import Scope
from tests.db.rows import LEASE, MINUTE, NOW, SYSTEM, make_job, make_tenant, start_job, states
from tests.db.runs import end_job, run_row


async def strand(database: Database, status: IssueStatus) -> None:
    """Every issue says that it moves, as after a repair by hand or an older program."""
    async with database.write() as connection:
        await connection.execute(update(agent_issues).values(status=status))


async def settle_all(database: Database) -> list[Settled | None]:
    async with database.write() as connection:
        found = await stranded.issue_ids(SYSTEM, connection, limit=10)
        return [await stranded.settle(SYSTEM, connection, issue_id, now=NOW) for issue_id in found]


@pytest.mark.parametrize("status", [IssueStatus.QUEUED, IssueStatus.PROCESSING])
@pytest.mark.parametrize(
    ("cause", "end"),
    [
        (Cause.ANSWERED, IssueStatus.COMPLETED),
        (Cause.PULL_REQUEST, IssueStatus.REVIEW),
        (Cause.CANCELLED, IssueStatus.CANCELLED),
        (Cause.BUG, IssueStatus.FAILED),
    ],
)
async def test_an_issue_without_an_open_job_goes_where_its_last_job_left_it(
    database: Database, status: IssueStatus, cause: Cause, end: IssueStatus
) -> None:
    job_id = (await make_job(database, await make_tenant(database))).job_id
    await end_job(database, job_id, cause)
    await strand(database, status)

    (settled,) = await settle_all(database)
    assert settled is not None
    assert settled.why == f"its last job ended: {cause.value}"
    assert (await states(database, job_id))[1] is end
    assert await settle_all(database) == []
    async with database.read() as connection:
        statement = select(events.c.data).where(events.c.kind == "issue.settled")
        assert (await connection.scalar(statement)) == {"status": end.value, "why": settled.why}


async def test_a_job_without_a_cause_counts_by_its_state(database: Database) -> None:
    job_id = (await make_job(database, await make_tenant(database))).job_id
    async with database.write() as connection:
        await connection.execute(update(agent_jobs).values(status=JobStatus.FAILED))
    (settled,) = await settle_all(database)
    assert settled is not None
    assert (settled.status, settled.why) == (IssueStatus.FAILED, "its last job ended: failed")
    assert (await states(database, job_id))[1] is IssueStatus.FAILED


async def test_an_issue_that_no_job_ever_served_fails_in_words(database: Database) -> None:
    await make_job(database, await make_tenant(database))
    async with database.write() as connection:
        await connection.execute(agent_jobs.delete())
    (settled,) = await settle_all(database)
    assert settled is not None
    assert (settled.status, settled.why) == (IssueStatus.FAILED, NO_JOB)


async def test_an_issue_whose_job_is_open_and_one_that_waits_for_a_door_are_left(database: Database) -> None:
    tenant = await make_tenant(database)
    running = await start_job(database, tenant, 1)
    await make_job(database, tenant, 2)
    assert await settle_all(database) == []
    async with database.write() as connection:
        assert await stranded.settle(SYSTEM, connection, running.issue_id, now=NOW) is None
        assert await stranded.settle(SYSTEM, connection, "nobody", now=NOW) is None
    await strand(database, IssueStatus.PENDING)
    async with database.write() as connection:
        await connection.execute(agent_jobs.delete())
    assert await settle_all(database) == []


async def test_open_writes_of_an_ended_job_are_closed_in_words_and_others_stay_open(
    database: Database,
) -> None:
    tenant = await make_tenant(database)
    ended, running = await start_job(database, tenant, 1), await start_job(database, tenant, 2)
    scope = Scope(tenant.organization_id)
    async with database.write() as connection:
        for job_id, names in ((ended.id, ("unsent", "sent")), (running.id, ("open",)), (None, ("help",))):
            sequence = 0 if job_id else -1
            frozen = [Frozen(name, OperationKind.COMMENT, {}, sequence) for name in names]
            await operations.freeze(
                scope,
                connection,
                frozen,
                job_id=job_id,
                fence=1,
                installation_id=tenant.installation_id,
                repository_id=tenant.repository.id,
                now=NOW,
            )
        sent = await operations.by_key(scope, connection, "sent")
        assert sent is not None
        await operations.mark_sent(scope, connection, sent, fence=1, now=NOW)
    await end_job(database, ended.id, Cause.ANSWERED, job=ended)

    async with database.write() as connection:
        assert await stranded.close_writes(SYSTEM, connection, now=NOW) == 2
        assert await stranded.close_writes(SYSTEM, connection, now=NOW) == 0
        rows = (await connection.execute(select(operations_table))).all()
    found = {row.key: (row.state, row.error) for row in rows}
    assert found == {
        "unsent": (OperationState.FAILED, stranded.UNSENT),
        "sent": (OperationState.FAILED, stranded.UNKNOWN),
        "open": (OperationState.INTENT, None),
        "help": (OperationState.INTENT, None),
    }


async def test_a_lease_from_the_future_is_cut_and_a_sound_one_stays(database: Database) -> None:
    tenant = await make_tenant(database)
    sound, odd = await start_job(database, tenant, 1), await start_job(database, tenant, 2)
    async with database.write() as connection:
        await connection.execute(
            update(job_runs).where(job_runs.c.job_id == odd.id).values(lease_until=NOW + timedelta(hours=1))
        )
        cut = await stranded.trim_leases(SYSTEM, connection, now=NOW, lease=LEASE, slack=MINUTE)
        again = await stranded.trim_leases(SYSTEM, connection, now=NOW, lease=LEASE, slack=MINUTE)
    assert (cut, again) == (1, 0)
    for job_id in (sound.id, odd.id):
        assert (await run_row(database, job_id))["lease_until"] == NOW + LEASE

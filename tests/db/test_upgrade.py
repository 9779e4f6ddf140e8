"""An older version's database with work in flight, brought to this version: nothing is lost."""

from datetime import timedelta

import pytest
from sqlalchemy import select, text

from bot.db import admission, jobs, migrate, operations, schedule
from bot.db.database import Database, is_sqlite
from bot.db.operations import Frozen
from bot.db.tables import agent_jobs, deliveries
from bot.domain.enums import Cause, DeliveryState, JobStatus, OperationKind, OperationState, Phase
from bot.domain.values import ClaimedJob, Scope
from bot.errors import LeaseLost
from tests.db.rows import NOW, SYSTEM, claim, make_job, make_tenant
from tests.db.runs import end_job, run_row

LATER = NOW + timedelta(hours=1)
OLD_DELIVERY = """
    INSERT INTO {}deliveries
        (id, "targetType", "targetId", guid, event, digest, payload, state, attempts, "receivedAt")
    VALUES
        ('d1', 'integration', '1', 'g1', 'issues', 'abc', '{{}}', 'RECEIVED', 0, '2026-01-02 03:04:05')
"""


async def freeze(database: Database, job: ClaimedJob) -> None:
    """The job's end is fixed, and one write of it is on its way."""
    scope = Scope(job.organization_id)
    frozen = Frozen(f"job:{job.id}:final", OperationKind.COMMENT, {"number": 1, "body": "Done."}, sequence=90)
    async with database.write() as connection:
        await jobs.freeze(scope, connection, job, Cause.ANSWERED, error=None, result={"steps": 1}, now=NOW)
        await operations.freeze(
            scope,
            connection,
            [frozen],
            job_id=job.id,
            fence=job.fence,
            installation_id=job.origin.installation_id,
            repository_id=job.repository.id,
            now=NOW,
        )


async def write(url: str, sql: str) -> None:
    """Write as the older version does."""
    database = Database(url)
    async with database.write() as connection:
        await connection.execute(text(sql.format("" if is_sqlite(url) else "issuewright.")))
    await database.close()


async def test_jobs_in_flight_survive_the_way_to_the_older_version_and_back(own_database_url: str) -> None:
    database = Database(own_database_url)
    tenants = [await make_tenant(database, number, 100 + number) for number in (1, 2, 3)]
    waiting = (await make_job(database, tenants[0])).job_id
    running = await claim(database, (await make_job(database, tenants[1])).job_id)
    frozen = await claim(database, (await make_job(database, tenants[2])).job_id)
    await freeze(database, frozen)
    await database.close()

    await migrate.downgrade(own_database_url, "0004")
    await write(own_database_url, OLD_DELIVERY)
    await migrate.upgrade(own_database_url)
    assert await migrate.differences(own_database_url) == []

    database = Database(own_database_url)
    async with database.read() as connection:
        rows = (await connection.execute(select(agent_jobs.c.id, agent_jobs.c.status))).all()
        found = {row.id: row.status for row in rows}
        delivery = (await connection.execute(select(deliveries))).one()
        (left,) = await operations.of_job(SYSTEM, connection, frozen.id)
    assert found == {waiting: JobStatus.PENDING, running.id: JobStatus.RUNNING, frozen.id: JobStatus.RUNNING}
    assert left.state is OperationState.INTENT
    assert (delivery.state, delivery.parts) == (DeliveryState.RECEIVED, 0)
    row = await run_row(database, frozen.id)
    assert (row["phase"], row["cause"], row["fence"]) == (Phase.FROZEN, Cause.ANSWERED, frozen.fence)

    # The owners are gone with the older version: their leases run out, and all three are admitted again.
    async with database.write() as connection:
        reaped = await schedule.reap(SYSTEM, connection, now=LATER)
    assert {each.job_id for each in reaped} == {running.id, frozen.id}
    async with database.write() as connection:
        admitted = await admission.admit(
            SYSTEM, connection, now=LATER, readmit_after=timedelta(seconds=30), places=10
        )
    assert set(admitted) == {waiting, running.id, frozen.id}
    for job_id in admitted:
        job = await claim(database, job_id, now=LATER, owner="w2")
        assert await end_job(database, job_id, Cause.ANSWERED, job=job) is JobStatus.COMPLETED
    with pytest.raises(LeaseLost):
        async with database.write() as connection:
            await jobs.own(Scope(running.organization_id), connection, running)
    await database.close()

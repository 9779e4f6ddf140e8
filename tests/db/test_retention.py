"""Retention: what is old enough goes in small parts, what is needed stays."""

from datetime import timedelta

import pytest
from sqlalchemy import insert, select, update

from bot.db import tenants
from bot.db.database import Database
from bot.db.tables import agent_jobs, agent_logs, deliveries, delivery_parts, job_steps, verifications
from bot.domain.enums import Cause, DeliveryState, LogLevel, StepKind, Tier, When
from bot.runner import retention
from bot.runner.retention import Retention
from tests.db.rows import NOW, SYSTEM, claim, count, make_job, make_tenant
from tests.db.runs import end_job
from tests.fakes import ManualClock

DAY = timedelta(days=1)


@pytest.fixture
def keeper(database: Database) -> Retention:
    return Retention(database, ManualClock(NOW), keep_payloads_days=14, keep_steps_days=30, keep_logs_days=20)


async def deliver(
    database: Database,
    name: str,
    age: timedelta,
    *,
    state: DeliveryState = DeliveryState.DISPATCHED,
    installation_id: int = 77,
    parts: int = 0,
) -> None:
    """A delivery that came so long ago, with a body."""
    async with database.write() as connection:
        await connection.execute(
            insert(deliveries).values(
                id=name,
                target_type="integration",
                target_id="1",
                guid=name,
                digest=name,
                event="issues",
                installation_id=installation_id,
                payload=None if parts else b"{}",
                parts=parts,
                state=state,
                received_at=NOW - age,
            )
        )
        for number in range(parts):
            row = {"delivery_id": name, "number": number, "content": b"x", "created_at": NOW - age}
            await connection.execute(insert(delivery_parts).values(**row))


async def bodies(database: Database) -> dict[str, bool]:
    """Which deliveries still have a body."""
    async with database.read() as connection:
        rows = (await connection.execute(select(deliveries).order_by(deliveries.c.id))).all()
    return {row.id: row.payload is not None or row.parts > 0 for row in rows}


async def test_old_bodies_go_and_the_digest_stays_unless_the_delivery_still_waits(
    database: Database, keeper: Retention
) -> None:
    await deliver(database, "old", 15 * DAY)
    await deliver(database, "large", 15 * DAY, parts=2)
    await deliver(database, "waits", 15 * DAY, state=DeliveryState.RECEIVED)
    await deliver(database, "new", 13 * DAY)

    assert (await keeper.run_once())["payloads"] == 2
    assert await bodies(database) == {"large": False, "new": True, "old": False, "waits": True}
    assert await count(database, delivery_parts) == 0
    assert not any((await keeper.run_once()).values())


async def test_bodies_of_an_account_that_uninstalled_the_app_go_at_once(
    database: Database, keeper: Retention
) -> None:
    tenant = await make_tenant(database)
    await deliver(database, "theirs", DAY, installation_id=tenant.installation_id)
    await deliver(database, "parts", DAY, installation_id=tenant.installation_id, parts=1)
    await deliver(database, "others", DAY)
    assert not any((await keeper.run_once()).values())
    async with database.write() as connection:
        await tenants.remove_installation(SYSTEM, connection, tenant.installation_id, now=NOW)

    assert (await keeper.run_once())["payloads_of_left"] == 2
    assert await bodies(database) == {"others": True, "parts": False, "theirs": False}


async def test_parts_whose_delivery_was_never_stored_go_after_an_hour(
    database: Database, keeper: Retention
) -> None:
    async with database.write() as connection:
        for number, age in enumerate((timedelta(minutes=30), timedelta(hours=2))):
            row = {"delivery_id": "x", "number": number, "content": b"x", "created_at": NOW - age}
            await connection.execute(insert(delivery_parts).values(**row))
    assert (await keeper.run_once())["parts"] == 1


async def write_steps(database: Database, job_id: str, steps: int) -> None:
    """A transcript, a log and a verification."""
    async with database.write() as connection:
        for number in range(steps):
            name = f"{job_id}-{number}"
            step = {"id": name, "job_id": job_id, "fence": 1, "number": number, "content": {}}
            await connection.execute(insert(job_steps).values(kind=StepKind.TURN, created_at=NOW, **step))
            log = {"id": name, "job_id": job_id, "level": LogLevel.INFO, "message": "x", "timestamp": NOW}
            await connection.execute(insert(agent_logs).values(**log))
        await connection.execute(
            insert(verifications).values(
                id=job_id,
                job_id=job_id,
                fence=1,
                position=0,
                when=When.BEFORE,
                command="make",
                duration_ms=1,
                sha="c0ffee",
                tier=Tier.NONE,
                reason="",
                output="",
                created_at=NOW,
            )
        )


async def test_transcripts_and_logs_of_jobs_that_ended_long_ago_go_in_small_parts(
    database: Database, keeper: Retention, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "BATCH", 2)
    tenant = await make_tenant(database)
    for number, age in enumerate((31 * DAY, 25 * DAY, None), start=1):
        job = await claim(database, (await make_job(database, tenant, number)).job_id)
        await write_steps(database, job.id, 5)
        if age is None:
            continue
        await end_job(database, job.id, Cause.ANSWERED, job=job)
        async with database.write() as connection:
            ended = update(agent_jobs).where(agent_jobs.c.id == job.id)
            await connection.execute(ended.values(completed_at=NOW - age))

    dropped = await keeper.run_once()
    assert (dropped["steps"], dropped["logs"]) == (5, 10)
    assert await count(database, job_steps) == 10
    assert await count(database, agent_logs) == 5
    assert await count(database, verifications) == 3
    assert not any((await keeper.run_once()).values())

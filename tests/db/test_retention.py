"""Retention: what is old enough goes in small parts, what is needed stays."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, insert, select, text, update

from bot.db import deliveries as queries
from bot.db import retention as due
from bot.db import tenants
from bot.db.database import Database
from bot.db.retention import Due
from bot.db.tables import (
    agent_jobs,
    agent_logs,
    deliveries,
    delivery_parts,
    job_origins,
    job_steps,
    verifications,
)
from bot.domain.enums import Cause, DeliveryState, LogLevel, StepKind, Tier, When
from bot.domain.ids import new_id
from bot.runner import retention
from bot.runner.retention import Retention
from tests.db.rows import NOW, SYSTEM, WAIT_SECONDS, claim, count, make_job, make_tenant
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
    installation_id: int | None = 77,
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


async def test_a_large_body_is_known_to_be_theirs_once_it_was_read(
    database: Database, keeper: Retention
) -> None:
    tenant = await make_tenant(database)
    await deliver(database, "large", DAY, state=DeliveryState.RECEIVED, installation_id=None, parts=2)
    await deliver(database, "others", DAY, state=DeliveryState.RECEIVED)
    async with database.write() as connection:
        for name in ("large", "others"):
            assert await queries.finish(
                SYSTEM,
                connection,
                name,
                DeliveryState.DISPATCHED,
                now=NOW,
                installation_id=tenant.installation_id,
            )
        await tenants.remove_installation(SYSTEM, connection, tenant.installation_id, now=NOW)
    assert (await keeper.run_once())["payloads_of_left"] == 1
    assert await bodies(database) == {"large": False, "others": True}


async def test_parts_whose_delivery_was_never_stored_go_after_an_hour(
    database: Database, keeper: Retention
) -> None:
    async with database.write() as connection:
        for number, age in enumerate((timedelta(minutes=30), timedelta(hours=2))):
            row = {"delivery_id": "x", "number": number, "content": b"x", "created_at": NOW - age}
            await connection.execute(insert(delivery_parts).values(**row))
    assert (await keeper.run_once())["parts"] == 1


async def write_steps(database: Database, job_id: str, steps: int, *, at: datetime = NOW) -> None:
    """A transcript and a log of *at*, and a verification."""
    async with database.write() as connection:
        for number in range(steps):
            name = new_id(at)
            step = {"id": name, "job_id": job_id, "fence": 1, "number": number, "content": {}}
            await connection.execute(insert(job_steps).values(kind=StepKind.TURN, created_at=at, **step))
            log = {"id": name, "job_id": job_id, "level": LogLevel.INFO, "message": "x", "timestamp": at}
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
        # All of them wrote some long ago; one of them has not ended.
        await write_steps(database, job.id, 5, at=NOW - max(age or 40 * DAY, 25 * DAY) - DAY)
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


async def test_steps_that_an_open_job_goes_on_from_stay_until_it_ends(
    database: Database, keeper: Retention
) -> None:
    tenant = await make_tenant(database)
    chain = [await claim(database, (await make_job(database, tenant, number)).job_id) for number in (1, 2, 3)]
    long_ago = NOW - 40 * DAY
    for job, before in zip(chain, [None, *chain], strict=False):
        await write_steps(database, job.id, 1, at=long_ago)
        async with database.write() as connection:
            origin = update(job_origins).where(job_origins.c.job_id == job.id)
            await connection.execute(origin.values(continues_id=before and before.id))
    for number, job in enumerate(chain):
        await end_job(database, job.id, Cause.ANSWERED, job=job)
        async with database.write() as connection:
            ended = update(agent_jobs).where(agent_jobs.c.id == job.id)
            await connection.execute(ended.values(completed_at=long_ago))
        assert (await keeper.run_once())["steps"] == (0 if number < 2 else 3)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_where_nothing_is_due_nobody_waits_for_a_write(database: Database, keeper: Retention) -> None:
    """300,000 rows without a body were looked at for a second each hour, and nothing was stored meanwhile."""
    await deliver(database, "new", DAY)
    async with asyncio.timeout(WAIT_SECONDS), database.write():
        assert not any((await keeper.run_once()).values())


async def plan(database: Database, due: Due) -> str:
    """What is asked for to find what is due, and how the database looks for it."""
    asked: list[tuple[str, Any]] = []

    def note(*call: Any) -> None:
        asked.append((call[2], call[3]))

    async with database.read() as connection:
        if not database.is_sqlite:
            await connection.execute(text("SET LOCAL enable_seqscan TO off"))
        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        await due.find(connection, 9)
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
        statement, values = asked[-1]
        explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
        return statement + str((await connection.exec_driver_sql(explain + statement, values)).all())


async def test_bodies_that_are_due_are_found_by_the_index_of_those_that_are_kept(database: Database) -> None:
    for number in range(20):
        await deliver(database, f"d{number}", number * DAY)
    old = due.old_bodies(SYSTEM, before=NOW - 14 * DAY)
    for kind in (old, due.bodies_of_left(SYSTEM)):
        found = await plan(database, kind)
        assert "deliveries_bodies_idx" in found
        # Postgres does not use the index for a statement that it keeps for any values.
        assert "parts > 0" in found
    found = await plan(database, old)
    assert ('"receivedAt" <' if not database.is_sqlite else "receivedAt<?") in found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_what_is_kept_of_the_rest_is_not_looked_at_either(database: Database) -> None:
    """Without statistics; Postgres has some and decides by them."""
    for kind, index in (
        (due.orphaned_parts(SYSTEM, before=NOW), "delivery_parts_createdAt_idx (createdAt<?)"),
        (due.old_steps(SYSTEM, before=NOW), "sqlite_autoindex_job_steps_1 (id<?)"),
        (due.old_logs(SYSTEM, before=NOW), "agent_logs_timestamp_idx (timestamp<?)"),
    ):
        assert index in await plan(database, kind)


async def test_large_bodies_go_one_after_the_other(database: Database) -> None:
    """500 of 250 KB held SQLite's write lock for 1.3 s, and a body may have 100 times as much."""
    most = queries.PURGED_BYTES // queries.PART_BYTES
    for number, parts in enumerate((most + 1, most - 1, 0, 2), start=1):
        await deliver(database, f"d{number}", (30 - number) * DAY, parts=parts)
    old = due.old_bodies(SYSTEM, before=NOW)
    went = []
    async with database.write() as connection:
        while found := await old.find(connection, 9):
            went.append(found)
            assert await old.drop(connection, found) == len(found)
    assert went == [["d1"], ["d2", "d3"], ["d4"]]


async def test_what_is_no_longer_due_when_it_would_go_stays(database: Database) -> None:
    await deliver(database, "failed", 15 * DAY, state=DeliveryState.FAILED)
    old = due.old_bodies(SYSTEM, before=NOW - 14 * DAY)
    async with database.read() as connection:
        found = await old.find(connection, 9)
    async with database.write() as connection:
        await connection.execute(update(deliveries).values(state=DeliveryState.RECEIVED, received_at=NOW))
        assert (found, await old.drop(connection, found)) == (["failed"], 0)
    assert await bodies(database) == {"failed": True}

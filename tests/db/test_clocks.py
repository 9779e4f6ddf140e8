"""A clock that was ahead is put right: what it left holds nothing up for longer than a round of upkeep."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import insert, select, update

from bot.db import clocks, schedule
from bot.db.chores import CLOCK_SLACK
from bot.db.clocks import LIMIT_WAIT, LONGEST_JOB_WAIT, LONGEST_WAIT, USUAL_WAIT
from bot.db.database import Database
from bot.db.tables import chores, deliveries, github_limits, job_runs, operations, workers
from bot.domain.enums import DeliveryState, Tier
from bot.domain.values import Scope
from bot.intake import dispatch
from bot.publish import outbox
from bot.runner import run
from tests.db.rows import LEASE, NOW, SYSTEM, make_job, make_tenant, stored
from tests.db.test_backlog import delivery
from tests.db.test_mail import freeze

HOUR = timedelta(hours=1)
SECOND = timedelta(seconds=1)


async def admit(database: Database, now: datetime) -> list[str]:
    async with database.write() as connection:
        return await schedule.admit(SYSTEM, connection, now=now, readmit_after=LEASE, places=5)


async def end_waits(database: Database) -> int:
    async with database.write() as connection:
        return await clocks.end_waits(SYSTEM, connection, now=NOW)


async def fill(database: Database, *, wait: timedelta, job_wait: timedelta, limit: timedelta) -> None:
    """A job, a delivery and a write that wait so long, and a limit of GitHub."""
    await make_job(database, await make_tenant(database))
    await freeze(database, 1, 1)
    await stored(database, delivery(0))
    async with database.write() as connection:
        await connection.execute(update(job_runs).values(wake_at=NOW + job_wait))
        await connection.execute(update(deliveries).values(wake_at=NOW + wait))
        await connection.execute(update(operations).values(wake_at=NOW + wait))
        row = {"installation_id": 10, "blocked_until": NOW + limit, "strikes": 1}
        await connection.execute(insert(github_limits).values(row))


async def waits(database: Database) -> list[datetime | None]:
    """Of the job, the delivery, the write and the limit."""
    columns = (job_runs.c.wake_at, deliveries.c.wake_at, operations.c.wake_at, github_limits.c.blocked_until)
    async with database.read() as connection:
        return [await connection.scalar(select(column)) for column in columns]


async def test_leave_that_a_fast_clock_gave_is_taken_back_and_given_anew(database: Database) -> None:
    tenant = await make_tenant(database)
    for number in range(1, 5):
        await make_job(database, tenant, number, trigger=str(number))
    assert len(await admit(database, NOW + HOUR)) == 3
    assert await admit(database, NOW) == []
    async with database.write() as connection:
        assert await clocks.revoke_leave(SYSTEM, connection, now=NOW) == 3
        assert await clocks.revoke_leave(SYSTEM, connection, now=NOW) == 0
        places = await schedule.free_places(SYSTEM, connection, since=NOW - LEASE)
    assert places.free == 0  # No worker is there, and none owes one.
    assert len(await admit(database, NOW)) == 3


async def test_leave_that_was_given_just_now_stays(database: Database) -> None:
    await make_job(database, await make_tenant(database))
    await admit(database, NOW + CLOCK_SLACK)
    async with database.write() as connection:
        assert await clocks.revoke_leave(SYSTEM, connection, now=NOW) == 0


async def test_waits_that_somebody_may_have_asked_for_stay(database: Database) -> None:
    await fill(database, wait=LONGEST_WAIT, job_wait=LONGEST_JOB_WAIT, limit=LONGEST_WAIT)
    before = await waits(database)
    assert await end_waits(database) == 0
    assert await waits(database) == before


async def test_waits_that_are_longer_than_any_end(database: Database) -> None:
    beyond = CLOCK_SLACK + SECOND
    await fill(
        database, wait=LONGEST_WAIT + beyond, job_wait=LONGEST_JOB_WAIT + beyond, limit=LONGEST_WAIT + beyond
    )
    assert await end_waits(database) == 4
    assert await waits(database) == [None, None, None, NOW + LIMIT_WAIT]
    assert await end_waits(database) == 0


@pytest.mark.parametrize("witness", ["a chore's end", "a chore's start", "a worker's sign"])
async def test_where_the_clock_was_ahead_for_sure_an_hours_jump_ends_every_wait(
    database: Database, witness: str
) -> None:
    await fill(database, wait=HOUR + SECOND, job_wait=HOUR + SECOND, limit=HOUR + SECOND)
    assert await end_waits(database) == 0
    chore = {"name": "sweep", "wake_at": NOW, "state": {}}
    ahead = NOW + HOUR
    async with database.write() as connection:
        if witness == "a worker's sign":
            row = {"id": "w", "hostname": "h", "pid": 1, "version": "0", "sandbox_reason": ""}
            row |= {"sandbox_tier": Tier.NONE, "started_at": NOW, "heartbeat_at": ahead}
            await connection.execute(insert(workers).values(row))
        else:
            column = "ended_at" if witness == "a chore's end" else "started_at"
            await connection.execute(insert(chores).values(chore | {column: ahead}))
    assert await end_waits(database) == 4
    assert await waits(database) == [None, None, None, NOW + LIMIT_WAIT]


async def test_a_sending_in_the_future_was_now_at_the_latest(database: Database) -> None:
    await freeze(database, 1, 2)
    async with database.write() as connection:
        for key, at in (("1:0", NOW + HOUR), ("1:1", NOW)):
            await connection.execute(update(operations).where(operations.c.key == key).values(sent_at=at))
    assert await end_waits(database) == 1
    async with database.read() as connection:
        assert set(await connection.scalars(select(operations.c.sent_at))) == {NOW}


async def test_what_has_ended_is_left_as_it_is(database: Database) -> None:
    await stored(database, delivery(0))
    async with database.write() as connection:
        ended = {"state": DeliveryState.FAILED, "wake_at": NOW + 9 * HOUR}
        await connection.execute(update(deliveries).values(ended))
    assert await end_waits(database) == 0


async def test_times_belong_to_no_tenant(database: Database) -> None:
    async with database.write() as connection:
        with pytest.raises(ValueError, match="no tenant"):
            await clocks.end_waits(Scope("o"), connection, now=NOW)
        with pytest.raises(ValueError, match="no tenant"):
            await clocks.revoke_leave(Scope("o"), connection, now=NOW)


def test_no_backoff_of_ours_is_longer_than_the_usual_wait() -> None:
    longest = max(run.MAX_BACKOFF_SECONDS * 1.5, dispatch.MAX_BACKOFF_SECONDS, outbox.MAX_BACKOFF_SECONDS)
    assert timedelta(seconds=longest) == USUAL_WAIT

"""Who is given leave to start: fairness, age, caps, write keys, pauses, and leave that was lost."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import admission, cancel, pauses, schedule
from bot.db.admission import AGE_STEP, ORGANIZATION_CAP, Places
from bot.db.database import Database
from bot.db.tables import agent_jobs, job_origins, workers
from bot.domain.enums import IssuePriority, JobStatus, PauseKind, Tier
from tests.db.crowd import PLACES, admit, end, make_tenants, queue_up, start, take
from tests.db.rows import MINUTE, NOW, STALE, SYSTEM, make_tenant, overlap
from tests.db.runs import run_row

SECOND = timedelta(seconds=1)


# ── fairness ─────────────────────────────────────────────────────────────────────────────────────
async def test_a_thousand_jobs_of_one_do_not_delay_the_single_job_of_another(database: Database) -> None:
    """R-31: all places are taken by busy organizations, then a late one comes with one job."""
    busy = await make_tenants(database, 6)
    await queue_up(database, busy[0], range(1_000), priority=IssuePriority.CRITICAL)
    for tenant in busy[1:]:
        await queue_up(database, tenant, range(10), priority=IssuePriority.CRITICAL)
    running = await start(database, await admit(database))
    assert len(running) == PLACES
    (late,) = await queue_up(
        database, await make_tenant(database, 9, 900), [1], now=NOW + MINUTE, priority=IssuePriority.LOW
    )
    await end(database, running[0], NOW + MINUTE)
    assert await admit(database, NOW + MINUTE, places=1) == [late]


async def test_with_one_place_the_organizations_take_turns(database: Database) -> None:
    names = []
    for age, tenant in enumerate(await make_tenants(database, 4)):
        await queue_up(database, tenant, range(5), now=NOW - age * SECOND)
    for _ in range(12):
        (job,) = await start(database, await admit(database, NOW + SECOND, places=1))
        names.append(job.organization_id)
        await end(database, job)
    rounds = [names[place : place + 4] for place in (0, 4, 8)]
    assert rounds[0] == rounds[1] == rounds[2]
    assert len(set(rounds[0])) == 4


async def test_each_organization_gets_one_place_before_any_gets_two(database: Database) -> None:
    for tenant in await make_tenants(database, 4):
        await queue_up(database, tenant, range(5))
    owners = [job.organization_id for job in await start(database, await admit(database, places=8))]
    assert len(set(owners[:4])) == len(set(owners[4:])) == 4


# ── age ──────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("steps", "first"), [(8.9, IssuePriority.CRITICAL), (9.1, IssuePriority.LOW)])
async def test_what_is_least_urgent_goes_before_whatever_comes_nine_steps_later(
    database: Database, steps: float, first: IssuePriority
) -> None:
    tenant = await make_tenant(database)
    now = NOW + steps * AGE_STEP
    (low,) = await queue_up(database, tenant, [1], priority=IssuePriority.LOW)
    (critical,) = await queue_up(database, tenant, [2], now=now, priority=IssuePriority.CRITICAL)
    chosen = low if first is IssuePriority.LOW else critical
    assert await admit(database, now, places=1) == [chosen]


@pytest.mark.parametrize(
    ("priority", "waited", "left"),
    [
        (10, 0 * AGE_STEP, 10),
        (10, AGE_STEP, 9),
        (10, 20 * AGE_STEP, 1),
        (1, timedelta(0), 1),
        (99, timedelta(0), 10),
        (5, -AGE_STEP, 6),
    ],
)
def test_each_step_of_waiting_is_a_point(priority: int, waited: timedelta, left: int) -> None:
    due = admission.due_at(NOW, priority)
    assert admission.urgency(due, NOW + waited) == left


# ── write keys ───────────────────────────────────────────────────────────────────────────────────
async def test_two_jobs_that_write_to_one_thing_are_never_chosen_together(database: Database) -> None:
    tenant = await make_tenant(database)
    first, second = await queue_up(database, tenant, [1, 2])
    await _share_a_key(database)
    (other,) = await queue_up(database, tenant, [3], now=NOW + SECOND)
    assert await admit(database) == [first, other]
    (job, _) = await start(database, [first, other])
    assert await admit(database) == []
    await end(database, job)
    assert await admit(database) == [second]


async def test_jobs_that_write_nothing_share_the_thread_with_one_that_does(database: Database) -> None:
    made = await queue_up(database, await make_tenant(database), [1], verbs=("fix", "plan", "explain"))
    assert await admit(database) == made


async def _share_a_key(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(update(job_origins).values(write_key="100:branch"))


# ── pauses ───────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("kind", list(PauseKind))
async def test_what_is_paused_is_not_started_and_what_runs_goes_on(
    database: Database, kind: PauseKind
) -> None:
    one, other = await make_tenants(database, 2)
    runs, admitted, waits = await queue_up(database, one, [1, 2, 3])
    (free,) = await queue_up(database, other, [1], now=NOW + MINUTE)
    assert await admit(database, places=3) == [runs, free, admitted]
    (job,) = await start(database, [runs])
    target = {PauseKind.ORGANIZATION: one.organization_id, PauseKind.REPOSITORY: "100"}.get(kind, "")
    async with database.write() as connection:
        await pauses.pause(SYSTEM, connection, kind, target, reason="", now=NOW)

    assert await take(database, admitted) is None
    assert (await take(database, free) is None) == (kind is PauseKind.EVERYTHING)
    assert await admit(database) == []
    async with database.write() as connection:
        assert await schedule.renew(SYSTEM, connection, job, now=NOW, lease=STALE) is None
    async with database.write() as connection:
        assert await pauses.unpause(SYSTEM, connection, kind, target)
        assert not await pauses.unpause(SYSTEM, connection, kind, target)
    again = await admit(database)
    assert set(again) == {admitted, waits} | ({free} if kind is PauseKind.EVERYTHING else set())


async def test_a_pause_and_a_claim_at_one_time_come_one_after_the_other(database: Database) -> None:
    (made,) = await queue_up(database, await make_tenant(database), [1])
    await admit(database)

    async def pause(connection: AsyncConnection) -> None:
        await pauses.pause(SYSTEM, connection, PauseKind.EVERYTHING, "", reason="", now=NOW)

    async def claim(connection: AsyncConnection) -> object:
        return await schedule.claim(SYSTEM, connection, made, "w", now=NOW, lease=STALE)

    assert await overlap(database, pause, claim) == (None, None)


# ── leave that is taken back or lost ─────────────────────────────────────────────────────────────
async def test_what_the_engine_did_not_take_is_chosen_again_at_once(database: Database) -> None:
    made = await queue_up(database, await make_tenant(database), [1, 2])
    assert await admit(database) == made
    await start(database, made[:1])
    async with database.write() as connection:
        await schedule.unadmit(SYSTEM, connection, made)
    assert await admit(database) == made[1:]


async def test_lost_leave_holds_no_place_of_the_cap(database: Database) -> None:
    made = await queue_up(database, await make_tenant(database), range(5))
    assert await admit(database) == made[:ORGANIZATION_CAP]
    (urgent,) = await queue_up(
        database, await make_tenant(database), [9], now=NOW, priority=IssuePriority.CRITICAL
    )
    again = await admit(database, NOW + STALE)
    assert again == [urgent, *made[: ORGANIZATION_CAP - 1]]
    assert await take(database, made[ORGANIZATION_CAP - 1]) is None


async def test_a_job_that_is_cancelled_while_it_is_chosen_is_not_admitted(database: Database) -> None:
    first, second = await queue_up(database, await make_tenant(database), [1, 2])

    async def stop(connection: AsyncConnection) -> bool:
        return await cancel.cancel_job(SYSTEM, connection, first, reason="closed", now=NOW)

    async def choose(connection: AsyncConnection) -> list[str]:
        return await schedule.admit(SYSTEM, connection, now=NOW, readmit_after=STALE, places=9)

    assert await overlap(database, stop, choose) == (True, [second])
    assert (await run_row(database, first))["admitted_at"] is None


async def test_a_job_that_a_person_paused_is_not_started(database: Database) -> None:
    await queue_up(database, await make_tenant(database), [1])
    async with database.write() as connection:
        await connection.execute(update(agent_jobs).values(status=JobStatus.PAUSED))
    assert await admit(database) == []


@pytest.mark.parametrize("places", [0, -3])
async def test_without_a_place_nothing_is_chosen(database: Database, places: int) -> None:
    await queue_up(database, await make_tenant(database), [1])
    assert await admit(database, places=places) == []


# ── places ───────────────────────────────────────────────────────────────────────────────────────
async def test_the_last_places_are_for_those_of_whom_nothing_runs(database: Database) -> None:
    busy, newcomer = await make_tenants(database, 2)
    jobs = await queue_up(database, busy, range(3))
    assert await admit(database, places=3, spare=2) == jobs[:1]
    assert await admit(database, places=2, spare=2) == []
    (late,) = await queue_up(database, newcomer, [1], now=NOW + SECOND, priority=IssuePriority.LOW)
    assert await admit(database, NOW + SECOND, places=2, spare=2) == [late]
    assert await admit(database, NOW + SECOND, places=3, spare=2) == jobs[1:2]


async def test_free_places_are_those_of_living_workers(database: Database) -> None:
    await _beat(database, "w1", NOW, 5)
    await _beat(database, "w2", NOW, 2)
    await _beat(database, "silent", NOW - MINUTE, 50)
    assert await _free_places(database) == Places(7, 7)
    await queue_up(database, await make_tenant(database), range(3))
    running, _ = await admit(database, NOW, places=2)
    await start(database, [running])
    assert await _free_places(database) == Places(5, 7)
    assert await _free_places(database, since=NOW + SECOND) == Places(0, 0)


async def _free_places(database: Database, since: datetime = NOW - SECOND) -> Places:
    async with database.read() as connection:
        return await schedule.free_places(SYSTEM, connection, since=since)


async def _beat(database: Database, name: str, at: datetime, concurrency: int) -> None:
    row = {"id": name, "hostname": "h", "pid": 1, "version": "1", "sandbox_tier": Tier.NONE}
    words = {"sandbox_reason": "", "concurrency": concurrency, "started_at": at, "heartbeat_at": at}
    async with database.write() as connection:
        await connection.execute(workers.insert().values(row | words))

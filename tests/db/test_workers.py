"""What workers say of themselves, and the figures of the health page."""

from dataclasses import replace

from bot.db import schedule, workers
from bot.db.database import Database
from bot.db.workers import QueueNumbers, WorkerReport
from bot.domain.enums import Cause, Tier
from tests.db.rows import MINUTE, NOW, STALE, SYSTEM, make_job, make_tenant, start_job, stored
from tests.db.runs import end_job
from tests.db.test_deliveries import DELIVERY

REPORT = WorkerReport(
    id="w1",
    hostname="host",
    pid=7,
    version="0.1.0",
    sandbox_tier=Tier.SANDBOX,
    sandbox_reason="",
    model_word=None,
    model_at=None,
    github_word="ok",
    github_at=NOW,
    running=0,
    started_at=NOW,
    heartbeat_at=NOW,
)


async def _beat(database: Database, report: WorkerReport) -> None:
    async with database.write() as connection:
        await workers.beat(SYSTEM, connection, report)


async def _alive(database: Database, *, minutes: int = 0) -> list[WorkerReport]:
    async with database.read() as connection:
        return await workers.alive(SYSTEM, connection, since=NOW + minutes * MINUTE)


async def test_a_worker_is_read_as_it_reported(database: Database) -> None:
    await _beat(database, REPORT)
    assert await _alive(database) == [REPORT]


async def test_the_next_heartbeat_replaces_the_last(database: Database) -> None:
    later = replace(REPORT, heartbeat_at=NOW + MINUTE, running=2, model_word="ok", model_at=NOW, version="2")
    await _beat(database, REPORT)
    await _beat(database, later)
    assert await _alive(database) == [later]


async def test_the_latest_heard_of_comes_first_and_silent_ones_not_at_all(database: Database) -> None:
    for name, minutes in (("a", 1), ("b", 3), ("c", 2)):
        await _beat(database, replace(REPORT, id=name, heartbeat_at=NOW + minutes * MINUTE))
    assert [report.id for report in await _alive(database, minutes=2)] == ["b", "c"]


async def test_a_worker_that_leaves_is_gone_and_others_stay(database: Database) -> None:
    await _beat(database, REPORT)
    await _beat(database, replace(REPORT, id="w2"))
    async with database.write() as connection:
        await workers.leave(SYSTEM, connection, "w1")
    assert [report.id for report in await _alive(database)] == ["w2"]


async def test_a_worker_that_fell_silent_is_forgotten(database: Database) -> None:
    await _beat(database, REPORT)
    await _beat(database, replace(REPORT, id="w2", heartbeat_at=NOW + MINUTE))
    async with database.write() as connection:
        await workers.forget(SYSTEM, connection, before=NOW + MINUTE)
    assert [report.id for report in await _alive(database)] == ["w2"]


async def test_the_figures_count_what_waits_runs_and_failed_of_late(database: Database) -> None:
    tenant = await make_tenant(database)
    await start_job(database, tenant, 1)
    for number in (2, 3):
        await make_job(database, tenant, number)
    await end_job(database, (await make_job(database, tenant, 4)).job_id, Cause.BUDGET)
    await end_job(database, (await make_job(database, tenant, 5)).job_id, Cause.ANSWERED)
    await stored(database, DELIVERY)
    async with database.write() as connection:
        await schedule.admit(SYSTEM, connection, now=NOW, readmit_after=STALE, places=1)
    assert await _numbers(database) == QueueNumbers(
        pending=2, running=1, failed_last_hour=1, waiting_deliveries=1, admitted=1
    )
    assert (await _numbers(database, minutes=1)).failed_last_hour == 0


async def test_an_empty_database_has_nothing_to_count(database: Database) -> None:
    assert await _numbers(database) == QueueNumbers(0, 0, 0, 0, 0)


async def _numbers(database: Database, *, minutes: int = 0) -> QueueNumbers:
    async with database.read() as connection:
        return await workers.queue_numbers(SYSTEM, connection, failed_since=NOW + minutes * MINUTE)

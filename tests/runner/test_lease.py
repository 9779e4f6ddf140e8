"""The right to work: renewed beside the work, lost in time, ended by a wish to cancel."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.db import tables
from bot.db.database import Database
from bot.domain.values import ClaimedJob
from bot.errors import LeaseLost, Permanent
from bot.publish.operations import SEND_SECONDS
from bot.runner.lease import CancelRequested, JobLease
from tests.db.rows import LEASE, claim, make_job, make_tenant
from tests.fakes import ManualClock
from tests.runner.stands import HEARTBEAT_SECONDS, ShakyDatabase, TickClock


@pytest.fixture
async def shaky(database_url: str) -> AsyncIterator[ShakyDatabase]:
    opened = ShakyDatabase(database_url)
    yield opened
    await opened.close()


@pytest.fixture
async def job(shaky: ShakyDatabase, clock: TickClock) -> ClaimedJob:
    """A job that runs."""
    tenant = await make_tenant(shaky)
    submitted = await make_job(shaky, tenant)
    return await claim(shaky, submitted.job_id, now=clock.now())


@pytest.fixture
def lease(shaky: ShakyDatabase, job: ClaimedJob, clock: TickClock) -> JobLease:
    return JobLease(shaky, job, clock, LEASE.total_seconds(), HEARTBEAT_SECONDS)


async def lasts_seconds(database: Database, clock: ManualClock) -> float:
    """How long the lease holds from now on."""
    async with database.read() as connection:
        until = await connection.scalar(select(tables.job_runs.c.lease_until))
    assert until is not None
    left: timedelta = until - clock.now()
    return left.total_seconds()


async def change(database: Database, **values: object) -> None:
    """Change the run as somebody else would."""
    async with database.write() as connection:
        await connection.execute(tables.job_runs.update().values(**values))


async def for_ever() -> None:
    """Work that does not end by itself."""
    await asyncio.Event().wait()


async def test_a_renewal_counts_from_now(lease: JobLease, shaky: ShakyDatabase, clock: TickClock) -> None:
    clock.advance(20.0)
    assert await lease.renew() is None
    assert await lasts_seconds(shaky, clock) == 30.0


@pytest.mark.parametrize(("seconds", "lasts"), [(16.0, 30.0), (45.0, 45.0)])
async def test_a_lease_is_held_for_a_request_and_never_shortened(
    lease: JobLease, shaky: ShakyDatabase, clock: TickClock, seconds: float, lasts: float
) -> None:
    clock.advance(20.0)
    await lease.hold(seconds)
    assert await lasts_seconds(shaky, clock) == lasts


async def test_a_lease_that_another_has_is_lost(lease: JobLease, shaky: ShakyDatabase) -> None:
    await change(shaky, fence=lease.fence + 1)
    with pytest.raises(LeaseLost):
        await lease.renew()
    with pytest.raises(LeaseLost):
        await lease.hold(1.0)


async def test_guarded_work_gives_its_result(lease: JobLease) -> None:
    async def work() -> str:
        return "done"

    assert await lease.guard(work(), may_cancel=True) == "done"


async def test_an_error_of_the_work_comes_out_as_it_is(lease: JobLease) -> None:
    async def work() -> None:
        raise Permanent("no")

    with pytest.raises(Permanent, match="no"):
        await lease.guard(work(), may_cancel=True)


async def test_the_lease_is_renewed_beside_the_work(
    lease: JobLease, shaky: ShakyDatabase, clock: TickClock
) -> None:
    async def work() -> float:
        for _ in range(3):
            await clock.until_somebody_waits()
            clock.advance(20.0)
            clock.tick()
            await clock.until_somebody_waits()
        return await lasts_seconds(shaky, clock)

    assert await lease.guard(work(), may_cancel=True) == 30.0


async def test_work_without_a_lease_is_stopped(
    lease: JobLease, shaky: ShakyDatabase, clock: TickClock
) -> None:
    is_stopped = False

    async def work() -> None:
        nonlocal is_stopped
        await change(shaky, fence=99)
        clock.tick()
        try:
            await for_ever()
        finally:
            is_stopped = True

    with pytest.raises(LeaseLost):
        await lease.guard(work(), may_cancel=True)
    assert is_stopped


async def test_a_wish_to_cancel_stops_the_work_with_its_reason(lease: JobLease, shaky: ShakyDatabase) -> None:
    await change(shaky, cancel_reason="the issue was closed")
    with pytest.raises(CancelRequested, match="the issue was closed"):
        await lease.guard(for_ever(), may_cancel=True)


async def test_a_wish_to_cancel_is_not_heard_where_it_must_not_be(
    lease: JobLease, shaky: ShakyDatabase, clock: TickClock
) -> None:
    await change(shaky, cancel_reason="the issue was closed")

    async def work() -> str:
        for _ in range(3):
            clock.tick()
            await lease.renew()
        return "published"

    assert await lease.guard(work(), may_cancel=False) == "published"


async def test_a_database_that_is_away_for_a_moment_ends_no_work(
    lease: JobLease, shaky: ShakyDatabase, clock: TickClock
) -> None:
    async def work() -> str:
        await clock.until_somebody_waits()
        shaky.is_away = True
        for _ in range(3):
            clock.tick()
            await clock.until_somebody_waits()
        shaky.is_away = False
        return "done"

    assert await lease.guard(work(), may_cancel=True) == "done"
    assert shaky.refusals == 3


async def test_whoever_is_stopped_leaves_nothing_running(lease: JobLease) -> None:
    before = asyncio.all_tasks()
    guarding = asyncio.create_task(lease.guard(for_ever(), may_cancel=True))
    await lease.renew()
    guarding.cancel()
    with pytest.raises(asyncio.CancelledError):
        await guarding
    assert asyncio.all_tasks() <= before


async def test_whoever_is_stopped_twice_cancels_what_runs_beside_it_once(
    lease: JobLease, shaky: ShakyDatabase
) -> None:
    """A second cancel in the middle of a transaction left a connection behind that could not be closed."""
    stops = 0
    may_end = asyncio.Event()

    async def work() -> None:
        nonlocal stops
        try:
            await for_ever()
        except asyncio.CancelledError:
            stops += 1
            await may_end.wait()
            raise

    guarding = asyncio.create_task(lease.guard(work(), may_cancel=False))
    await lease.renew()
    for _ in range(3):
        guarding.cancel()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert (stops, guarding.done()) == (1, False)
    may_end.set()
    with pytest.raises(asyncio.CancelledError):
        await guarding


async def test_a_heartbeat_never_shortens_what_is_held_for_a_request_that_is_longer_than_a_lease(
    shaky: ShakyDatabase, job: ClaimedJob, clock: TickClock
) -> None:
    short = JobLease(shaky, job, clock, 5.0, HEARTBEAT_SECONDS)
    assert short.lease_seconds < SEND_SECONDS
    clock.advance(LEASE.total_seconds() - 1.0)
    await short.hold(SEND_SECONDS)
    for _ in range(3):
        await short.renew()
        clock.advance(2.0)
    assert await lasts_seconds(shaky, clock) == pytest.approx(SEND_SECONDS - 6.0, abs=0.1)
    clock.advance(SEND_SECONDS - 8.0)
    await short.renew()
    assert await lasts_seconds(shaky, clock) == pytest.approx(5.0, abs=0.1)

"""A lease while it lasts, and what becomes of a lost one."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import cancel, jobs, schedule
from bot.db.database import Database
from bot.db.schedule import Reaped
from bot.db.transcript import Step
from bot.domain.enums import Cause, IssueStatus, JobStatus, Phase, StepKind
from bot.domain.values import ClaimedJob, Scope
from bot.errors import LeaseLost
from tests.db.rows import (
    LEASE,
    MINUTE,
    NOW,
    STALE,
    SYSTEM,
    claim,
    make_job,
    make_tenant,
    overlap,
    start_job,
    states,
)
from tests.db.runs import add_step, end_job, run_row

SECOND = timedelta(seconds=1)


async def _admit(database: Database, now: datetime = NOW, *, places: int = 100) -> list[str]:
    async with database.write() as connection:
        return await schedule.admit(SYSTEM, connection, now=now, readmit_after=STALE, places=places)


async def _renew(database: Database, job: ClaimedJob, now: datetime = NOW) -> str | None:
    async with database.write() as connection:
        return await schedule.renew(Scope(job.organization_id), connection, job, now=now, lease=LEASE)


async def _reap(database: Database, now: datetime = NOW + MINUTE) -> list[Reaped]:
    async with database.write() as connection:
        return await schedule.reap(SYSTEM, connection, now=now)


async def _give_back(database: Database, job: ClaimedJob, wake_at: datetime) -> None:
    async with database.write() as connection:
        await jobs.retry_later(
            Scope(job.organization_id), connection, job, wake_at=wake_at, error="no", is_counted=True, now=NOW
        )


class TestRenew:
    async def test_the_lease_lasts_from_now_on(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        assert await _renew(database, job, NOW + 10 * SECOND) is None
        assert (await run_row(database, job.id))["lease_until"] == NOW + 10 * SECOND + LEASE

    async def test_a_clock_that_jumped_back_never_shortens_it(self, database: Database) -> None:
        """R-13: a jump may cost time, nothing else."""
        job = await start_job(database, await make_tenant(database))
        await _renew(database, job, NOW - 60 * MINUTE)
        assert (await run_row(database, job.id))["lease_until"] == NOW + LEASE

    async def test_it_says_why_the_job_is_to_end(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        async with database.write() as connection:
            await cancel.request_cancel(
                SYSTEM, connection, repository_id=100, number=1, verb="fix", reason="unlabelled", now=NOW
            )
        assert await _renew(database, job) == "unlabelled"

    async def test_a_lease_that_was_taken_away_is_lost(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        await _reap(database)
        with pytest.raises(LeaseLost):
            await _renew(database, job)

    async def test_a_job_that_was_given_back_or_ended_has_no_lease(self, database: Database) -> None:
        tenant = await make_tenant(database)
        given_back, ended = await start_job(database, tenant, 1), await start_job(database, tenant, 2)
        await _give_back(database, given_back, NOW)
        await end_job(database, ended.id, Cause.ANSWERED, job=ended)
        for job in (given_back, ended):
            with pytest.raises(LeaseLost):
                await _renew(database, job)

    async def test_a_job_that_is_given_back_at_the_same_time_gets_no_lease(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        scope = Scope(job.organization_id)

        async def give_back(connection: AsyncConnection) -> None:
            await jobs.retry_later(scope, connection, job, wake_at=NOW, error="no", is_counted=True, now=NOW)

        async def renew(connection: AsyncConnection) -> str | None:
            return await schedule.renew(scope, connection, job, now=NOW, lease=LEASE)

        with pytest.raises(LeaseLost):
            await overlap(database, give_back, renew)
        assert (await run_row(database, job.id))["lease_until"] is None

    async def test_it_never_reaches_into_another_organization(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        other = await make_tenant(database, 2, 200)
        with pytest.raises(LeaseLost):
            async with database.write() as connection:
                await schedule.renew(other.scope, connection, job, now=NOW, lease=LEASE)


class TestReap:
    async def test_a_lease_that_lasts_is_left_alone(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        assert await _reap(database, NOW + LEASE - SECOND) == []
        assert await _has_expired(database, NOW + LEASE - SECOND) is False
        assert await states(database, job.id) == (JobStatus.RUNNING, IssueStatus.PROCESSING)

    async def test_a_lost_job_waits_again_and_gets_its_attempt_back(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        assert await _has_expired(database, NOW + LEASE)
        assert await _reap(database, NOW + LEASE) == [Reaped(job.id, is_quarantined=False)]
        assert await states(database, job.id) == (JobStatus.PENDING, IssueStatus.QUEUED)
        row = await run_row(database, job.id)
        assert (row["lease_owner"], row["lease_until"], row["admitted_at"]) == (None, None, None)
        assert (await claim(database, job.id)).attempts == 1
        assert job.id not in await _admit(database)

    async def test_a_reaped_job_is_not_reaped_again(self, database: Database) -> None:
        await start_job(database, await make_tenant(database))
        await _reap(database)
        assert await _reap(database) == []

    async def test_three_crashes_without_a_step_are_enough(self, database: Database) -> None:
        made = await make_job(database, await make_tenant(database))
        assert [await _crash(database, made.job_id, steps=False) for _ in range(3)] == [False, False, True]

    async def test_a_step_between_them_begins_the_count_anew(self, database: Database) -> None:
        made = await make_job(database, await make_tenant(database))
        crashes = [await _crash(database, made.job_id, steps=number == 2) for number in range(6)]
        assert crashes == [False, False, False, False, False, True]

    async def test_a_step_that_was_recorded_before_is_no_progress(self, database: Database) -> None:
        made = await make_job(database, await make_tenant(database))
        crashes = [await _crash(database, made.job_id, steps=True) for _ in range(4)]
        assert crashes == [False, False, False, True]

    async def test_a_lease_that_its_owner_is_just_renewing_is_left_alone(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        later = NOW + MINUTE

        async def renew(connection: AsyncConnection) -> str | None:
            return await schedule.renew(SYSTEM, connection, job, now=later, lease=LEASE)

        async def reap(connection: AsyncConnection) -> list[Reaped]:
            return await schedule.reap(SYSTEM, connection, now=later)

        assert await overlap(database, renew, reap) == (None, [])
        assert await _renew(database, job, later) is None

    async def test_a_reaper_whose_clock_jumped_ahead_takes_a_living_job_and_its_owner_is_fenced_out(
        self, database: Database
    ) -> None:
        """R-13: the fence protects what is written, whatever the clocks say."""
        job = await start_job(database, await make_tenant(database))
        assert len(await _reap(database, NOW + 60 * MINUTE)) == 1
        with pytest.raises(LeaseLost):
            await _renew(database, job)
        again = await claim(database, job.id, now=NOW - 60 * MINUTE)
        assert again.fence > job.fence
        assert await _renew(database, again) is None

    async def test_of_two_reapers_at_once_one_takes_the_job(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))

        async def reap(connection: AsyncConnection) -> list[Reaped]:
            return await schedule.reap(SYSTEM, connection, now=NOW + MINUTE)

        assert await overlap(database, reap, reap) == ([Reaped(job.id, is_quarantined=False)], [])

    async def test_a_frozen_job_stays_frozen_for_its_next_owner(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        async with database.write() as connection:
            scope = Scope(job.organization_id)
            await jobs.freeze(scope, connection, job, Cause.ANSWERED, error=None, result={}, now=NOW)
        await _reap(database)
        assert (await claim(database, job.id)).phase is Phase.FROZEN


async def _has_expired(database: Database, now: datetime) -> bool:
    async with database.read() as connection:
        return await schedule.has_expired(SYSTEM, connection, now=now)


async def _crash(database: Database, job_id: str, *, steps: bool) -> bool:
    job = await claim(database, job_id)
    if steps:
        async with database.write() as connection:
            step = Step(0, StepKind.PROMPT, {"system": "s"})
            await add_step(Scope(job.organization_id), connection, job, step, now=NOW)
    (reaped,) = await _reap(database)
    return reaped.is_quarantined

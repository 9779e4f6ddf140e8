"""Who may run next, and who owns a job."""

import asyncio
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import cancel, jobs, schedule
from bot.db.database import Database
from bot.db.schedule import ORGANIZATION_CAP, Reaped
from bot.db.tables import agent_issues, agent_jobs
from bot.db.tenants import Tenant
from bot.domain.enums import Cause, IssuePriority, IssueStatus, JobStatus, Phase
from bot.domain.values import ClaimedJob, Scope
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
from tests.db.runs import end_job, event_kinds, run_row

SECOND = timedelta(seconds=1)


async def _admit(database: Database, now: datetime = NOW, *, places: int = 100) -> list[str]:
    async with database.write() as connection:
        return await schedule.admit(SYSTEM, connection, now=now, readmit_after=STALE, places=places)


async def _claim(database: Database, job_id: str, now: datetime = NOW) -> ClaimedJob | None:
    async with database.write() as connection:
        return await schedule.claim(SYSTEM, connection, job_id, "w2", now=now, lease=LEASE)


async def _admitted(database: Database, tenant: Tenant) -> str:
    made = await make_job(database, tenant)
    assert await _admit(database) == [made.job_id]
    return made.job_id


async def _reap(database: Database, now: datetime = NOW + MINUTE) -> list[Reaped]:
    async with database.write() as connection:
        return await schedule.reap(SYSTEM, connection, now=now)


async def _give_back(database: Database, job: ClaimedJob, wake_at: datetime) -> None:
    async with database.write() as connection:
        await jobs.retry_later(
            Scope(job.organization_id), connection, job, wake_at=wake_at, error="no", is_counted=True, now=NOW
        )


async def _several(database: Database, tenant: Tenant, numbers: range) -> list[str]:
    return [(await make_job(database, tenant, number)).job_id for number in numbers]


class TestAdmit:
    async def test_the_most_urgent_comes_first_then_the_oldest(self, database: Database) -> None:
        priorities = [IssuePriority.LOW, IssuePriority.MEDIUM, IssuePriority.CRITICAL, IssuePriority.MEDIUM]
        made = []
        for place, priority in enumerate(priorities):
            tenant = await make_tenant(database, account_id=place + 1, repository_id=100 + place)
            now = NOW + place * SECOND
            made.append((await make_job(database, tenant, priority=priority, now=now)).job_id)
        assert await _admit(database, NOW + MINUTE) == [made[2], made[1], made[3], made[0]]

    async def test_an_organization_has_at_most_its_cap(self, database: Database) -> None:
        made = await _several(database, await make_tenant(database), range(1, 6))
        admitted = await _admit(database)
        assert len(admitted) == ORGANIZATION_CAP
        assert set(admitted) < set(made)

    async def test_admitted_and_running_jobs_count_against_the_cap(self, database: Database) -> None:
        tenant = await make_tenant(database)
        first, *_ = await _several(database, tenant, range(1, 6))
        await claim(database, first)
        assert len(await _admit(database)) == ORGANIZATION_CAP - 1
        assert await _admit(database) == []

    async def test_an_ended_job_makes_room(self, database: Database) -> None:
        tenant = await make_tenant(database)
        await _several(database, tenant, range(1, 6))
        first, *_ = await _admit(database)
        await end_job(database, first, Cause.ANSWERED)
        assert len(await _admit(database)) == 1

    async def test_a_hundred_urgent_jobs_of_one_organization_do_not_shut_out_another(
        self, database: Database
    ) -> None:
        busy, quiet = await make_tenant(database, 1, 100), await make_tenant(database, 2, 200)
        await _several(database, busy, range(1, 12))
        (low,) = await _several(database, quiet, range(1, 2))
        assert low in await _admit(database, places=ORGANIZATION_CAP + 1)

    async def test_a_job_waits_until_its_time(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        await _give_back(database, job, NOW + MINUTE)
        assert await _admit(database, NOW + MINUTE - SECOND) == []
        assert await _admit(database, NOW + MINUTE) == [job.id]

    async def test_what_is_admitted_is_not_admitted_twice(self, database: Database) -> None:
        await make_job(database, await make_tenant(database))
        assert len(await _admit(database)) == 1
        assert await _admit(database) == []

    async def test_what_was_admitted_and_never_claimed_is_handed_out_again(self, database: Database) -> None:
        made = await make_job(database, await make_tenant(database))
        await _admit(database)
        assert await _admit(database, NOW + STALE - SECOND) == []
        assert await _admit(database, NOW + STALE) == [made.job_id]

    async def test_a_running_or_ended_job_is_never_admitted(self, database: Database) -> None:
        tenant = await make_tenant(database)
        await start_job(database, tenant, 1)
        await end_job(database, (await make_job(database, tenant, 2)).job_id, Cause.BUG)
        assert await _admit(database, NOW + 10 * MINUTE) == []

    async def test_two_at_once_keep_the_cap_together(self, database: Database) -> None:
        tenant = await make_tenant(database)
        await _several(database, tenant, range(1, 4))

        async def admit(connection: AsyncConnection) -> list[str]:
            return await schedule.admit(SYSTEM, connection, now=NOW, readmit_after=STALE, places=100)

        async def admit_later(connection: AsyncConnection) -> list[str]:
            return await schedule.admit(SYSTEM, connection, now=NOW + SECOND, readmit_after=STALE, places=100)

        first, second = await overlap(database, admit, admit_later)
        assert (len(first), second) == (ORGANIZATION_CAP, [])

    async def test_it_belongs_to_no_tenant(self, database: Database) -> None:
        with pytest.raises(ValueError, match="no tenant"):
            async with database.write() as connection:
                await schedule.admit(Scope("o"), connection, now=NOW, readmit_after=STALE, places=100)


class TestClaim:
    async def test_the_owner_gets_the_job_with_all_that_was_asked(self, database: Database) -> None:
        tenant = await make_tenant(database)
        job = await start_job(database, tenant)
        assert (job.fence, job.attempts, job.phase) == (1, 1, Phase.WAITING)
        assert (await run_row(database, job.id))["lease_owner"] == "w1"
        assert (job.organization_id, job.lease_until) == (tenant.organization_id, NOW + LEASE)
        assert (job.repository.full_name, job.origin.snapshot.labels) == ("octo-1/r100", ("bug",))
        assert await states(database, job.id) == (JobStatus.RUNNING, IssueStatus.PROCESSING)
        assert await event_kinds(database, job.id) == ["job.submitted", "job.started"]

    async def test_a_running_job_is_not_free(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        assert await _claim(database, job.id) is None
        assert await _claim(database, job.id, NOW + 10 * MINUTE) is None

    async def test_every_claim_raises_the_fence(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        await _reap(database)
        again = await claim(database, job.id, now=NOW + MINUTE)
        assert again.fence > job.fence

    async def test_the_start_is_the_first_one(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        await _reap(database)
        await claim(database, job.id, now=NOW + MINUTE)
        async with database.read() as connection:
            assert await connection.scalar(select(agent_jobs.c.started_at)) == NOW

    async def test_of_two_at_once_one_gets_it(self, database: Database) -> None:
        job_id = await _admitted(database, await make_tenant(database))

        async def take(connection: AsyncConnection) -> ClaimedJob | None:
            return await schedule.claim(SYSTEM, connection, job_id, "w", now=NOW, lease=LEASE)

        first, second = await overlap(database, take, take)
        assert first is not None
        assert second is None

    async def test_of_twenty_at_once_one_gets_it(self, database: Database) -> None:
        job_id = await _admitted(database, await make_tenant(database))
        claimed = await asyncio.gather(*(_claim(database, job_id) for _ in range(20)))
        assert sum(job is not None for job in claimed) == 1

    async def test_a_job_that_was_given_back_is_free_once_it_is_admitted_again(
        self, database: Database
    ) -> None:
        job = await start_job(database, await make_tenant(database))
        await _give_back(database, job, NOW + MINUTE)
        assert await _claim(database, job.id, NOW + MINUTE) is None
        await _admit(database, NOW + MINUTE)
        assert await _claim(database, job.id, NOW + MINUTE) is not None

    async def test_a_job_that_is_being_cancelled_is_not_free(self, database: Database) -> None:
        job_id = await _admitted(database, await make_tenant(database))

        async def stop(connection: AsyncConnection) -> list[str]:
            return await cancel.request_cancel(
                SYSTEM, connection, repository_id=100, number=1, verb=None, reason="closed", now=NOW
            )

        async def take(connection: AsyncConnection) -> ClaimedJob | None:
            return await schedule.claim(SYSTEM, connection, job_id, "w", now=NOW, lease=LEASE)

        cancelled, claimed = await overlap(database, stop, take)
        assert (cancelled, claimed) == ([job_id], None)
        assert await states(database, job_id) == (JobStatus.CANCELLED, IssueStatus.CANCELLED)

    async def test_a_job_that_nobody_knows_is_not_free(self, database: Database) -> None:
        assert await _claim(database, "01ARZ3NDEKTSV4RRFFQ69G5FAV") is None

    async def test_a_job_whose_issue_somebody_ended_is_owned_to_be_ended(self, database: Database) -> None:
        job_id = await _admitted(database, await make_tenant(database))
        async with database.write() as connection:
            await connection.execute(update(agent_issues).values(status=IssueStatus.COMPLETED))
        job = await _claim(database, job_id)
        assert job is not None
        assert (await run_row(database, job_id))["cancel_reason"] == "its request has ended"
        assert await states(database, job_id) == (JobStatus.RUNNING, IssueStatus.COMPLETED)
        assert await end_job(database, job_id, Cause.CANCELLED, job=job) is JobStatus.CANCELLED
        assert await states(database, job_id) == (JobStatus.CANCELLED, IssueStatus.COMPLETED)

    async def test_an_issue_that_somebody_moved_stops_no_reaper(self, database: Database) -> None:
        tenant = await make_tenant(database)
        moved, other = await start_job(database, tenant, 1), await start_job(database, tenant, 2)
        async with database.write() as connection:
            await connection.execute(
                update(agent_issues)
                .where(agent_issues.c.id == moved.issue_id)
                .values(status=IssueStatus.CANCELLED)
            )
        assert {each.job_id for each in await _reap(database)} == {moved.id, other.id}
        assert await states(database, moved.id) == (JobStatus.PENDING, IssueStatus.CANCELLED)

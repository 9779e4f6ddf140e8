"""No history of calls by several jobs, people, repositories and organizations ever passes a limit."""

import asyncio
import shutil
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import delete

from bot.db import ledger
from bot.db.database import Database
from bot.db.tables import ledger as table
from bot.domain.budget import BudgetExceeded, BudgetKind, Budgets
from bot.domain.values import Actor, ClaimedJob, Scope
from bot.errors import RetryLater
from tests.db import money
from tests.db.rows import NOW, make_tenant, start_job

LIMITS = Budgets(
    job=100, user_day=150, repository_day=170, organization_day=200, organization_month=400, minute=120
)
CALLS = st.tuples(
    st.integers(0, 5),  # whose
    st.sampled_from([0, 1, 30, 50, 70, 130]),  # what it can cost
    st.sampled_from(["cut", "cheaper", "as reserved", "dearer"]),
    st.sampled_from([0, 10, 45, 3_600, 40_000, 400_000]),  # seconds until then
)


@dataclass
class Row:
    """A call as it ought to be counted."""

    job: ClaimedJob
    at: datetime
    micro_usd: int


def ought(rows: list[Row], job: ClaimedJob, now: datetime) -> dict[BudgetKind, int]:
    """Each sum that a call of *job* counts for."""
    own = [row for row in rows if row.job.organization_id == job.organization_id]
    today = [row for row in own if row.at.date() == now.date()]
    of = {
        BudgetKind.JOB: [row for row in own if row.job.id == job.id],
        BudgetKind.USER_DAY: [row for row in today if row.job.origin.actor == job.origin.actor],
        BudgetKind.REPOSITORY_DAY: [row for row in today if row.job.repository.id == job.repository.id],
        BudgetKind.ORGANIZATION_DAY: today,
        BudgetKind.ORGANIZATION_MONTH: [
            row for row in own if (row.at.year, row.at.month) == (now.year, now.month)
        ],
        BudgetKind.MINUTE: [row for row in rows if row.at > now - timedelta(seconds=60)],
    }
    return {kind: sum(row.micro_usd for row in found) for kind, found in of.items()}


async def jobs_of(database: Database) -> list[ClaimedJob]:
    """Six jobs: two organizations, two people, three repositories."""
    one, two = await make_tenant(database), await make_tenant(database, 2, 200)
    first = await start_job(database, one, 1)
    second = await start_job(database, one, 2)
    third = await start_job(database, two, 1)
    stranger = Actor(8, "hubot")
    by_stranger = replace(second, origin=replace(second.origin, actor=stranger))
    elsewhere = replace(await start_job(database, one, 3), repository=replace(first.repository, id=101))
    return [first, second, third, by_stranger, elsewhere, await start_job(database, one, 4)]


async def play(database: Database, jobs: list[ClaimedJob], calls: list[tuple[int, int, str, int]]) -> None:
    """Make the calls one after the other; the ledger decides and sums as the list of rows does."""
    async with database.write() as connection:
        await connection.execute(delete(table))
    rows: list[Row] = []
    now = NOW
    for whose, worst, end, seconds in calls:
        now += timedelta(seconds=seconds)
        job = jobs[whose]
        before = ought(rows, job, now)
        fits = all(before[kind] + worst <= LIMITS.of(kind) for kind in BudgetKind)
        try:
            row_id = await money.reserve(database, job, worst, LIMITS, now=now)
        except (BudgetExceeded, RetryLater):
            assert not fits
            continue
        assert fits
        cost = {"cheaper": worst // 2, "dearer": worst * 2}.get(end, worst)
        if end != "cut":
            await money.settle(database, job, row_id, cost)
        rows.append(Row(job, now, cost))
        await check_sums(database, job, rows, now)


async def check_sums(database: Database, job: ClaimedJob, rows: list[Row], now: datetime) -> None:
    """What is counted is what ought to be, also where a call turned out dearer than it was reserved."""
    expected = ought(rows, job, now)
    scope = Scope(job.organization_id)
    async with database.read() as connection:
        sums = await ledger.sums_of(scope, connection, job, LIMITS, now=now)
        spent = await ledger.spent_by_job(scope, connection, job.id)
    assert {kind: sums.of(kind) for kind in BudgetKind} == expected
    assert spent.micro_usd == expected[BudgetKind.JOB]


def test_every_history_is_decided_and_counted_as_a_list_of_calls_would(
    migrated_file: Path, tmp_path: Path
) -> None:
    file = shutil.copy(migrated_file, tmp_path / "issuewright.db")
    with asyncio.Runner() as loop:
        database = Database(f"sqlite+aiosqlite:///{file}")
        jobs = loop.run(jobs_of(database))

        @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(st.lists(CALLS, max_size=25))
        def every(calls: list[tuple[int, int, str, int]]) -> None:
            loop.run(play(database, jobs, calls))

        every()
        loop.run(database.close())

"""Money: a limit holds whatever comes at once, and what was interrupted counts at its maximum."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import ledger, spending
from bot.db.database import Database
from bot.db.tables import ledger as table
from bot.domain.budget import BudgetExceeded, BudgetKind, Budgets
from bot.domain.enums import Cause, Purpose
from bot.domain.values import Actor, ClaimedJob, Scope, Usage
from bot.errors import LeaseLost, RetryLater
from tests.db import money
from tests.db.money import reserve, settle, spent
from tests.db.rows import NOW, count, make_tenant, overlap, start_job

HUNDRED = Budgets(job=100)


def asked_by(job: ClaimedJob, actor_id: int) -> ClaimedJob:
    """The same job, commanded by somebody else."""
    return replace(job, origin=replace(job.origin, actor=Actor(actor_id, "someone")))


async def reserve_in(connection: AsyncConnection, job: ClaimedJob, micro_usd: int, limits: Budgets) -> bool:
    """Whether the money could be set aside in this transaction."""
    scope = Scope(job.organization_id)
    try:
        await ledger.reserve(scope, connection, job, money.call(micro_usd), limits, now=NOW)
    except BudgetExceeded:
        return False
    return True


async def can(database: Database, job: ClaimedJob, micro_usd: int, limits: Budgets) -> bool:
    """Whether the money could be set aside, in a transaction of its own."""
    async with database.write() as connection:
        return await reserve_in(connection, job, micro_usd, limits)


async def test_the_last_micro_dollar_may_be_spent_and_not_one_more(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    assert await can(database, job, 60, HUNDRED)
    assert not await can(database, job, 41, HUNDRED)
    assert await can(database, job, 40, HUNDRED)
    assert await spent(database, job) == 100


async def test_a_call_that_was_refused_leaves_no_row(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    assert not await can(database, job, 101, HUNDRED)
    assert await count(database, table) == 0


async def test_a_settled_call_counts_at_its_cost_and_an_interrupted_one_at_its_maximum(
    database: Database,
) -> None:
    job = await start_job(database, await make_tenant(database))
    await settle(database, job, await reserve(database, job, 50), 7)
    await reserve(database, job, 20)
    assert await spent(database, job) == 27


async def test_a_call_may_turn_out_dearer_than_it_was_reserved(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    await settle(database, job, await reserve(database, job, 50, HUNDRED), 120)
    assert await spent(database, job) == 120
    assert not await can(database, job, 1, HUNDRED)


async def test_the_first_settlement_stays(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    row_id = await reserve(database, job, 50)
    await settle(database, job, row_id, 7)
    await settle(database, job, row_id, 1)
    assert await spent(database, job) == 7


async def test_tokens_count_at_their_maximum_until_they_are_known(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    capped = Budgets(job_tokens=1_000)
    row_id = await reserve(database, job, 0, capped, tokens=900)
    with pytest.raises(BudgetExceeded, match="1,000 tokens"):
        await reserve(database, job, 0, capped, tokens=101)
    await settle(database, job, row_id, 0, Usage(1, 20, 300, 400))
    await reserve(database, job, 0, capped, tokens=279)
    async with database.read() as connection:
        found = await ledger.spent_by_job(Scope(job.organization_id), connection, job.id)
    assert found == ledger.Spent(0, 1_000)


async def test_what_is_settled_in_the_same_transaction_counts_at_its_cost(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    row_id = await reserve(database, job, 90, HUNDRED)
    scope = Scope(job.organization_id)
    async with database.write() as connection:
        await ledger.settle(scope, connection, row_id, micro_usd=10, usage=Usage(), now=NOW)
        assert await reserve_in(connection, job, 90, HUNDRED)


async def test_another_job_has_its_own_limit(database: Database) -> None:
    tenant = await make_tenant(database)
    first, second = await start_job(database, tenant, 1), await start_job(database, tenant, 2)
    assert await can(database, first, 100, HUNDRED)
    assert await can(database, second, 100, HUNDRED)


@pytest.mark.parametrize("kind", [BudgetKind.ORGANIZATION_DAY, BudgetKind.ORGANIZATION_MONTH])
async def test_all_jobs_of_an_organization_share_its_limit_and_no_others(
    database: Database, kind: BudgetKind
) -> None:
    tenant, other = await make_tenant(database), await make_tenant(database, 2, 200)
    first, second = await start_job(database, tenant, 1), await start_job(database, tenant, 2)
    limits = replace(Budgets(), **{kind.value: 100})
    assert await can(database, first, 60, limits)
    assert not await can(database, second, 41, limits)
    assert await can(database, await start_job(database, other), 100, limits)


async def test_a_persons_day_counts_that_person_alone_in_all_their_jobs(database: Database) -> None:
    tenant = await make_tenant(database)
    limits = Budgets(user_day=100)
    assert await can(database, await start_job(database, tenant, 1), 60, limits)
    second = await start_job(database, tenant, 2)
    assert not await can(database, second, 60, limits)
    assert await can(database, asked_by(second, 8), 60, limits)


async def test_a_repositorys_day_counts_that_repository_alone(database: Database) -> None:
    tenant = await make_tenant(database)
    limits = Budgets(repository_day=100)
    first = await start_job(database, tenant, 1)
    assert await can(database, asked_by(first, 8), 60, limits)
    second = await start_job(database, tenant, 2)
    assert not await can(database, second, 60, limits)
    elsewhere = replace(second, repository=replace(second.repository, id=101))
    assert await can(database, elsewhere, 60, limits)


@pytest.mark.parametrize(
    ("kind", "later"),
    [
        (BudgetKind.USER_DAY, datetime(2026, 11, 23, tzinfo=UTC)),
        (BudgetKind.REPOSITORY_DAY, datetime(2026, 11, 23, tzinfo=UTC)),
        (BudgetKind.ORGANIZATION_DAY, datetime(2026, 11, 23, tzinfo=UTC)),
        (BudgetKind.ORGANIZATION_MONTH, datetime(2026, 12, 1, tzinfo=UTC)),
    ],
)
async def test_a_budget_begins_anew_with_the_day_or_the_month_of_utc(
    database: Database, kind: BudgetKind, later: datetime
) -> None:
    job = await start_job(database, await make_tenant(database))
    limits = replace(Budgets(), **{kind.value: 100})
    await reserve(database, job, 100, limits)
    with pytest.raises(BudgetExceeded) as caught:
        await reserve(database, job, 1, limits, now=later - timedelta(milliseconds=1))
    assert caught.value.resets_at == later
    await reserve(database, job, 100, limits, now=later)
    with pytest.raises(BudgetExceeded):
        await reserve(database, job, 1, limits, now=later)


@pytest.mark.parametrize("days", [0, 1])
async def test_a_call_in_the_first_instant_of_a_day_or_month_counts_once(
    database: Database, days: int
) -> None:
    job = await start_job(database, await make_tenant(database))
    first = datetime(2026, 12, 1, tzinfo=UTC)
    await reserve(database, job, 60, now=first)
    await reserve(database, job, 10, now=first + timedelta(days=days))
    limits = Budgets(organization_month=100)
    now = first + timedelta(days=days, hours=1)
    async with database.read() as connection:
        scope = Scope(job.organization_id)
        found = await ledger.sums_of(scope, connection, job, limits, now=now)
    assert found.organization_month == 70


async def test_the_breaker_counts_everybodys_last_minute_and_lets_the_job_wait(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    other = await start_job(database, await make_tenant(database, 2, 200))
    limits = Budgets(minute=100)
    await reserve(database, other, 70, limits, now=NOW)
    await reserve(database, job, 20, limits, now=NOW + timedelta(seconds=20))
    with pytest.raises(RetryLater) as caught:
        await reserve(database, job, 30, limits, now=NOW + timedelta(seconds=50))
    error = caught.value
    assert (error.after_seconds, error.is_away, error.cause) == (10.0, True, Cause.BUDGET)
    await reserve(database, job, 30, limits, now=NOW + timedelta(seconds=60))


async def test_a_call_above_the_breaker_by_itself_ends_with_the_remedy(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    with pytest.raises(BudgetExceeded, match="ISSUEWRIGHT_BUDGET_MINUTE_USD"):
        await reserve(database, job, 101, Budgets(minute=100))


@pytest.mark.parametrize("limits", [HUNDRED, Budgets(organization_day=100), Budgets(user_day=100)])
async def test_of_two_reservations_at_once_the_second_counts_the_first(
    database: Database, limits: Budgets
) -> None:
    tenant = await make_tenant(database)
    one, two = await start_job(database, tenant, 1), await start_job(database, tenant, 2)
    two = one if limits.job else two
    made = await overlap(
        database,
        lambda connection: reserve_in(connection, one, 60, limits),
        lambda connection: reserve_in(connection, two, 60, limits),
    )
    assert made == (True, False)


async def test_of_two_organizations_near_the_breaker_the_second_counts_the_first(database: Database) -> None:
    one = await start_job(database, await make_tenant(database))
    two = await start_job(database, await make_tenant(database, 2, 200))
    limits = Budgets(minute=100)

    async def reserve_or_wait(connection: AsyncConnection) -> str:
        with pytest.raises(RetryLater):
            await reserve_in(connection, two, 60, limits)
        return "waits"

    made = await overlap(database, lambda it: reserve_in(it, one, 60, limits), reserve_or_wait)
    assert made == (True, "waits")


async def test_far_from_the_breaker_one_organization_does_not_wait_for_another(database: Database) -> None:
    if database.is_sqlite:
        pytest.skip("SQLite has one writer at a time")
    one = await start_job(database, await make_tenant(database))
    two = await start_job(database, await make_tenant(database, 2, 200))
    limits = Budgets(job=100, user_day=100, organization_day=100, organization_month=100, minute=400)
    async with database.write() as connection:
        assert await reserve_in(connection, one, 60, limits)
        assert await asyncio.wait_for(can(database, two, 60, limits), 20)


async def test_forty_reservations_of_four_jobs_at_once_never_pass_the_last_dollar(database: Database) -> None:
    tenant = await make_tenant(database)
    jobs = [await start_job(database, tenant, number) for number in (1, 2, 3, 4)]
    limits = Budgets(organization_day=1_000_000)
    made = await asyncio.gather(*(can(database, job, 300_000, limits) for job in jobs * 10))
    assert sum(made) == 3


async def test_a_job_whose_budget_is_used_up_is_refused_before_its_start(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    limits = Budgets(user_day=100)
    scope = Scope(job.organization_id)
    async with database.read() as connection:
        await ledger.affordable(scope, connection, job, 100, limits, NOW)
    await reserve(database, job, 90, limits)
    async with database.read() as connection:
        await ledger.affordable(scope, connection, job, 10, limits, NOW)
        with pytest.raises(BudgetExceeded, match="this person's day"):
            await ledger.affordable(scope, connection, job, 11, limits, NOW)
        with pytest.raises(LookupError):
            await ledger.affordable(Scope("another"), connection, job, 1, limits, NOW)
    assert await count(database, table) == 1


async def test_each_budget_is_shown_with_what_is_spent_and_when_it_begins_anew(database: Database) -> None:
    tenant = await make_tenant(database)
    job, other = await start_job(database, tenant, 1), await start_job(database, tenant, 2)
    await reserve(database, job, 5, now=NOW - timedelta(days=1))
    await settle(database, job, await reserve(database, job, 9), 30)
    await reserve(database, asked_by(other, 8), 4)
    limits = Budgets(user_day=10, organization_day=20, organization_month=40, minute=50)
    async with database.read() as connection:
        found = await spending.listing(Scope.system(), connection, limits, limit=9, now=NOW)
        with pytest.raises(ValueError, match="tenant"):
            await spending.listing(tenant.scope, connection, limits, limit=9, now=NOW)
    assert [(line.kind.value, line.spent_micro_usd, line.limit_micro_usd) for line in found] == [
        ("minute", 34, 50),
        ("organization_month", 39, 40),
        ("organization_day", 34, 20),
        ("repository_day", 34, 0),
        ("user_day", 30, 10),
        ("user_day", 4, 10),
    ]
    assert [line.resets_at for line in found[:2]] == [None, datetime(2026, 12, 1, tzinfo=UTC)]


async def test_another_organization_reserves_settles_and_sees_nothing(database: Database) -> None:
    tenant, other = await make_tenant(database), await make_tenant(database, 2, 200)
    job = await start_job(database, tenant)
    row_id = await reserve(database, job, 50)
    async with database.write() as connection:
        await ledger.settle(other.scope, connection, row_id, micro_usd=1, usage=Usage(), now=NOW)
        await ledger.settle(Scope.system(), connection, row_id, micro_usd=1, usage=Usage(), now=NOW)
        assert await ledger.spent_by_job(other.scope, connection, job.id) == ledger.Spent()
    assert await spent(database, job) == 50
    with pytest.raises(LookupError):
        async with database.write() as connection:
            await ledger.reserve(other.scope, connection, job, money.call(1), HUNDRED, now=NOW)


async def test_a_worker_that_lost_the_job_spends_nothing_on_it(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    with pytest.raises(LeaseLost):
        await reserve(database, replace(job, fence=job.fence - 1), 1)
    assert await count(database, table) == 0


async def test_a_row_says_who_asked_where_for_what_and_what_it_used(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    await settle(database, job, await reserve(database, job, 50, tokens=99), 7, Usage(1, 2, 3, 4))
    async with database.read() as connection:
        row = (await connection.execute(select(table))).one()
    assert (row.model, row.purpose, row.actor_id, row.repository_id) == ("m1", Purpose.TURN, 7, 100)
    assert (row.reserved_micro_usd, row.settled_micro_usd, row.tokens) == (50, 7, 10)
    assert (row.is_settled, row.settled_at) == (True, NOW)
    assert row.usage == {
        "input_tokens": 1,
        "output_tokens": 2,
        "cache_write_tokens": 3,
        "cache_read_tokens": 4,
    }


async def test_every_sum_goes_by_an_index(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    await reserve(database, job, 1)
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "
    plans: list[str] = []
    async with database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(text("SET LOCAL enable_seqscan TO off"))
        asked: list[Any] = []

        def note(*heard: Any) -> None:
            if "coalesce" in heard[2]:
                asked.append((heard[2], heard[3]))

        event.listen(database.engine.sync_engine, "before_cursor_execute", note)
        limits = Budgets(organization_month=10, minute=1)
        await ledger.affordable(Scope.system(), connection, job, 0, limits, NOW)
        event.remove(database.engine.sync_engine, "before_cursor_execute", note)
        for statement, values in asked:
            lines = (await connection.exec_driver_sql(explain + statement, values)).all()
            plans.append("\n".join(str(line) for line in lines))
    (plan,) = plans
    for name in ("ledger_organizationId_createdAt_idx", "ledger_createdAt_idx", "ledger_jobId_idx"):
        assert name in plan

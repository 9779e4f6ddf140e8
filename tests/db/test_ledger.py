"""Money: a limit holds whatever comes at once, and what was interrupted counts at its maximum."""

import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import ledger
from bot.db.database import Database
from bot.db.tables import ledger as table
from bot.domain.values import ClaimedJob, Scope
from tests.db.rows import NOW, count, make_tenant, overlap, start_job


async def _reserve(database: Database, job: ClaimedJob, micro_usd: int, limit: int = 100) -> str | None:
    async with database.write() as connection:
        return await _reserve_in(connection, job, micro_usd, limit)


async def _reserve_in(connection: AsyncConnection, job: ClaimedJob, micro_usd: int, limit: int) -> str | None:
    scope = Scope(job.organization_id)
    return await ledger.reserve(
        scope, connection, job.id, "sonnet", micro_usd=micro_usd, limit_micro_usd=limit, now=NOW
    )


async def _settle(database: Database, scope: Scope, row_id: str | None, micro_usd: int) -> None:
    assert row_id is not None
    async with database.write() as connection:
        await ledger.settle(scope, connection, row_id, micro_usd=micro_usd, usage={"in": 1}, now=NOW)


async def _spent(database: Database, scope: Scope, job: ClaimedJob) -> int:
    async with database.read() as connection:
        return await ledger.spent_by_job(scope, connection, job.id)


async def test_the_last_micro_dollar_may_be_spent_and_not_one_more(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    assert await _reserve(database, job, 60) is not None
    assert await _reserve(database, job, 41) is None
    assert await _reserve(database, job, 40) is not None
    assert await _spent(database, Scope(job.organization_id), job) == 100


async def test_a_call_that_was_refused_leaves_no_row(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    await _reserve(database, job, 101)
    assert await count(database, table) == 0


async def test_a_settled_call_counts_at_its_cost_and_an_interrupted_one_at_its_maximum(
    database: Database,
) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    await _settle(database, tenant.scope, await _reserve(database, job, 50), 7)
    await _reserve(database, job, 20)
    assert await _spent(database, tenant.scope, job) == 27


async def test_a_call_may_turn_out_dearer_than_it_was_reserved(database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    await _settle(database, tenant.scope, await _reserve(database, job, 50), 120)
    assert await _spent(database, tenant.scope, job) == 120
    assert await _reserve(database, job, 1) is None


async def test_the_first_settlement_stays(database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    row_id = await _reserve(database, job, 50)
    await _settle(database, tenant.scope, row_id, 7)
    await _settle(database, tenant.scope, row_id, 1)
    assert await _spent(database, tenant.scope, job) == 7


async def test_another_job_has_its_own_limit(database: Database) -> None:
    tenant = await make_tenant(database)
    first, second = await start_job(database, tenant, 1), await start_job(database, tenant, 2)
    await _reserve(database, first, 100)
    assert await _reserve(database, second, 100) is not None


async def test_of_two_reservations_at_once_the_second_counts_the_first(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))

    async def reserve(connection: AsyncConnection) -> str | None:
        return await _reserve_in(connection, job, 60, 100)

    first, second = await overlap(database, reserve, reserve)
    assert first is not None
    assert second is None


async def test_twenty_reservations_at_once_never_pass_the_limit(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    made = await asyncio.gather(*(_reserve(database, job, 30) for _ in range(20)))
    assert sum(row_id is not None for row_id in made) == 3


async def test_another_organization_reserves_settles_and_sees_nothing(database: Database) -> None:
    tenant, other = await make_tenant(database), await make_tenant(database, 2, 200)
    job = await start_job(database, tenant)
    row_id = await _reserve(database, job, 50)
    await _settle(database, other.scope, row_id, 1)
    assert await _spent(database, tenant.scope, job) == 50
    assert await _spent(database, other.scope, job) == 0
    with pytest.raises(NoResultFound):
        async with database.write() as connection:
            await ledger.reserve(
                other.scope, connection, job.id, "sonnet", micro_usd=1, limit_micro_usd=9, now=NOW
            )


async def test_a_row_says_which_model_and_what_it_used(database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    await _settle(database, tenant.scope, await _reserve(database, job, 50), 7)
    async with database.read() as connection:
        row = (await connection.execute(select(table))).one()
    assert (row.model, row.usage, row.is_settled, row.settled_at) == ("sonnet", {"in": 1}, True, NOW)

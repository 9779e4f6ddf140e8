"""Events: numbered without gaps in each organization, whoever writes at once."""

import asyncio

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import events
from bot.db.database import Database
from bot.db.tables import events as table
from bot.domain.values import Scope
from tests.db.rows import NOW, SYSTEM, count, make_tenant, overlap


async def _append(database: Database, scope: Scope) -> int:
    async with database.write() as connection:
        return await events.append(scope, connection, "job.started", now=NOW, job_id="j", data={"a": 1})


async def test_numbers_begin_at_one_in_each_organization(database: Database) -> None:
    ours, theirs = (await make_tenant(database)).scope, (await make_tenant(database, 2, 200)).scope
    assert [await _append(database, scope) for scope in (ours, ours, theirs)] == [1, 2, 1]


async def test_fifty_at_once_are_numbered_without_a_gap(database: Database) -> None:
    scope = (await make_tenant(database)).scope
    numbers = await asyncio.gather(*(_append(database, scope) for _ in range(50)))
    assert sorted(numbers) == list(range(1, 51))


async def test_a_number_that_was_rolled_back_is_used_by_the_next(database: Database) -> None:
    scope = (await make_tenant(database)).scope
    with pytest.raises(LookupError):
        async with database.write() as connection:
            await _append_and_fail(connection, scope)
    assert await _append(database, scope) == 1


async def test_two_writers_of_one_organization_wait_for_each_other(database: Database) -> None:
    scope = (await make_tenant(database)).scope

    async def append(connection: AsyncConnection) -> int:
        return await events.append(scope, connection, "a", now=NOW)

    assert await overlap(database, append, append) == (1, 2)


async def test_an_event_says_what_happened_to_whom(database: Database) -> None:
    scope = (await make_tenant(database)).scope
    await _append(database, scope)
    async with database.read() as connection:
        row = (await connection.execute(select(table))).one()
    assert (row.kind, row.job_id, row.issue_id, row.data) == ("job.started", "j", None, {"a": 1})


async def test_an_event_belongs_to_an_organization(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await _append(database, SYSTEM)
    assert await count(database, table) == 0


async def _append_and_fail(connection: AsyncConnection, scope: Scope) -> None:
    await events.append(scope, connection, "a", now=NOW)
    raise LookupError

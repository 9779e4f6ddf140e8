"""Prepared statements write and read what the same statements do by themselves, and fail in the same way."""

import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from typing import Any

import pytest
from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.database import Database
from bot.db.prepared import prepared
from bot.db.tables import ledger, secrets
from bot.db.trouble import is_passing
from bot.domain.enums import Purpose
from tests.db.rows import NOW, count, make_tenant, start_job

ADD = prepared(insert(secrets))
ROWS = prepared(select(ledger).where(ledger.c.id == bindparam("row_id")))
ENTER = prepared(insert(ledger))
CHANGE = prepared(update(ledger).where(ledger.c.id == bindparam("row_id")))
MANY = prepared(update(secrets).where(secrets.c.name.in_(bindparam("names", expanding=True))))


def secret(name: str) -> dict[str, Any]:
    return {"name": name, "value": b"v", "created_at": NOW}


Way = Callable[[Callable[[AsyncConnection], Awaitable[Any]]], Awaitable[Any]]


@pytest.mark.parametrize("is_written_at_once", [True, False])
@pytest.mark.parametrize("is_read_at_once", [True, False])
async def test_a_row_is_the_same_whichever_way_it_was_written_and_read(
    database: Database, is_written_at_once: bool, is_read_at_once: bool
) -> None:
    async def usual(action: Callable[[AsyncConnection], Awaitable[Any]]) -> Any:
        async with database.write() as connection:
            return await action(connection)

    ways: dict[bool, Way] = {True: database.transact, False: usual}
    tenant = await make_tenant(database)
    job = await start_job(database, tenant, 1)
    row = {
        "id": "r1",
        "job_id": job.id,
        "organization_id": job.organization_id,
        "actor_id": None,
        "repository_id": 7,
        "purpose": Purpose.TURN,
        "model": "m\u00fc",
        "reserved_micro_usd": 2**40,
        "settled_micro_usd": None,
        "tokens": 3,
        "usage": None,
        "is_settled": False,
        "settled_at": None,
        "created_at": NOW.replace(microsecond=123_999),
    }
    changed = {"usage": {"nul": "a\0b"}, "is_settled": True, "settled_at": NOW}

    async def write(connection: AsyncConnection) -> int:
        await connection.execute(ENTER, row)
        return (await connection.execute(CHANGE, {"row_id": "r1", **changed})).rowcount

    async def read(connection: AsyncConnection) -> dict[str, Any]:
        found = (await connection.execute(ROWS, {"row_id": "r1"})).mappings().one()
        return {column.key: found[column.name] for column in ledger.c}

    assert await ways[is_written_at_once](write) == 1
    expected = {
        **row,
        **changed,
        "usage": {"nul": "a\ufffdb"},
        "created_at": NOW.replace(microsecond=123_000),
    }
    assert await ways[is_read_at_once](read) == expected


async def test_prepared_and_other_statements_are_one_transaction(database: Database) -> None:
    async def mixed(connection: AsyncConnection) -> None:
        await connection.execute(ADD, secret("a"))
        await connection.execute(insert(secrets).values(**secret("b")))
        await connection.execute(ADD, [secret("c"), secret("d")])
        found = (await connection.execute(select(secrets.c.name).order_by(secrets.c.name))).scalars().all()
        assert list(found) == ["a", "b", "c", "d"]
        await connection.execute(ADD, secret("a"))

    with pytest.raises(IntegrityError):
        await database.transact(mixed)
    assert await count(database, secrets) == 0


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestOnSqlite:
    """What is special there."""

    async def test_an_error_repeats_no_values(self, database: Database) -> None:
        with pytest.raises(IntegrityError) as caught:
            await database.transact(
                lambda connection: connection.execute(ADD, secret("canary") | {"value": None})
            )
        assert "canary" not in str(caught.value)
        assert caught.value.orig is not None

    async def test_what_cannot_be_prepared_is_refused(self, database: Database) -> None:
        with pytest.raises(TypeError, match="cannot be prepared"):
            await database.transact(
                lambda connection: connection.execute(MANY, {"names": ["a"], "value": b"w"})
            )

    async def test_whoever_waits_in_vain_for_the_lock_hears_so_as_from_sqlalchemy(
        self, database: Database
    ) -> None:
        async def hurry(connection: AsyncConnection) -> None:
            await connection.execute(text("PRAGMA busy_timeout=1"))

        await database.transact(hurry)
        with closing(sqlite3.connect(str(database.engine.url.database))) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(OperationalError) as caught:
                await database.transact(lambda connection: connection.execute(ADD, secret("a")))
        assert is_passing(caught.value)
        await database.transact(lambda connection: connection.execute(ADD, secret("b")))
        assert await count(database, secrets) == 1

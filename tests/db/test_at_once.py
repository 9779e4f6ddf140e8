"""Transactions in one step: all or nothing, whoever is cancelled, and never waiting for anything else."""

import asyncio
import threading

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.database import Database
from bot.db.tables import secrets
from tests.db.rows import NOW, count


async def add(connection: AsyncConnection, name: str) -> int:
    values = {"name": name, "value": b"v", "created_at": NOW}
    await connection.execute(insert(secrets).values(**values))
    return int(await connection.scalar(select(func.count()).select_from(secrets)) or 0)


async def test_what_an_action_gives_comes_back_and_is_kept(database: Database) -> None:
    assert await database.transact(lambda connection: add(connection, "a")) == 1
    assert await count(database, secrets) == 1


async def test_an_error_takes_everything_back(database: Database) -> None:
    async def twice(connection: AsyncConnection) -> None:
        await add(connection, "a")
        await add(connection, "a")

    with pytest.raises(IntegrityError):
        await database.transact(twice)
    assert await count(database, secrets) == 0


async def test_both_ways_to_write_take_turns(database: Database) -> None:
    async def usual(name: str) -> None:
        async with database.write() as connection:
            await add(connection, name)

    await asyncio.gather(
        *(usual(f"u{n}") for n in range(9)),
        *(database.transact(lambda connection, n=n: add(connection, f"t{n}")) for n in range(9)),  # type: ignore[misc]
    )
    assert await count(database, secrets) == 18


async def test_after_its_close_a_database_writes_again(database: Database) -> None:
    await database.transact(lambda connection: add(connection, "a"))
    await database.close()
    await database.close()
    assert await database.transact(lambda connection: add(connection, "b")) == 2


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
class TestOnSqlite:
    """What is special there."""

    async def test_an_action_that_waits_for_something_else_is_refused(self, database: Database) -> None:
        async def wait(connection: AsyncConnection) -> None:
            await add(connection, "a")
            await asyncio.sleep(0)

        with pytest.raises(RuntimeError, match="must not wait"):
            await database.transact(wait)
        assert await count(database, secrets) == 0

    async def test_whoever_is_cancelled_waits_for_the_end(self, database: Database) -> None:
        begun, go_on = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()

        async def slow(connection: AsyncConnection) -> None:
            loop.call_soon_threadsafe(begun.set)
            go_on.wait(30)
            await add(connection, "a")

        task = asyncio.create_task(database.transact(slow))
        await begun.wait()
        task.cancel()
        loop.call_soon(go_on.set)
        with pytest.raises(asyncio.CancelledError):
            await task
        assert await count(database, secrets) == 1

    async def test_it_is_as_durable_as_every_other_write(self, database: Database) -> None:
        async def look(connection: AsyncConnection) -> tuple[object, object]:
            mode = await connection.scalar(text("PRAGMA journal_mode"))
            return mode, await connection.scalar(text("PRAGMA synchronous"))

        assert await database.transact(look) == ("wal", 2)

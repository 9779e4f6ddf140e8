"""The bell in the database."""

import asyncio

import pytest
from sqlalchemy import text

from bot.db.bell import ring
from bot.db.database import Database
from bot.db.listening import DatabaseBell

ON_POSTGRES = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
LONG_SECONDS = 20.0
CUT = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND query LIKE 'LISTEN%'
"""


async def test_ringing_is_allowed_on_both_databases(database: Database) -> None:
    async with database.write() as connection:
        await ring(connection)


@ON_POSTGRES
async def test_whoever_waits_hears_a_ring_once_it_is_committed(database: Database) -> None:
    bell = DatabaseBell(database)
    assert await bell.wait(LONG_SECONDS), "the first look is never put off"
    waiting = asyncio.create_task(bell.wait(LONG_SECONDS))
    async with database.write() as connection:
        await ring(connection)
        await asyncio.sleep(0.05)
        assert not waiting.done(), "nothing is committed yet"
    assert await waiting
    assert not await bell.wait(0.05), "one ring is heard once"
    await bell.close()


@ON_POSTGRES
async def test_a_write_that_is_rolled_back_rings_nobody(database: Database) -> None:
    bell = DatabaseBell(database)
    await bell.wait(LONG_SECONDS)
    async with database.write() as connection:
        await ring(connection)
        await connection.rollback()
    assert not await bell.wait(0.1)
    await bell.close()


@ON_POSTGRES
async def test_a_connection_that_is_cut_is_taken_anew_and_counts_as_a_ring(database: Database) -> None:
    bell = DatabaseBell(database)
    await bell.wait(LONG_SECONDS)
    waiting = asyncio.create_task(bell.wait(LONG_SECONDS))
    async with database.write() as connection:
        await connection.execute(text(CUT))
    assert await waiting, "what was missed meanwhile is looked for"
    assert await bell.wait(LONG_SECONDS), "a new connection counts as a ring as well"
    waiting = asyncio.create_task(bell.wait(LONG_SECONDS))
    async with database.write() as connection:
        await ring(connection)
    assert await waiting
    await bell.close()


@ON_POSTGRES
async def test_a_bell_that_is_closed_leaves_no_listening_connection_in_the_pool(database: Database) -> None:
    bell = DatabaseBell(database)
    await bell.wait(LONG_SECONDS)
    await bell.close()
    await bell.close()
    async with database.read() as connection:
        assert list((await connection.execute(text("SELECT pg_listening_channels()"))).scalars()) == []


async def test_without_a_database_the_wait_only_takes_its_time() -> None:
    database = Database("postgresql+asyncpg://nobody@127.0.0.1:1/none")
    assert not await DatabaseBell(database).wait(0.01)
    await database.close()

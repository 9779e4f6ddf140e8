"""What a real Postgres does to its connections: judged rightly, and over within a bound."""

import asyncio
import sqlite3
import time

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError

from bot.config_database import database_url as in_our_form
from bot.db import trouble
from bot.db.database import Database, make_engine
from tests.postgres import END_OTHER_SESSIONS, Postgres
from tests.relay import relay

on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


@on_postgres
async def test_a_connection_that_is_ended_in_a_transaction_is_passing_and_the_next_one_goes_well(
    database: Database, database_url: str
) -> None:
    other = Database(database_url)

    async def cut_off() -> None:
        async with database.write() as connection:
            await connection.execute(text("SELECT 1"))
            async with other.write() as killer:
                await killer.execute(text(END_OTHER_SESSIONS))
            await connection.execute(text("SELECT 1"))

    with pytest.raises(DBAPIError) as raised:
        await cut_off()
    assert trouble.is_passing(raised.value)
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await other.close()


@on_postgres
async def test_one_of_two_that_lock_each_other_out_is_told_that_it_may_try_again(database: Database) -> None:
    async def lock(first: int, second: int, met: asyncio.Barrier) -> None:
        async with database.write() as connection:
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({first})"))
            await met.wait()
            await connection.execute(text(f"SELECT pg_advisory_xact_lock({second})"))

    met = asyncio.Barrier(2)
    ends = await asyncio.gather(lock(1, 2, met), lock(2, 1, met), return_exceptions=True)
    (error,) = [end for end in ends if end is not None]
    assert trouble.is_passing(error)
    assert "deadlock" in trouble.words(error)


async def test_a_statement_that_is_wrong_does_not_pass(database: Database) -> None:
    with pytest.raises(DBAPIError) as raised:
        async with database.read() as connection:
            await connection.execute(text("SELECT nothing FROM nowhere"))
    assert not trouble.is_passing(raised.value)


async def test_a_server_that_falls_silent_holds_up_nobody_for_longer_than_a_statement_may_take(
    postgres: Postgres,
) -> None:
    async with relay(postgres.folder) as between:
        url = in_our_form(f"postgresql://postgres@127.0.0.1:{between.port}/migrated")
        engine = make_engine(url, command_seconds=0.5)
        async with engine.connect() as connection:
            await connection.execute(text("SELECT 1"))
        between.freeze()
        began = time.monotonic()
        with pytest.raises(TimeoutError) as raised:
            async with asyncio.timeout(20), engine.connect() as connection:
                await connection.execute(text("SELECT 1"))
        assert trouble.is_passing(raised.value)
        assert time.monotonic() - began < 15.0
        await between.stop()
        await between.start()
        async with engine.connect() as connection:
            assert await connection.scalar(text("SELECT 1")) == 1
        await engine.dispose()


@pytest.mark.parametrize(
    ("code", "is_passing"),
    [
        (sqlite3.SQLITE_BUSY, True),
        (sqlite3.SQLITE_FULL, True),
        (sqlite3.SQLITE_IOERR | 1 << 8, True),
        (sqlite3.SQLITE_CANTOPEN, True),
        (sqlite3.SQLITE_ERROR, False),
    ],
)
def test_a_file_that_is_busy_or_full_may_be_better_later(code: int, is_passing: bool) -> None:
    origin = sqlite3.OperationalError("words")
    origin.sqlite_errorcode = code
    assert trouble.is_passing(OperationalError("SELECT 1", {}, origin)) is is_passing


def test_a_row_that_is_there_already_is_no_trouble_of_the_database() -> None:
    assert not trouble.is_passing(IntegrityError("INSERT", {}, sqlite3.IntegrityError("UNIQUE")))


@pytest.mark.parametrize("error", [KeyError("x"), PermissionError(13, "no"), ConnectionError("rejected SSL")])
def test_what_only_a_person_can_mend_does_not_pass(error: Exception) -> None:
    assert not trouble.is_passing(error)

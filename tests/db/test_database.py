"""The pair of transactions."""

import asyncio

import pytest
from sqlalchemy import insert, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bot.db.database import Database
from bot.db.tables import organizations, users
from tests.db.rows import count

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize("database_url", ["postgres"], indirect=True)


async def test_a_write_is_kept_when_its_block_ends(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(organizations).values(id="o1", name="one"))
    assert await count(database, organizations) == 1


async def test_a_write_that_fails_leaves_nothing(database: Database) -> None:
    with pytest.raises(LookupError):
        await _write_and_fail(database)
    assert await count(database, organizations) == 0


async def test_a_write_that_the_database_refuses_takes_the_rest_with_it(database: Database) -> None:
    with pytest.raises(IntegrityError):
        await _write_twice(database)
    assert await count(database, organizations) == 0


async def test_what_is_written_in_a_read_is_not_kept(database: Database) -> None:
    async with database.read() as connection:
        await connection.execute(insert(organizations).values(id="o1", name="one"))
    assert await count(database, organizations) == 0


async def test_a_read_is_one_look_whatever_others_write_meanwhile(database: Database) -> None:
    async with database.read() as connection:
        before = await connection.scalar(text("SELECT count(*) FROM organizations"))
        async with database.write() as other:
            await other.execute(insert(organizations).values(id="o1", name="one"))
        after = await connection.scalar(text("SELECT count(*) FROM organizations"))
    assert (before, after) == (0, 0)


async def test_fifty_writers_at_once_all_get_their_turn(database: Database) -> None:
    async def write(number: int) -> None:
        async with database.write() as connection:
            await connection.execute(insert(organizations).values(id=f"o{number}", name="one"))

    await asyncio.gather(*(write(number) for number in range(50)))
    assert await count(database, organizations) == 50


async def test_an_email_may_be_missing_but_not_twice_the_same(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(users).values(id="u1", organization_id="o"))
        await connection.execute(insert(users).values(id="u2", organization_id="o"))
        await connection.execute(insert(users).values(id="u3", email="a@b", organization_id="o"))
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await connection.execute(insert(users).values(id="u4", email="a@b", organization_id="o"))


@on_sqlite
async def test_sqlite_waits_for_the_disk_and_keeps_its_keys(database: Database) -> None:
    async with database.read() as connection:
        answers = [
            await connection.scalar(text(f"PRAGMA {name}"))
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert answers == ["wal", 2, 1, 15_000]


@on_postgres
async def test_postgres_counts_in_utc_whatever_its_own_zone(database: Database) -> None:
    async with database.read() as connection:
        assert await connection.scalar(text("SHOW timezone")) == "UTC"


async def test_closing_twice_is_closing_once(database: Database) -> None:
    await count(database, organizations)
    await database.close()
    await database.close()


async def test_a_database_that_is_away_is_an_error_of_the_driver() -> None:
    away = Database("postgresql+asyncpg://postgres@/nobody?host=/nonexistent")
    with pytest.raises((SQLAlchemyError, OSError)):
        await count(away, organizations)
    await away.close()


async def _write_and_fail(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(organizations).values(id="o1", name="one"))
        raise LookupError


async def _write_twice(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(organizations).values(id="o1", name="one"))
        await connection.execute(insert(organizations).values(id="o1", name="again"))

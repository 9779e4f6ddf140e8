"""The pair of transactions."""

import asyncio

import pytest
from sqlalchemy import event, insert, text
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from bot.db.database import Database
from bot.db.postgres import POOL_SIZE
from bot.db.tables import organizations, users
from tests.db.rows import WAIT_SECONDS, count
from tests.postgres import END_OTHER_SESSIONS

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


@on_postgres
async def test_connections_are_kept_so_that_none_is_opened_twice(database: Database) -> None:
    opened: list[object] = []
    event.listen(database.engine.sync_engine, "connect", lambda connection, _: opened.append(connection))
    for _ in range(3):
        await _at_the_same_time(database, POOL_SIZE)
        assert len(opened) == POOL_SIZE


@on_postgres
async def test_connections_that_the_server_has_ended_are_replaced_before_they_are_used(
    database: Database, database_url: str
) -> None:
    await _at_the_same_time(database, 5)
    killer = Database(database_url)
    async with asyncio.timeout(WAIT_SECONDS):
        while await _ended(killer):
            continue
    await killer.close()
    await _at_the_same_time(database, 5)


async def test_closing_twice_is_closing_once(database: Database) -> None:
    await count(database, organizations)
    await database.close()
    await database.close()


async def test_a_database_that_is_away_is_an_error_of_the_driver() -> None:
    away = Database("postgresql+asyncpg://postgres@/nobody?host=/nonexistent")
    with pytest.raises((SQLAlchemyError, OSError)):
        await count(away, organizations)
    await away.close()


async def _at_the_same_time(database: Database, number: int) -> None:
    """Use *number* connections of the pool at once."""
    meeting = asyncio.Barrier(number)

    async def look() -> None:
        async with database.read() as connection:
            await connection.execute(text("SELECT 1"))
            await meeting.wait()

    async with asyncio.timeout(WAIT_SECONDS):
        await asyncio.gather(*(look() for _ in range(number)))


async def _ended(killer: Database) -> int:
    """End all other sessions; how many there were."""
    async with killer.write() as connection:
        return len((await connection.execute(text(END_OTHER_SESSIONS))).all())


async def _write_and_fail(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(organizations).values(id="o1", name="one"))
        raise LookupError


async def _write_twice(database: Database) -> None:
    async with database.write() as connection:
        await connection.execute(insert(organizations).values(id="o1", name="one"))
        await connection.execute(insert(organizations).values(id="o1", name="again"))

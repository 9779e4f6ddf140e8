"""The inbox in trouble: what cannot be stored is said so, and the next is stored without a restart."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import asyncpg
import pytest
from sqlalchemy import text

from bot.db import checkpoints
from bot.db import inbox as rules
from bot.db.database import Database
from bot.db.deliveries import PART_BYTES, IncomingDelivery
from bot.db.inbox_sqlite import SqliteWriter
from bot.db.tables import deliveries
from bot.errors import RetryLater
from bot.intake.inbox import Inbox
from tests.db.rows import WAIT_SECONDS, count
from tests.db.test_deliveries import DELIVERY
from tests.postgres import END_OTHER_SESSIONS

OTHER = replace(DELIVERY, guid="g-2", digest="d-2", payload=b"x" * 200_000)


def delivery(number: int, payload: bytes = b"{}") -> IncomingDelivery:
    return replace(DELIVERY, guid=f"g-{number}", digest=f"d-{number}", payload=payload)


@pytest.fixture
async def inbox(database: Database) -> AsyncIterator[Inbox]:
    opened = Inbox(database)
    yield opened
    await opened.close()


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_full_disk_is_told_and_gone_when_there_is_room(inbox: Inbox, database: Database) -> None:
    await inbox.store(DELIVERY)
    assert isinstance(inbox._writer, SqliteWriter) and inbox._writer._connection is not None
    inbox._writer._connection.execute("PRAGMA max_page_count=1")
    with pytest.raises(RetryLater, match="full"):
        await inbox.store(OTHER)
    assert await count(database, deliveries) == 1
    assert (await inbox.store(OTHER)).is_new


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_locked_file_is_told_to_all_and_gone_with_the_lock(
    inbox: Inbox, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checkpoints, "BUSY_TIMEOUT_MS", 20)
    different = [replace(DELIVERY, guid=f"g-{number}", digest=f"d-{number}") for number in range(9)]
    with contextlib.closing(sqlite3.connect(database.engine.url.database or "")) as other:
        other.execute("BEGIN IMMEDIATE")
        outcomes = await asyncio.gather(*map(inbox.store, different), return_exceptions=True)
    assert all(isinstance(one, RetryLater) and "locked" in str(one) for one in outcomes)
    assert [one.is_new for one in await asyncio.gather(*map(inbox.store, different))] == [True] * 9


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
async def test_connections_that_the_server_ends_are_replaced(
    inbox: Inbox, database: Database, database_url: str
) -> None:
    await inbox.store(DELIVERY)
    killer = Database(database_url)
    for number in range(5):
        async with killer.write() as connection:
            await connection.execute(text(END_OTHER_SESSIONS))
        assert (await inbox.store(replace(DELIVERY, guid=f"h-{number}", digest=f"h-{number}"))).is_new
    await killer.close()
    assert await count(database, deliveries) == 6


@asynccontextmanager
async def hanging(inbox: Inbox, database_url: str) -> AsyncIterator[asyncio.Task[Any]]:
    """Nothing can be written meanwhile; one delivery, number 0, is in the hands of the writer."""
    other = Database(database_url)
    async with other.write() as connection:
        if not other.is_sqlite:
            await connection.execute(text("LOCK TABLE issuewright.deliveries IN ACCESS EXCLUSIVE MODE"))
        first = asyncio.create_task(inbox.store(delivery(0)))
        waiting = inbox._writer._waiting  # type: ignore[attr-defined]  # both have one
        async with asyncio.timeout(WAIT_SECONDS):
            while not first.done():
                await asyncio.sleep(0)
                is_empty = waiting.empty() if other.is_sqlite else not waiting
                if is_empty and _is_taken(inbox):
                    break
        yield first
    await other.close()


def _is_taken(inbox: Inbox) -> bool:
    """Whether the writer is at work on something, and has nothing else."""
    writer: Any = inbox._writer
    return bool(writer._room._pieces) and not getattr(writer, "_collected", [])


async def test_what_its_callers_gave_up_is_neither_held_nor_written_once_the_database_is_back(
    inbox: Inbox, database: Database, database_url: str
) -> None:
    """2,500 callers were told 503 and the writer went on holding 1,731 bodies."""
    large = delivery(99, b"x" * 3 * PART_BYTES)
    async with hanging(inbox, database_url) as first:
        given_up = [asyncio.create_task(inbox.store(delivery(number))) for number in range(1, 600)]
        given_up.append(asyncio.create_task(inbox.store(large)))
        await asyncio.sleep(0)
        for task in given_up:
            task.cancel()
        last = asyncio.create_task(inbox.store(delivery(600)))
        await asyncio.gather(*given_up, return_exceptions=True)
    assert (await first).is_new and (await last).is_new
    assert await count(database, deliveries) == 2
    assert (inbox._writer._room._pieces, inbox._writer._room._bytes) == (0, 0)  # type: ignore[attr-defined]


@pytest.mark.parametrize("limit", [("MAX_WAITING", 3), ("MAX_WAITING_BYTES", 1_002)])
async def test_what_there_is_no_room_for_is_refused_at_once_and_the_rest_is_stored(
    inbox: Inbox,
    database: Database,
    database_url: str,
    limit: tuple[str, int],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(rules, *limit)
    async with hanging(inbox, database_url) as first:
        held = [asyncio.create_task(inbox.store(delivery(number, b"x" * 500))) for number in (1, 2)]
        await asyncio.sleep(0)
        for one in (delivery(3), delivery(4, b"x" * 3 * PART_BYTES)):
            with pytest.raises(RetryLater, match="NotStored"):
                await inbox.store(one)
    assert all(one.is_new for one in await asyncio.gather(first, *held))
    assert (await inbox.store(delivery(3))).is_new
    assert await count(database, deliveries) == 4


@pytest.mark.parametrize("database_url", ["postgres"], indirect=True)
@pytest.mark.parametrize(
    "error",
    [
        asyncpg.TooManyConnectionsError("sorry, too many clients already"),
        asyncpg.CannotConnectNowError("the database system is starting up"),
        asyncpg.DiskFullError("no space left on device"),
        asyncpg.InvalidPasswordError("password authentication failed"),
    ],
    ids=lambda error: type(error).__name__,
)
async def test_a_server_that_takes_nobody_is_asked_once_for_all(
    inbox: Inbox, error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    """256 deliveries made 511 attempts to connect to a server that had too many clients."""
    attempts = 0

    async def connect(**_: Any) -> None:
        nonlocal attempts
        attempts += 1
        raise error

    monkeypatch.setattr(asyncpg, "connect", connect)
    outcomes = await asyncio.gather(*map(inbox.store, map(delivery, range(256))), return_exceptions=True)
    assert all(isinstance(one, RetryLater) for one in outcomes)
    assert attempts == 1

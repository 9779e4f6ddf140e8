"""The inbox in trouble: what cannot be stored is said so, and the next is stored without a restart."""

import asyncio
import contextlib
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from sqlalchemy import text

from bot.db import checkpoints
from bot.db.database import Database
from bot.db.inbox_sqlite import SqliteWriter
from bot.db.tables import deliveries
from bot.errors import RetryLater
from bot.intake.inbox import Inbox
from tests.db.rows import count
from tests.db.test_deliveries import DELIVERY
from tests.postgres import END_OTHER_SESSIONS

OTHER = replace(DELIVERY, guid="g-2", digest="d-2", payload=b"x" * 200_000)


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

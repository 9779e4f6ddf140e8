"""A write that is cancelled in the middle, as a heartbeat often is, leaves the database free for others."""

import asyncio
import sqlite3

import pytest
from sqlalchemy import text

from bot.db.database import Database, _Connection

STATEMENT = text("INSERT INTO organizations (id, name) VALUES (:id, 'n') RETURNING id")


async def cancelled_write(database: Database, turns: int) -> "asyncio.Task[None]":
    """A transaction that is cancelled when the event loop has turned so often since its statement began."""
    loop = asyncio.get_running_loop()

    def cancel_after(left: int) -> None:
        if left:
            loop.call_soon(cancel_after, left - 1)
        else:
            task.cancel()

    async def write() -> None:
        async with database.write() as connection:
            cancel_after(turns)
            await connection.execute(STATEMENT, {"id": "o1"})
            await asyncio.Event().wait()

    task = asyncio.create_task(write())
    await asyncio.wait([task])
    return task


@pytest.mark.parametrize("turns", range(12))
async def test_a_cancelled_write_holds_no_lock(database: Database, database_url: str, turns: int) -> None:
    """The traceback of the cancelled task kept a statement alive, and that the lock."""
    task = await cancelled_write(database, turns)
    assert task.cancelled()  # it is kept, as whoever waits for it keeps it
    path = database_url.removeprefix("sqlite+aiosqlite:///")
    other = sqlite3.connect(path, timeout=1.0, isolation_level=None)
    try:
        other.execute("BEGIN IMMEDIATE")
        assert other.execute("SELECT count(*) FROM organizations").fetchone() == (0,)
    finally:
        other.close()


def test_a_connection_can_be_closed_twice() -> None:
    connection = sqlite3.connect(":memory:", factory=_Connection)
    connection.close()
    connection.close()

"""Whole transactions on SQLite in one step of a thread: no statement crosses between threads by itself.

The usual way (aiosqlite) hands each statement to a thread and back several times, which costs more than the
statement. Queries stay as they are: they are run to their end without ever waiting; those that are prepared
go to the driver itself, all others through SQLAlchemy, in the same transaction.
"""

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import CursorResult, Dialect
from sqlalchemy.ext.asyncio import AsyncConnection
from sqlalchemy.pool import PoolProxiedConnection

from bot.db import prepared

Found = TypeVar("Found")


class AtOnce:
    """Runs transactions on *engine*, one at a time, in a thread of its own."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine, which has one SQLite connection and begins no transaction by itself.

        Thread and connection come with the first transaction.
        """
        self._engine = engine
        self._raw: PoolProxiedConnection | None = None
        self._executor: ThreadPoolExecutor | None = None

    async def run(self, action: Callable[[AsyncConnection], Awaitable[Found]]) -> Found:
        """Run *action* in one transaction; whoever is cancelled meanwhile first waits for its end.

        *action* awaits nothing but its connection.
        """
        self._executor = self._executor or ThreadPoolExecutor(1, "record")
        running = asyncio.get_running_loop().run_in_executor(self._executor, self._transact, action)
        try:
            return await asyncio.shield(running)
        except asyncio.CancelledError:
            await asyncio.wait([running])
            raise

    def close(self) -> None:
        """End thread and connection; the second time does nothing."""
        if self._executor is not None:
            self._executor.shutdown()
            self._executor = None
        self._raw = None
        self._engine.dispose()

    def _transact(self, action: Callable[[AsyncConnection], Awaitable[Found]]) -> Found:
        self._raw = self._raw or self._engine.raw_connection()
        driver = cast(sqlite3.Connection, self._raw.dbapi_connection)
        ready = _Ready(self._engine, driver)
        with prepared.Wrapping(self._engine.dialect, "BEGIN IMMEDIATE"):
            # A write takes the lock at once, so that it cannot fail half way for want of it.
            driver.execute("BEGIN IMMEDIATE")
        try:
            found = _finish(action(cast(AsyncConnection, ready)))
            with prepared.Wrapping(self._engine.dialect, "COMMIT"):
                driver.commit()
        except BaseException:
            driver.rollback()
            raise
        finally:
            ready.close()
        return found


def _finish(action: Awaitable[Found]) -> Found:
    """What *action* gives, which must be there without waiting."""
    steps = action.__await__()
    try:
        next(steps)
    except StopIteration as end:
        return cast(Found, end.value)
    message = "a transaction that runs at once must not wait for anything else"
    raise RuntimeError(message)


class _Ready:
    """The part of an `AsyncConnection` that our queries use, answered at once."""

    def __init__(self, engine: Engine, driver: sqlite3.Connection) -> None:
        """Answer by *driver*, the connection of *engine*, which is within a transaction."""
        self._engine = engine
        self._driver = driver
        self._connection: Connection | None = None

    @property
    def dialect(self) -> Dialect:
        """What kind of database it is."""
        return self._engine.dialect

    async def execute(self, statement: Any, parameters: Any = None) -> CursorResult[Any]:
        """Run one statement."""
        found = prepared.run(self._driver, self._engine.dialect, statement, parameters)
        if found is not None:
            return cast(CursorResult[Any], found)
        return self._usual().execute(statement, parameters)

    async def scalar(self, statement: Any, parameters: Any = None) -> Any:
        """The first value of the first row."""
        return self._usual().scalar(statement, parameters)

    def close(self) -> None:
        """Give back what SQLAlchemy has used, after the transaction's end."""
        if self._connection is not None:
            self._connection.close()

    def _usual(self) -> Connection:
        """SQLAlchemy's view of the same connection."""
        self._connection = self._connection or self._engine.connect()
        return self._connection

"""Whole transactions on SQLite in one step of a thread: no statement crosses between threads by itself.

The usual way (aiosqlite) hands each statement to a thread and back several times, which costs more than the
statement. Queries stay as they are: they are run to their end without ever waiting.
"""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar, cast

from sqlalchemy import Connection, Engine
from sqlalchemy.engine import CursorResult, Dialect
from sqlalchemy.ext.asyncio import AsyncConnection

Found = TypeVar("Found")


class AtOnce:
    """Runs transactions on *engine*, one at a time, in a thread of its own."""

    def __init__(self, engine: Engine) -> None:
        """Keep the engine; thread and connection come with the first transaction."""
        self._engine = engine
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
        self._engine.dispose()

    def _transact(self, action: Callable[[AsyncConnection], Awaitable[Found]]) -> Found:
        with self._engine.begin() as connection:
            steps = action(cast(AsyncConnection, _Ready(connection))).__await__()
            try:
                next(steps)
            except StopIteration as end:
                return cast(Found, end.value)
            message = "a transaction that runs at once must not wait for anything else"
            raise RuntimeError(message)


class _Ready:
    """The part of an `AsyncConnection` that our queries use, answered at once."""

    def __init__(self, connection: Connection) -> None:
        """Answer by *connection*."""
        self._connection = connection

    @property
    def dialect(self) -> Dialect:
        """What kind of database it is."""
        return self._connection.dialect

    async def execute(self, statement: Any, parameters: Any = None) -> CursorResult[Any]:
        """Run one statement."""
        return self._connection.execute(statement, parameters)

    async def scalar(self, statement: Any, parameters: Any = None) -> Any:
        """The first value of the first row."""
        return self._connection.scalar(statement, parameters)

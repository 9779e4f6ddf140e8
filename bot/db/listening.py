"""Hears the bell in the database; it goes under SQLAlchemy, to the driver itself."""

import asyncio
import contextlib
from typing import Any, Final

import asyncpg
from sqlalchemy.exc import SQLAlchemyError

from bot import logs
from bot.db.bell import CHANNEL
from bot.db.database import Database

log = logs.get(__name__)

CONNECT_SECONDS: Final = 10.0
PROOF_SECONDS: Final = 30.0
"""How long a silent connection is believed to be there."""

_TROUBLE: Final = (SQLAlchemyError, asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)


class DatabaseBell:
    """Hears what `ring` says; it holds one connection of the database's pool, and takes a new one when lost.

    Behind a pooler that hands out connections by transaction nothing is heard, and the caller polls.
    """

    def __init__(self, database: Database) -> None:
        """Connect to nothing yet."""
        self._database = database
        self._rung = asyncio.Event()
        self._held = contextlib.AsyncExitStack()
        self._listener: Any = None
        self._proven_until = 0.0
        self._is_troubled = False

    async def wait(self, timeout_seconds: float) -> bool:
        """True when it was rung, or when something may have been missed; False after *timeout_seconds*."""
        try:
            await self._listen()
            return await self._heard(timeout_seconds)
        except _TROUBLE as error:
            if not self._is_troubled:
                log.warning("bell_trouble", why=type(error).__name__)
            self._is_troubled = True
            await self.close()
            await asyncio.sleep(timeout_seconds)
            return False

    async def _heard(self, timeout_seconds: float) -> bool:
        try:
            async with asyncio.timeout(timeout_seconds):
                await self._rung.wait()
        except TimeoutError:
            return False
        self._rung.clear()
        return True

    async def _listen(self) -> None:
        """Have a connection that listens; a new one rings, for the time without one is not known."""
        loop = asyncio.get_running_loop()
        if self._listener is not None and not self._listener.is_closed():
            if loop.time() < self._proven_until:
                return
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._listener.execute("SELECT 1")
        else:
            await self.close()
            async with asyncio.timeout(CONNECT_SECONDS):
                await self._connect()
            self._rung.set()
        self._proven_until = loop.time() + PROOF_SECONDS
        self._is_troubled = False

    async def _connect(self) -> None:
        connection = await self._held.enter_async_context(self._database.engine.connect())
        # It listens: nobody else may get it out of the pool.
        self._held.push_async_callback(connection.invalidate)
        listener: Any = (await connection.get_raw_connection()).driver_connection
        await listener.add_listener(CHANNEL, self._on_ring)
        listener.add_termination_listener(self._on_ring)
        self._listener = listener

    def _on_ring(self, *_: object) -> None:
        self._rung.set()

    async def close(self) -> None:
        """Give the connection up; the second time does nothing."""
        self._listener = None
        with contextlib.suppress(*_TROUBLE):
            await self._held.aclose()

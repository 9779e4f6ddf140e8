"""The one connection to the database: short read and write transactions on SQLite or Postgres."""

import asyncio
import contextlib
import json
import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from sqlalchemy import create_engine, event, make_url
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from bot.config_database import is_session_kept
from bot.db import postgres
from bot.db.at_once import AtOnce
from bot.db.prepared import SQLITE_SCHEMAS

Found = TypeVar("Found")
BUSY_TIMEOUT_MS = 15_000
_WRITE = "issuewright_write"
# An escaped NUL, and no backslash that is escaped itself with `u0000` behind it.
_NUL = re.compile(r"(?<!\\)((?:\\\\)*)\\u0000")


def is_sqlite(url: str) -> bool:
    """Whether *url* names an SQLite file."""
    return url.startswith("sqlite")


def make_engine(url: str, *, command_seconds: float | None = postgres.COMMAND_SECONDS) -> AsyncEngine:
    """An engine with this product's settings; nothing is opened yet.

    On Postgres no statement takes longer than *command_seconds* (None: any time).

    Raises:
        OSError: A certificate that *url* names cannot be used.
    """
    if not is_sqlite(url):
        engine = create_async_engine(
            "postgresql+asyncpg://",
            json_serializer=to_json,
            # An error repeats no values: payloads are people's text.
            hide_parameters=True,
            **postgres.engine_arguments(url, command_seconds=command_seconds),
        )
        event.listen(engine.sync_engine, "connect", postgres.keep_alive)
        event.listen(engine.sync_engine, "checkout", postgres.refuse_closed)
        return engine
    engine = create_async_engine(url, **_sqlite_arguments())
    event.listen(engine.sync_engine, "connect", prepare_sqlite)
    event.listen(engine.sync_engine, "begin", _begin_sqlite)
    return engine


def _sqlite_arguments() -> dict[str, Any]:
    return {
        "json_serializer": to_json,
        "hide_parameters": True,
        "connect_args": {"factory": _Connection},
        "execution_options": {"schema_translate_map": SQLITE_SCHEMAS},
    }


class _Connection(sqlite3.Connection):
    """A connection whose lock ends with it.

    A connection that is closed while statements of it live (a cancelled task keeps them in its
    traceback) ends its transaction, and gives back the lock, only with the last of them:
    https://sqlite.org/c3ref/close.html
    """

    def close(self) -> None:
        """Roll back what is open, then close; the second time does nothing."""
        with contextlib.suppress(sqlite3.Error):
            self.rollback()
        super().close()


def to_json(value: Any) -> str:
    """*value* as JSON that both databases store: NUL, which Postgres refuses in text, becomes U+FFFD.

    https://www.postgresql.org/docs/current/datatype-json.html
    """
    text = json.dumps(value)
    return _NUL.sub(r"\1\\ufffd", text) if "u0000" in text else text


def prepare_sqlite(dbapi_connection: Any, _record: object = None) -> None:
    """WAL and a full sync (https://sqlite.org/pragma.html#pragma_synchronous), and our own BEGIN."""
    dbapi_connection.isolation_level = None
    cursor = dbapi_connection.cursor()
    for pragma in (
        f"busy_timeout={BUSY_TIMEOUT_MS}",
        "journal_mode=WAL",
        "synchronous=FULL",
        "foreign_keys=ON",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _begin_sqlite(connection: Connection) -> None:
    """A write takes the lock at once, so that it cannot fail half way for want of it."""
    is_write = connection.get_execution_options().get(_WRITE, False)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")


class Database:
    """Short transactions; close() ends the pool."""

    def __init__(self, url: str) -> None:
        """Keep an engine for *url*; the first transaction opens it.

        `can_listen`: a connection keeps its session, so that it hears what is notified (Postgres alone).
        """
        self.can_listen = is_session_kept(url)
        self.is_sqlite = is_sqlite(url)
        self.engine = make_engine(url)
        self._writer = self.engine.execution_options(**{_WRITE: True})
        # SQLite reads one state of its file anyway (https://sqlite.org/isolation.html).
        look = {} if is_sqlite(url) else {"isolation_level": "REPEATABLE READ"}
        self._reader = self.engine.execution_options(**look)
        # SQLite lets one write at a time; who waits here is next at once, who waits there sleeps.
        # https://sqlite.org/c3ref/busy_timeout.html
        self._turn = asyncio.Lock() if is_sqlite(url) else contextlib.nullcontext()
        self._at_once = _at_once(url) if is_sqlite(url) else None

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        """One consistent look; nothing written in it is kept."""
        async with self._reader.connect() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        """One transaction: committed at the end, rolled back on any error."""
        async with self._turn, self._writer.begin() as connection:
            yield connection

    async def transact(self, action: Callable[[AsyncConnection], Awaitable[Found]]) -> Found:
        """The same as `write` for one *action* that awaits nothing but its connection.

        On SQLite all of it is one step of a thread, which costs a fraction: for what is written often.
        """
        if self._at_once is None:
            async with self.write() as connection:
                return await action(connection)
        async with self._turn:
            return await self._at_once.run(action)

    async def close(self) -> None:
        """End the pool; the second time does nothing."""
        if self._at_once is not None:
            self._at_once.close()
        await self.engine.dispose()


def _at_once(url: str) -> AtOnce:
    """Transactions on the same file, each in one step."""
    place = make_url(url).set(drivername="sqlite")
    engine = create_engine(place, poolclass=StaticPool, **_sqlite_arguments())
    event.listen(engine, "connect", prepare_sqlite)
    return AtOnce(engine)

"""Running Alembic's revisions on either database, and saying whether they have run."""

import asyncio
import fcntl
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, MetaData, make_url, text
from sqlalchemy.ext.asyncio import AsyncEngine
from sqlalchemy.schema import BLANK_SCHEMA

import migrations
from bot.db.database import is_sqlite, make_engine
from bot.db.revision import too_new
from bot.db.tables import OWN_SCHEMA, metadata
from bot.errors import ConfigError

Found = TypeVar("Found")


def version_schema(dialect: str) -> str | None:
    """Where `alembic_version` lives: out of Prisma's sight on Postgres."""
    return OWN_SCHEMA if dialect == "postgresql" else None


def comparable_metadata(dialect: str) -> MetaData:
    """The tables as this database sees them: without schemas on SQLite."""
    if dialect == "postgresql":
        return metadata
    flat = MetaData(naming_convention=metadata.naming_convention)
    for table in metadata.sorted_tables:
        table.to_metadata(flat, schema=None, referred_schema_fn=_no_schema)  # type: ignore[arg-type]  # the stubs know no "none"
    return flat


def _no_schema(*_names: object) -> Any:
    return BLANK_SCHEMA


def head() -> str:
    """The newest revision that this version of the product ships."""
    return str(ScriptDirectory.from_config(_config(None)).get_current_head())


async def upgrade(url: str, revision: str = "head") -> None:
    """Bring the database to *revision*; at the head already, nothing happens.

    An SQLite file is made with its folder and migrated under a file lock beside it; Postgres takes
    an advisory lock. So any number of processes may start at once. A process that dies half way leaves
    nothing: each run is one transaction.

    Raises:
        ConfigError: A newer version of the product has migrated it, to a revision that is not known here.
    """
    await _alone(url, lambda config: command.upgrade(config, revision))


def _make_file(path: Path) -> None:
    """Make the file and its folder; private repositories are in it, so it is for this account alone."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    path.touch(mode=0o600)


async def downgrade(url: str, revision: str) -> None:
    """Take the database back to *revision* ("base" for an empty one), as `upgrade` takes it on."""
    await _alone(url, lambda config: command.downgrade(config, revision))


async def current(url: str) -> str | None:
    """The revision that the database stands at, None for an empty one."""
    return await _with_connection(url, _current)


async def differences(url: str) -> list[object]:
    """What Alembic would still change to make the database equal to the tables; empty is right."""

    def compare(connection: Connection) -> list[object]:
        is_postgres = connection.dialect.name == "postgresql"
        options = {
            "version_table_schema": version_schema(connection.dialect.name),
            "include_schemas": is_postgres,
            "include_name": lambda name, kind, _parents: kind != "schema" or name in (None, OWN_SCHEMA),
            "compare_type": is_postgres,
        }
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, comparable_metadata(connection.dialect.name)))

    return await _with_connection(url, compare)


def _config(connection: Connection | None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    return config


async def _alone(url: str, action: Callable[[Config], None]) -> None:
    """Do *action* while nobody else migrates."""
    if not is_sqlite(url):
        await _run(url, action)
        return
    path = Path(str(make_url(url).database))
    _make_file(path)
    with path.with_suffix(".migrate-lock").open("w") as lock:
        await asyncio.to_thread(fcntl.flock, lock, fcntl.LOCK_EX)
        await _run(url, action)


async def _run(url: str, action: Callable[[Config], None]) -> None:
    def migrate(connection: Connection) -> None:
        if connection.dialect.name == "postgresql":
            connection.execute(text("SELECT pg_advisory_xact_lock(719403218)"))
            connection.execute(text(f"CREATE SCHEMA IF NOT EXISTS {OWN_SCHEMA}"))
        found = _current(connection)
        if found is not None and found > head():
            raise ConfigError(too_new(found))
        action(_config(connection))

    await _with_connection(url, migrate)


def _current(connection: Connection) -> str | None:
    schema = version_schema(connection.dialect.name)
    context = MigrationContext.configure(connection, opts={"version_table_schema": schema})
    return context.get_current_revision()


async def _with_connection(url: str, action: Callable[[Connection], Found]) -> Found:
    engine: AsyncEngine = make_engine(url, command_seconds=None)
    try:
        async with engine.begin() as connection:
            return await connection.run_sync(action)
    finally:
        await engine.dispose()

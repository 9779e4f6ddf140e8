"""The revision at which a database stands, and the one that this version ships; without Alembic."""

from pathlib import Path
from typing import Final

from sqlalchemy import inspect, text
from sqlalchemy.ext.asyncio import AsyncConnection

import migrations
from bot.db.columns import OWN_SCHEMA
from bot.errors import Problem

_FILES: Final = Path(migrations.__file__).parent / "versions"


def known() -> list[str]:
    """The revisions of this version, oldest first: they are numbers, and their files begin with them."""
    return sorted(path.name.partition("_")[0] for path in _FILES.glob("[0-9]*.py"))


def newest() -> str:
    """The newest revision of this version."""
    return known()[-1]


async def current(connection: AsyncConnection) -> str | None:
    """Where the database stands; None before the first migration."""
    schema = OWN_SCHEMA if connection.dialect.name == "postgresql" else None
    has_table = await connection.run_sync(
        lambda sync: inspect(sync).has_table("alembic_version", schema=schema)
    )
    if not has_table:
        return None
    name = "alembic_version" if schema is None else f"{schema}.alembic_version"
    found = await connection.scalar(text(f"SELECT version_num FROM {name}"))  # noqa: S608 - our own names
    return None if found is None else str(found)


def too_new(found: str) -> Problem:
    """The problem of a database that a newer version of the product has migrated."""
    wrong = f"the database stands at revision {found}, and this older version knows only {newest()}"
    remedy = "start the newer version again, or let it go back first: `issuewright migrate --to REVISION`"
    return Problem("DATABASE_URL", wrong, remedy)

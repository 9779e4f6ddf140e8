"""INSERT … ON CONFLICT on the primary key, spelt once for both databases."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Table
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection


async def insert_or_update(
    connection: AsyncConnection, table: Table, row: Mapping[str, Any], *, changed: Sequence[str]
) -> None:
    """Insert *row* (by column keys); where its primary key exists, set only the *changed* columns."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    statement = make(table).values(dict(row))
    keys = list(table.primary_key.columns)
    if changed:
        statement = statement.on_conflict_do_update(
            index_elements=keys,
            set_={key: statement.excluded[key] for key in changed},
        )
    else:
        statement = statement.on_conflict_do_nothing(index_elements=keys)
    await connection.execute(statement)


async def insert_new(connection: AsyncConnection, table: Table, row: Mapping[str, Any]) -> bool:
    """Insert *row* unless any unique key stands in its way; whether it was inserted."""
    make = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    result = await connection.execute(make(table).values(dict(row)).on_conflict_do_nothing())
    return result.rowcount == 1

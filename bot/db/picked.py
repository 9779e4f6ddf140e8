"""Ways to pick for people's eyes: columns under the names of the code, rows by part of their id."""

from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import Column, ColumnElement, Label, Table, or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

MAX_CANDIDATES: Final = 6
MIN_PART_CHARS: Final = 4


def picked(table: Table, names: Iterable[str]) -> list[Label[Any]]:
    """The columns of *table* with these keys, each labelled with its key: the database's are camelCase."""
    return [table.c[name].label(name) for name in names]


async def ids_like(
    connection: AsyncConnection, id_column: Column[str], names: Sequence[ColumnElement[str]], part: str
) -> list[str]:
    """The ids of the rows that *part* may mean: one of *names* is it, or else begins or ends with it.

    At most MAX_CANDIDATES, newest first; a part of fewer than MIN_PART_CHARS characters begins nothing.
    """
    whole = or_(*(name == part for name in names))
    near = or_(
        *(name.istartswith(part, autoescape=True) for name in names),
        *(name.iendswith(part, autoescape=True) for name in names),
    )
    for condition in (whole, near) if len(part) >= MIN_PART_CHARS else (whole,):
        statement = select(id_column).where(condition).order_by(id_column.desc()).limit(MAX_CANDIDATES)
        found = list((await connection.execute(statement)).scalars())
        if found:
            return found
    return []

"""Statements of the hot path whose text is made once: on SQLite the driver runs them without SQLAlchemy.

A step of a run is a dozen statements of microseconds each; what SQLAlchemy does around each of them costs ten
times that. Text, order and conversions of values are still SQLAlchemy's own, so that a row is the same
whichever way it was written. On Postgres, and outside of `bot.db.at_once`, they are ordinary statements.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from sqlite3 import Connection, Cursor, Error
from typing import Any, Final, TypeAlias, TypeVar

from sqlalchemy import Delete, Executable, Insert, Select, Update
from sqlalchemy.engine import Dialect, IteratorResult
from sqlalchemy.engine.result import SimpleResultMetaData
from sqlalchemy.exc import DBAPIError
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.types import TypeEngine

from bot.db.columns import OWN_SCHEMA

SQLITE_SCHEMAS: Final[dict[str | None, str | None]] = {OWN_SCHEMA: None}
"""SQLite has no schemas."""
_MAIN: Final[dict[str | None, str | None]] = {OWN_SCHEMA: "main"}
"""The same where no connection has told the dialect yet what its database is called."""

Statement: TypeAlias = Insert | Update | Delete | Select[*tuple[Any, ...]]
Values: TypeAlias = Mapping[str, Any]
Known = TypeVar("Known", bound=Statement)
_Convert: TypeAlias = Callable[[Any], Any] | None

_KNOWN: Final[dict[int, Statement]] = {}
_PLANS: Final[dict[tuple[object, ...], "Plan"]] = {}


def prepared(statement: Known) -> Known:
    """*statement*, kept for good: call it once for each, when its module is imported.

    All values come with the execution, under the names of columns and of its bind parameters.
    """
    _KNOWN[id(statement)] = statement
    return statement


@dataclass(frozen=True, slots=True)
class Written:
    """What a write says: the part of a `CursorResult` that is asked of it."""

    rowcount: int


def run(
    connection: Connection, dialect: Dialect, statement: Executable, values: Values | list[Values] | None
) -> "Written | IteratorResult[Any] | None":
    """Run *statement* on *connection* if it is a prepared one; None, and nothing is done, if it is not.

    Raises:
        DBAPIError: What SQLAlchemy raises for the same error of the driver.
    """
    known = _KNOWN.get(id(statement))
    if known is None:
        return None
    rows: list[Values] = values if isinstance(values, list) else [values or {}]
    key = (id(statement), *rows[0])
    plan = _PLANS.get(key)
    if plan is None:
        plan = _PLANS[key] = plan_of(known, dialect, list(rows[0]))
    with Wrapping(dialect, plan.text):
        if len(rows) > 1:
            cursor = connection.executemany(plan.text, [plan.bound(row) for row in rows])
        else:
            cursor = plan.run(connection, rows[0])
        if plan.columns is None:
            return Written(cursor.rowcount)
        return IteratorResult(plan.columns, iter([plan.read(row) for row in cursor.fetchall()]))


@dataclass(slots=True)
class Wrapping:
    """Turns an error of the driver into what SQLAlchemy makes of it; of the values nothing is told."""

    dialect: Dialect
    text: str

    def __enter__(self) -> None:
        """Nothing yet."""

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Raise the other error in place of *error*."""
        if isinstance(error, Error):
            raise DBAPIError.instance(
                self.text, None, error, Error, hide_parameters=True, dialect=self.dialect
            ) from error


@dataclass(frozen=True, slots=True)
class Plan:
    """One statement for one set of names: its text, its values in order, how they are converted."""

    text: str
    names: tuple[tuple[str, _Convert], ...]
    defaults: dict[str, Any]
    columns: SimpleResultMetaData | None
    reads: tuple[_Convert, ...]

    def bound(self, values: Values) -> list[Any]:
        """The values as the driver takes them, in the order of the text."""
        whole = {**self.defaults, **values} if self.defaults else values
        return [convert(whole[name]) if convert else whole[name] for name, convert in self.names]

    def run(self, connection: Connection, values: Values) -> Cursor:
        """Execute it on *connection*; the rows are the driver's."""
        return connection.execute(self.text, self.bound(values))

    def read(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """A row as our types have it."""
        return tuple(
            convert(value) if convert else value for convert, value in zip(self.reads, row, strict=True)
        )


def plan_of(statement: Statement, dialect: Dialect, names: Sequence[str] = ()) -> Plan:
    """Let SQLAlchemy make the text, and take over what it would do with each value.

    *names* are those of the columns (of an insert, or of an update that names none) whose values come with
    each execution.

    Raises:
        TypeError: The text depends on the values.
    """
    made = statement.compile(
        dialect=dialect,
        column_keys=list(names),
        for_executemany=isinstance(statement, Insert),
        schema_translate_map=_MAIN,
        render_schema_translate=True,
    )
    if not isinstance(made, SQLCompiler) or made.post_compile_params or made.positiontup is None:
        message = f"this statement cannot be prepared: {made}"
        raise TypeError(message)
    binds = tuple((name, _writes(made.binds[name].type, dialect)) for name in made.positiontup)
    defaults = {name: made.binds[name].value for name, _ in binds if not made.binds[name].required}
    if not isinstance(statement, Select):
        return Plan(str(made), binds, defaults, None, ())
    columns = statement.selected_columns
    reads = tuple(_reads(column.type, dialect) for column in columns)
    return Plan(str(made), binds, defaults, SimpleResultMetaData([column.name for column in columns]), reads)


def _writes(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    """What turns a value of that type into the driver's."""
    return kind.dialect_impl(dialect).bind_processor(dialect)


def _reads(kind: TypeEngine[Any], dialect: Dialect) -> _Convert:
    """What turns the driver's value into one of that type."""
    return kind.dialect_impl(dialect).result_processor(dialect, None)

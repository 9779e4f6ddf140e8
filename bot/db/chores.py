"""Chores: what has to be done again and again, each by one worker at a time; cron as rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import system_only
from bot.db.tables import chores
from bot.db.upsert import insert_new
from bot.domain.values import Json, Scope
from bot.errors import LeaseLost

# The clocks of two machines may differ by that much.
CLOCK_SLACK: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class ChoreTurn:
    """The right to do a chore once: *owner* is of this turn alone, so that it fences every earlier one."""

    name: str
    owner: str
    failures: int
    state: Json


@dataclass(frozen=True, slots=True)
class ChoreFacts:
    """How a chore stands: `ended_at` is when it last went well, `error` and `failures` came since then."""

    name: str
    wake_at: datetime
    ended_at: datetime | None
    error: str | None
    failures: int


async def enroll(scope: Scope, connection: AsyncConnection, name: str, *, now: datetime) -> None:
    """Make the row of a chore, due now; one that stands is left alone."""
    system_only(scope)
    row = {"name": name, "wake_at": now, "state": {}}
    await insert_new(connection, chores, row)


async def facts(scope: Scope, connection: AsyncConnection) -> list[ChoreFacts]:
    """All chores by name."""
    system_only(scope)
    rows = (await connection.execute(select(chores).order_by(chores.c.name))).all()
    return [ChoreFacts(**{name: getattr(row, name) for name in ChoreFacts.__slots__}) for row in rows]


async def wake_at(scope: Scope, connection: AsyncConnection, name: str) -> datetime | None:
    """When the chore is to be done next, or its turn runs out; None for one that has no row."""
    system_only(scope)
    statement = select(chores.c.wake_at, chores.c.lease_until).where(chores.c.name == name)
    row = (await connection.execute(statement)).first()
    return None if row is None else max(filter(None, row))


async def claim(
    scope: Scope,
    connection: AsyncConnection,
    name: str,
    owner: str,
    *,
    now: datetime,
    lease: timedelta,
) -> ChoreTurn | None:
    """Take the chore's turn until now + *lease*; None when it is not due, or somebody is at it.

    A turn that began in the future was written by a clock that has been set back since: its times
    mean nothing, and the chore is due and free.
    """
    system_only(scope)
    is_due = and_(chores.c.wake_at <= now, or_(chores.c.lease_until.is_(None), chores.c.lease_until <= now))
    taken = await connection.execute(
        update(chores)
        .where(chores.c.name == name, or_(is_due, chores.c.started_at > now + CLOCK_SLACK))
        .values(owner=owner, lease_until=now + lease, started_at=now)
    )
    if taken.rowcount != 1:
        return None
    row = (await connection.execute(select(chores).where(chores.c.name == name))).one()
    return ChoreTurn(name, owner, row.failures, row.state)


async def keep(
    scope: Scope, connection: AsyncConnection, turn: ChoreTurn, state: Json, *, now: datetime
) -> None:
    """Write down in mid-turn how far it has come; raises LeaseLost."""
    system_only(scope)
    await _change(connection, turn, {"state": state}, now)


async def end(
    scope: Scope, connection: AsyncConnection, turn: ChoreTurn, *, wake_at: datetime, now: datetime
) -> None:
    """The turn went well; the next one is due at *wake_at*. Raises LeaseLost."""
    system_only(scope)
    values = {"wake_at": wake_at, "ended_at": now, "error": None, "failures": 0}
    await _change(connection, turn, {**values, "owner": None, "lease_until": None}, now)


async def fail(
    scope: Scope,
    connection: AsyncConnection,
    turn: ChoreTurn,
    error: str,
    *,
    wake_at: datetime,
    now: datetime,
) -> None:
    """The turn failed with *error*, and is tried again at *wake_at*; raises LeaseLost."""
    system_only(scope)
    values = {"wake_at": wake_at, "error": error, "failures": turn.failures + 1}
    await _change(connection, turn, {**values, "owner": None, "lease_until": None}, now)


async def give_back(scope: Scope, connection: AsyncConnection, turn: ChoreTurn, *, now: datetime) -> None:
    """A worker that stops lets another one begin at once; raises LeaseLost."""
    system_only(scope)
    await _change(connection, turn, {"owner": None, "lease_until": None}, now)


async def _change(
    connection: AsyncConnection, turn: ChoreTurn, values: Mapping[str, Any], now: datetime
) -> None:
    changed = await connection.execute(update(chores).where(_is_ours(turn, now)).values(**values))
    if changed.rowcount != 1:
        raise LeaseLost(turn.name)


def _is_ours(turn: ChoreTurn, now: datetime) -> ColumnElement[bool]:
    """The turn is still its owner's, and its time is not over."""
    return and_(chores.c.name == turn.name, chores.c.owner == turn.owner, chores.c.lease_until > now)

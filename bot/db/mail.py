"""Writes that belong to no run (sequence below zero): whose turn it is, and who is at it."""

from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, literal, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.chores import CLOCK_SLACK
from bot.db.columns import UtcTimestamp
from bot.db.operations import Operation, operation_of
from bot.db.scope import system_only
from bot.db.tables import installations, operations
from bot.db.walk import values_of
from bot.db.work_tables import WAITING_MAIL
from bot.domain.values import Scope

CLAIM: Final = timedelta(seconds=60)
"""How long an outbox keeps an installation from the others; after its death they wait that long."""
# Written out, not bound: with a parameter no planner knows that the index of those that wait will do.
_WAITS: Final = text(WAITING_MAIL)


async def waiting(scope: Scope, connection: AsyncConnection, *, now: datetime) -> list[tuple[int, str]]:
    """Each installation that something can be sent to and that no outbox is at, with its oldest.

    However much waits for one of them, it takes as many steps as there are installations.
    """
    system_only(scope)
    found = await connection.execute(_FIRSTS, {"now": now, "sound": now + CLAIM + CLOCK_SLACK})
    return [(row.installation, row.first) for row in found if row.first is not None]


async def of_installation(
    scope: Scope, connection: AsyncConnection, installation_id: int, *, now: datetime, limit: int
) -> list[Operation]:
    """The oldest *limit* that can be sent to an installation now."""
    system_only(scope)
    statement = (
        select(operations)
        .where(_WAITS, operations.c.installation_id == installation_id, _is_due(_instant(now)))
        .order_by(operations.c.id)
        .limit(limit)
    )
    return [operation_of(row) for row in (await connection.execute(statement)).all()]


async def claim(
    scope: Scope, connection: AsyncConnection, installation_id: int, *, now: datetime
) -> datetime | None:
    """Keep the other outboxes from an installation; returns until when, None where one is at it.

    It only spares work that would be done twice: who sends is decided by the compare-and-set on each
    operation. A claim that reaches further than any is of a clock that has been set back, and void.
    """
    system_only(scope)
    until = now + CLAIM
    taken = await connection.execute(
        update(installations)
        .where(installations.c.id == installation_id, _is_free(_instant(now), _instant(until + CLOCK_SLACK)))
        .values(mail_until=until)
    )
    return until if taken.rowcount == 1 else None


async def release(
    scope: Scope, connection: AsyncConnection, installation_id: int, *, until: datetime
) -> None:
    """End the claim that was made until *until*; one that somebody else has made since is left alone."""
    system_only(scope)
    mine = (installations.c.id == installation_id, installations.c.mail_until == until)
    await connection.execute(update(installations).where(*mine).values(mail_until=None))


def _instant(value: datetime) -> ColumnElement[datetime]:
    return literal(value, UtcTimestamp())


def _is_due(now: ColumnElement[datetime]) -> ColumnElement[bool]:
    return or_(operations.c.wake_at.is_(None), operations.c.wake_at <= now)


def _is_free(now: ColumnElement[datetime], sound: ColumnElement[datetime]) -> ColumnElement[bool]:
    """No outbox is at the installation; a claim that ends after *sound* is nobody's."""
    until = installations.c.mail_until
    return or_(until.is_(None), until <= now, until > sound)


def _firsts() -> Select[Any]:
    """From one installation to the next in the index, and the oldest of each that can be sent now."""
    installation = operations.c.installation_id
    now, sound = (bindparam(name, type_=UtcTimestamp()) for name in ("now", "sound"))
    who = values_of(installation, _WAITS)
    oldest = (
        select(operations.c.id)
        .where(_WAITS, installation == who.c.id, _is_due(now))
        .order_by(operations.c.id)
        .limit(1)
        .correlate_except(operations)
        .scalar_subquery()
    )
    free = who.join(installations, installations.c.id == who.c.id)
    return (
        select(who.c.id.label("installation"), oldest.label("first"))
        .select_from(free)
        .where(_is_free(now, sound))
    )


# Built once: it is asked at each ring.
_FIRSTS: Final = _firsts()

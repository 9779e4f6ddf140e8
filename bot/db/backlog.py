"""Which deliveries are dispatched next: in order within a thread, in turn between installations."""

from collections.abc import Collection
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Integer, Select, Text, bindparam, case, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.columns import UtcTimestamp
from bot.db.deliveries import StoredDelivery
from bot.db.scope import system_only
from bot.db.tables import deliveries
from bot.db.turns import take_turn
from bot.domain.enums import DeliveryState
from bot.domain.values import Scope

WINDOW = 2_000
"""How many of the oldest are ordered; whatever comes behind them waits for its place among these."""
MAX_BLOCKING_ATTEMPTS = 3
"""A delivery that failed so often no longer holds up the later ones of its thread."""
_COLUMNS = (
    "id",
    "event",
    "action",
    "payload",
    "attempts",
    "installation_id",
    "repository",
    "number",
    "parts",
)


async def take(
    scope: Scope,
    connection: AsyncConnection,
    *,
    now: datetime,
    until: datetime,
    limit: int,
    without: Collection[str] = (),
) -> list[StoredDelivery]:
    """At most *limit* deliveries to dispatch now, at most one of a thread, *without* those at work here.

    On Postgres they are ours until *until*: another worker gets others, and takes these up after that.
    On SQLite nothing is written; there another worker does the work twice, and `finish` lets one be
    the one that did it.
    """
    system_only(scope)
    is_shared = connection.dialect.name == "postgresql"
    if is_shared:
        # What is lost here in a power cut is only whose turn it was.
        await connection.execute(text("SET LOCAL synchronous_commit TO OFF"))
        await take_turn(connection, "dispatch")
    asked = {"now": now, "without": list(without), "most": limit}
    chosen = [StoredDelivery(*row) for row in await connection.execute(_NEXT, asked)]
    if is_shared and chosen:
        mine = deliveries.c.id.in_([one.id for one in chosen])
        is_open = deliveries.c.state == DeliveryState.RECEIVED
        await connection.execute(update(deliveries).where(mine, is_open).values(wake_at=until))
    return chosen


async def release(scope: Scope, connection: AsyncConnection, delivery_ids: Collection[str]) -> None:
    """Give back what was taken and not dispatched; what has ended meanwhile is left alone."""
    system_only(scope)
    mine = deliveries.c.id.in_(delivery_ids), deliveries.c.state == DeliveryState.RECEIVED
    await connection.execute(update(deliveries).where(*mine).values(wake_at=None))


def _next() -> Select[tuple[Any, ...]]:
    """The first delivery of each thread, installations taking turns, the oldest first.

    Built once: it is asked at each ring.
    """
    now = bindparam("now", type_=UtcTimestamp)
    without = bindparam("without", type_=Text, expanding=True)
    names = ("id", "received_at", "wake_at", "attempts", "installation_id", "repository", "number")
    oldest = (
        select(*(deliveries.c[name] for name in names))
        .where(deliveries.c.state == DeliveryState.RECEIVED)
        .order_by(deliveries.c.received_at, deliveries.c.id)
        .limit(WINDOW)
        .subquery()
    )
    is_alone = or_(oldest.c.number.is_(None), oldest.c.attempts >= MAX_BLOCKING_ATTEMPTS)
    thread = (oldest.c.repository, oldest.c.number, case((is_alone, oldest.c.id), else_=None))
    age = (oldest.c.received_at, oldest.c.id)
    place = func.row_number().over(partition_by=thread, order_by=age)
    heads = select(oldest, place.label("place")).subquery()
    is_due = or_(heads.c.wake_at.is_(None), heads.c.wake_at <= now)
    age = (heads.c.received_at, heads.c.id)
    turn = func.row_number().over(partition_by=heads.c.installation_id, order_by=age)
    return (
        select(*(deliveries.c[name] for name in _COLUMNS))
        .join(heads, heads.c.id == deliveries.c.id)
        .where(heads.c.place == 1, is_due, heads.c.id.not_in(without))
        .order_by(turn, *age)
        .limit(bindparam("most", type_=Integer))
    )


_NEXT: Final = _next()

"""Which deliveries are dispatched next: in order within a thread, in turn between installations."""

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import Select, case, func, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

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
    chosen = list(await connection.scalars(_next(now, without).limit(limit)))
    mine = deliveries.c.id.in_(chosen), deliveries.c.state == DeliveryState.RECEIVED
    if is_shared and chosen:
        await connection.execute(update(deliveries).where(*mine).values(wake_at=until))
    rows = select(*(deliveries.c[name] for name in _COLUMNS)).where(*mine)
    found = {row.id: StoredDelivery(*row) for row in await connection.execute(rows)}
    return [found[delivery_id] for delivery_id in chosen if delivery_id in found]


async def release(scope: Scope, connection: AsyncConnection, delivery_ids: Collection[str]) -> None:
    """Give back what was taken and not dispatched; what has ended meanwhile is left alone."""
    system_only(scope)
    mine = deliveries.c.id.in_(delivery_ids), deliveries.c.state == DeliveryState.RECEIVED
    await connection.execute(update(deliveries).where(*mine).values(wake_at=None))


def _next(now: datetime, without: Collection[str]) -> Select[tuple[Any]]:
    """The ids of the first delivery of each thread, installations taking turns, the oldest first."""
    oldest = (
        select(deliveries)
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
        select(heads.c.id).where(heads.c.place == 1, is_due, heads.c.id.not_in(without)).order_by(turn, *age)
    )

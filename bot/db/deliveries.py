"""Deliveries: the values of one, and the queries of whoever reads, ends, or purges it."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import system_only
from bot.db.tables import deliveries, delivery_parts
from bot.domain.enums import DeliverySource, DeliveryState
from bot.domain.values import Scope

# A body above this is stored in parts of this size, so that no small delivery waits for a large one.
PART_BYTES = 256 * 1024


@dataclass(frozen=True, slots=True)
class IncomingDelivery:
    """A validly signed delivery; `digest` is the SHA-256 of the raw body in hex.

    The body is `payload`, or, where it is large, `parts` in their order. Both are left out where the
    state is IGNORED. `repository`, `number` and `sender` are bounded text for people's eyes and for
    the order within a thread; they are None where the body was not parsed.
    """

    target_type: str
    target_id: str
    guid: str
    event: str
    action: str | None
    digest: str
    payload: bytes | None
    installation_id: int | None
    received_at: datetime
    state: DeliveryState
    repository: str | None = None
    number: int | None = None
    sender: str | None = None
    source: DeliverySource = DeliverySource.WEBHOOK
    parts: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """What storing came to: the id under which the delivery stands, and whether it is new."""

    delivery_id: str
    is_new: bool
    state: DeliveryState


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A delivery that waits for the dispatcher; `payload` is None where the body is in `parts`."""

    id: str
    event: str
    action: str | None
    payload: bytes | None
    attempts: int
    installation_id: int | None = None
    repository: str | None = None
    number: int | None = None
    parts: int = 0


async def body(scope: Scope, connection: AsyncConnection, delivery_id: str) -> bytes | None:
    """The whole raw body, its parts joined; None where there is no such delivery or it was purged."""
    system_only(scope)
    row = (
        await connection.execute(
            select(deliveries.c.payload, deliveries.c.parts).where(deliveries.c.id == delivery_id)
        )
    ).one_or_none()
    if row is None or not row.parts:
        return None if row is None else row.payload
    parts = await connection.scalars(
        select(delivery_parts.c.content)
        .where(delivery_parts.c.delivery_id == delivery_id)
        .order_by(delivery_parts.c.number)
    )
    return b"".join(parts)


async def finish(
    scope: Scope,
    connection: AsyncConnection,
    delivery_id: str,
    state: DeliveryState,
    *,
    now: datetime,
    error: str | None = None,
) -> bool:
    """Close a delivery that is still RECEIVED; whether this call was the one that did it.

    An IGNORED delivery loses its payload, the digest stays.
    """
    system_only(scope)
    values: dict[str, object] = {"state": state, "dispatched_at": now, "error": error, "wake_at": None}
    if state is DeliveryState.IGNORED:
        values |= {"payload": None, "parts": 0}
    result = await connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.state == DeliveryState.RECEIVED)
        .values(**values)
    )
    if result.rowcount == 1 and state is DeliveryState.IGNORED:
        await connection.execute(delete(delivery_parts).where(delivery_parts.c.delivery_id == delivery_id))
    return result.rowcount == 1


async def postpone(
    scope: Scope, connection: AsyncConnection, delivery_id: str, *, wake_at: datetime, error: str
) -> None:
    """Try the dispatch again at *wake_at*; counts an attempt."""
    system_only(scope)
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.state == DeliveryState.RECEIVED)
        .values(wake_at=wake_at, error=error, attempts=deliveries.c.attempts + 1)
    )


def has_body() -> ColumnElement[bool]:
    """Small bodies stand in the row, large ones in parts; retention takes either away."""
    return or_(deliveries.c.payload.is_not(None), deliveries.c.parts > 0)


async def purge_payloads(scope: Scope, connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Drop the bodies of at most *limit* deliveries received before *before* that wait for nothing.

    The row and its digest stay, so that the same body is known for ever. Returns how many were
    purged; the second time finds none of them.
    """
    return await purge(scope, connection, deliveries.c.received_at < before, limit=limit)


async def purge(
    scope: Scope, connection: AsyncConnection, condition: ColumnElement[bool], *, limit: int
) -> int:
    """Drop the bodies of at most *limit* of these, the oldest first, that wait for nothing; how many."""
    system_only(scope)
    found = (
        select(deliveries.c.id)
        .where(condition, deliveries.c.state != DeliveryState.RECEIVED, has_body())
        .order_by(deliveries.c.received_at)
        .limit(limit)
        # A FAILED one that is taken up again meanwhile keeps its new body.
        .with_for_update()
    )
    ids = list(await connection.scalars(found))
    await connection.execute(delete(delivery_parts).where(delivery_parts.c.delivery_id.in_(ids)))
    await connection.execute(update(deliveries).where(deliveries.c.id.in_(ids)).values(payload=None, parts=0))
    return len(ids)


async def drop_orphaned_parts(scope: Scope, connection: AsyncConnection, *, before: datetime) -> int:
    """Drop parts made before *before* whose delivery was never stored; returns how many.

    An upload takes seconds, so an hour ago is early enough.
    """
    system_only(scope)
    known = select(deliveries.c.id).where(deliveries.c.id == delivery_parts.c.delivery_id).exists()
    result = await connection.execute(
        delete(delivery_parts).where(delivery_parts.c.created_at < before, ~known)
    )
    return result.rowcount

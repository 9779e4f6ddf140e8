"""Deliveries: the values of one, and the queries of whoever reads, ends, or purges it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import accumulate

from sqlalchemy import ColumnElement, Select, and_, delete, func, literal_column, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import system_only
from bot.db.tables import deliveries, delivery_parts
from bot.domain.enums import DeliverySource, DeliveryState
from bot.domain.values import Scope

# A body above this is stored in parts of this size, so that no small delivery waits for a large one.
PART_BYTES = 256 * 1024
# What one transaction deletes at most, about.
PURGED_BYTES = 16 * 1024 * 1024
_RECEIVED: ColumnElement[DeliveryState] = literal_column(f"'{DeliveryState.RECEIVED.value}'")


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


def stand_in_digest(target_id: str, guid: str) -> str:
    """What stands for the digest of a delivery whose body is not to be had; it is no body's."""
    return hashlib.sha256(f"no body:{target_id}:{guid}".encode()).hexdigest()


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
    received_at: datetime
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
    installation_id: int | None = None,
) -> bool:
    """Close a delivery that is still RECEIVED; whether this call was the one that did it.

    An IGNORED delivery loses its payload, the digest stays. The *installation_id* of a large body is
    known only now that it was read; without it retention could not tell whose body it is.
    """
    system_only(scope)
    values: dict[str, object] = {"state": state, "dispatched_at": now, "error": error, "wake_at": None}
    if installation_id is not None:
        values["installation_id"] = func.coalesce(deliveries.c.installation_id, installation_id)
    if state is DeliveryState.IGNORED:
        values |= {"payload": None, "parts": 0}
    result = await connection.execute(
        update(deliveries).where(deliveries.c.id == delivery_id, is_waiting()).values(**values)
    )
    if result.rowcount == 1 and state is DeliveryState.IGNORED:
        await connection.execute(delete(delivery_parts).where(delivery_parts.c.delivery_id == delivery_id))
    return result.rowcount == 1


async def postpone(
    scope: Scope,
    connection: AsyncConnection,
    delivery_id: str,
    *,
    wake_at: datetime,
    error: str,
    is_counted: bool = True,
) -> None:
    """Try the dispatch again at *wake_at*; an attempt that is not *is_counted* leaves the number as it is."""
    system_only(scope)
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, is_waiting())
        .values(wake_at=wake_at, error=error, attempts=deliveries.c.attempts + int(is_counted))
    )


def is_waiting(state: ColumnElement[DeliveryState] = deliveries.c.state) -> ColumnElement[bool]:
    """Not dispatched yet.

    In the words of `deliveries_waiting_idx`: a bound parameter would keep the database from using it.
    """
    return state == _RECEIVED


def has_body() -> ColumnElement[bool]:
    """Small bodies stand in the row, large ones in parts; retention takes either away.

    In the words of `deliveries_bodies_idx`: a bound parameter would keep the database from using it.
    """
    return or_(deliveries.c.payload.is_not(None), deliveries.c.parts > literal_column("0"))


async def purgeable(
    scope: Scope, connection: AsyncConnection, condition: ColumnElement[bool], *, limit: int
) -> list[str]:
    """The ids of at most *limit* of these that have a body and wait for nothing, the oldest first.

    Together their bodies have at most `PURGED_BYTES`, or there is only one: SQLite goes through all pages of
    what it deletes while nobody else can write (500 of 250 KB took 1.3 s).
    """
    system_only(scope)
    size = func.coalesce(func.length(deliveries.c.payload), 0) + deliveries.c.parts * PART_BYTES
    found = _purgeable(condition).add_columns(size).order_by(deliveries.c.received_at).limit(limit)
    rows = (await connection.execute(found)).all()
    sums = list(accumulate(row[1] for row in rows))
    most = max(PURGED_BYTES, sums[0]) if sums else 0
    return [row[0] for row, total in zip(rows, sums, strict=True) if total <= most]


async def purge(
    scope: Scope, connection: AsyncConnection, condition: ColumnElement[bool], ids: Sequence[str]
) -> int:
    """Drop the bodies of those of *ids* that are still to be found by `purgeable`; how many.

    The row and its digest stay, so that the same body is known for ever.
    """
    system_only(scope)
    # A FAILED one that was taken up again meanwhile keeps its new body.
    found = _purgeable(condition).where(deliveries.c.id.in_(ids)).with_for_update()
    still = list(await connection.scalars(found))
    await connection.execute(delete(delivery_parts).where(delivery_parts.c.delivery_id.in_(still)))
    await connection.execute(
        update(deliveries).where(deliveries.c.id.in_(still)).values(payload=None, parts=0)
    )
    return len(still)


def _purgeable(condition: ColumnElement[bool]) -> Select[tuple[str]]:
    return select(deliveries.c.id).where(condition, deliveries.c.state != DeliveryState.RECEIVED, has_body())


async def orphaned_parts(
    scope: Scope, connection: AsyncConnection, *, before: datetime, limit: int
) -> list[str]:
    """The deliveries of at most *limit* parts made before *before* that were never stored themselves.

    An upload takes seconds, so an hour ago is early enough.
    """
    system_only(scope)
    most = min(limit, PURGED_BYTES // PART_BYTES)
    found = select(delivery_parts.c.delivery_id).where(_is_orphaned(before)).limit(most)
    return sorted(set(await connection.scalars(found)))


async def drop_orphaned_parts(
    scope: Scope, connection: AsyncConnection, ids: Sequence[str], *, before: datetime
) -> int:
    """Drop the parts of *ids* that `orphaned_parts` still finds; returns how many."""
    system_only(scope)
    result = await connection.execute(
        delete(delivery_parts).where(delivery_parts.c.delivery_id.in_(ids), _is_orphaned(before))
    )
    return result.rowcount


def _is_orphaned(before: datetime) -> ColumnElement[bool]:
    known = select(deliveries.c.id).where(deliveries.c.id == delivery_parts.c.delivery_id).exists()
    return and_(delivery_parts.c.created_at < before, ~known)

"""Deliveries: stored once, whatever arrives twice, and taken up by the dispatcher."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import system_only
from bot.db.tables import deliveries
from bot.db.upsert import insert_new
from bot.domain.enums import DeliveryState
from bot.domain.ids import new_id
from bot.domain.values import Scope


@dataclass(frozen=True, slots=True)
class IncomingDelivery:
    """A validly signed delivery; `digest` is the SHA-256 of the raw body in hex.

    `payload` is dropped where the state is IGNORED.
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


@dataclass(frozen=True, slots=True)
class Accepted:
    """What storing came to: the id under which the delivery stands, and whether it is new."""

    delivery_id: str
    is_new: bool
    state: DeliveryState


@dataclass(frozen=True, slots=True)
class StoredDelivery:
    """A delivery that waits for the dispatcher."""

    id: str
    event: str
    action: str | None
    payload: bytes | None
    attempts: int


async def store(scope: Scope, connection: AsyncConnection, delivery: IncomingDelivery) -> Accepted:
    """Insert it, or find the one that came before (same target and GUID, or same body).

    A delivery that had FAILED is taken up again, unless what came now is of no concern (headers are
    not signed, so another event's name may stand over the same body); one that is being worked on or
    done is not.
    """
    system_only(scope)
    row = {
        "id": new_id(delivery.received_at),
        "target_type": delivery.target_type,
        "target_id": delivery.target_id,
        "guid": delivery.guid,
        "digest": delivery.digest,
        "event": delivery.event,
        "action": delivery.action,
        "installation_id": delivery.installation_id,
        "payload": delivery.payload,
        "state": delivery.state,
        "received_at": delivery.received_at,
    }
    if await insert_new(connection, deliveries, row):
        return Accepted(str(row["id"]), is_new=True, state=delivery.state)
    return await _known(connection, delivery)


async def _known(connection: AsyncConnection, delivery: IncomingDelivery) -> Accepted:
    same_guid = and_(
        deliveries.c.target_type == delivery.target_type,
        deliveries.c.target_id == delivery.target_id,
        deliveries.c.guid == delivery.guid,
    )
    found = select(deliveries.c.id, deliveries.c.state).where(
        or_(same_guid, deliveries.c.digest == delivery.digest)
    )
    row = (await connection.execute(found.order_by(deliveries.c.received_at).limit(1))).one()
    if row.state is not DeliveryState.FAILED or delivery.state is not DeliveryState.RECEIVED:
        return Accepted(row.id, is_new=False, state=row.state)
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.id == row.id, deliveries.c.state == DeliveryState.FAILED)
        .values(
            state=DeliveryState.RECEIVED,
            payload=delivery.payload,
            attempts=0,
            error=None,
            wake_at=None,
            received_at=delivery.received_at,
        )
    )
    return Accepted(row.id, is_new=True, state=DeliveryState.RECEIVED)


async def waiting(
    scope: Scope, connection: AsyncConnection, *, now: datetime, limit: int
) -> list[StoredDelivery]:
    """The oldest deliveries whose time has come."""
    system_only(scope)
    statement = (
        select(
            deliveries.c.id,
            deliveries.c.event,
            deliveries.c.action,
            deliveries.c.payload,
            deliveries.c.attempts,
        )
        .where(
            deliveries.c.state == DeliveryState.RECEIVED,
            or_(deliveries.c.wake_at.is_(None), deliveries.c.wake_at <= now),
        )
        .order_by(deliveries.c.received_at, deliveries.c.id)
        .limit(limit)
    )
    rows = (await connection.execute(statement)).all()
    return [StoredDelivery(row.id, row.event, row.action, row.payload, row.attempts) for row in rows]


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
        values["payload"] = None
    result = await connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.state == DeliveryState.RECEIVED)
        .values(**values)
    )
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

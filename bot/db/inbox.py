"""Storing deliveries in batches: the pieces of work, the statements and the rules of both writers.

A writer takes whatever waits into one transaction and answers each caller after the commit. Every
piece can be done twice: a delivery is known by target and GUID or by its digest, a part by its number.
"""

import asyncio
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Protocol, TypeAlias

from sqlalchemy import and_, bindparam, case, delete, func, or_, select, update

from bot.db.deliveries import Accepted, IncomingDelivery, stand_in_digest
from bot.db.tables import deliveries, delivery_parts
from bot.domain.enums import DeliveryState
from bot.domain.ids import new_id

# What one transaction takes at most, so that no caller waits for the whole of a flood.
BATCH: Final = 256
# What may wait at most: a database that hangs must not fill the memory. Four uploads of 25 MiB fit.
MAX_WAITING: Final = 4096
MAX_WAITING_BYTES: Final = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Keep:
    """A delivery to be stored unless it is known; *upload_id* is the id under which its parts stand."""

    delivery: IncomingDelivery
    upload_id: str | None = None


@dataclass(frozen=True, slots=True)
class Look:
    """Whether a delivery is known and needs no new body."""

    delivery: IncomingDelivery


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a large body, stored before the delivery itself."""

    delivery_id: str
    number: int
    content: bytes
    created_at: datetime


Work: TypeAlias = Keep | Look | Part
# What a piece came to, once the transaction is committed; an error concerns this piece alone.
Outcome: TypeAlias = Accepted | Exception | None
Waiting: TypeAlias = tuple[Work, asyncio.Future[Accepted | None]]


class NotStored(Exception):
    """The writer ended before the work was done, or had no room for it; nothing of it is kept."""


class Room:
    """How much waits for a writer, in pieces and in bytes; any thread may use it."""

    def __init__(self) -> None:
        """Nothing waits yet."""
        self._lock = threading.Lock()
        self._pieces = 0
        self._bytes = 0

    def enter(self, work: Work) -> None:
        """Count *work* until it leaves.

        Raises:
            NotStored: Too much waits already; *work* is not counted.
        """
        size = _size_of(work)
        with self._lock:
            if self._pieces >= MAX_WAITING or self._bytes + size > MAX_WAITING_BYTES:
                raise NotStored("too much waits to be stored")
            self._pieces += 1
            self._bytes += size

    def leave(self, batch: Sequence[Waiting]) -> None:
        """Those of *batch* wait no longer; to be told once for each."""
        with self._lock:
            self._pieces -= len(batch)
            self._bytes -= sum(_size_of(work) for work, _ in batch)

    def wanted(self, batch: Sequence[Waiting]) -> list[Waiting]:
        """*batch* without those whose callers gave up: they were told that it was not stored; these leave.

        Behind the piece that was given up of a large body nothing comes: its parts belong to no delivery.
        """
        wanted = [one for one in batch if not one[1].done()]
        if len(wanted) < len(batch):
            # Asked once for each: a caller may give up meanwhile.
            kept = {id(future) for _, future in wanted}
            self.leave([one for one in batch if id(one[1]) not in kept])
        return wanted


class Writer(Protocol):
    """Does pieces of work in batches; `close` finishes what waits."""

    async def do(self, work: Work) -> Accepted | None:
        """What *work* came to, after the commit; None for a part, and where Look found nothing.

        Raises:
            Exception: An error of the driver, or NotStored, also where too much waits; nothing of it is kept.
        """

    async def close(self) -> None:
        """Finish what waits and give the connection back; the second time does nothing."""


FIND = (
    select(deliveries.c.id, deliveries.c.state)
    .where(
        or_(
            and_(
                deliveries.c.target_type == bindparam("b_target_type"),
                deliveries.c.target_id == bindparam("b_target_id"),
                deliveries.c.guid == bindparam("b_guid"),
            ),
            deliveries.c.digest == bindparam("b_digest"),
        )
    )
    .order_by(deliveries.c.received_at)
    .limit(1)
)
# What the body that came tells; a large one was not read yet, and tells nothing.
_TOLD: Final = ("installation_id", "repository", "number", "sender")
_other = deliveries.alias("other")
# The digest of a body is known for ever, so only what stood in for one gives way, and only to one that no
# other delivery has: then this one goes on as it is, and what it asks for is done once by its own keys.
_gets_digest = and_(
    deliveries.c.digest == bindparam("b_stand_in"),
    ~select(_other.c.id).where(_other.c.digest == bindparam("b_digest")).exists(),
)
TAKE_UP = (
    update(deliveries)
    .where(deliveries.c.id == bindparam("b_id"), deliveries.c.state == DeliveryState.FAILED)
    .values(
        state=DeliveryState.RECEIVED,
        payload=bindparam("b_payload"),
        parts=bindparam("b_parts"),
        attempts=0,
        error=None,
        wake_at=None,
        received_at=bindparam("b_received_at"),
        digest=case((_gets_digest, bindparam("b_digest")), else_=deliveries.c.digest),
        **{
            name: func.coalesce(bindparam(f"b_{name}", type_=deliveries.c[name].type), deliveries.c[name])
            for name in _TOLD
        },
    )
)
DROP_PARTS = delete(delivery_parts).where(delivery_parts.c.delivery_id == bindparam("b_id"))
MOVE_PARTS = (
    update(delivery_parts)
    .where(delivery_parts.c.delivery_id == bindparam("b_from"))
    .values(delivery_id=bindparam("b_to"))
)
ROW: Final = (
    "id",
    "target_type",
    "target_id",
    "guid",
    "digest",
    "event",
    "action",
    "installation_id",
    "repository",
    "number",
    "sender",
    "source",
    "payload",
    "parts",
    "state",
    "received_at",
)
PART_ROW: Final = ("delivery_id", "number", "content", "created_at")


def row_of(keep: Keep) -> dict[str, Any]:
    """The new row with its own id, by column keys."""
    delivery = keep.delivery
    row = {name: getattr(delivery, name, None) for name in ROW}
    row["id"] = keep.upload_id or new_id(delivery.received_at)
    row["parts"] = len(delivery.parts)
    return row


def part_row_of(part: Part) -> dict[str, Any]:
    """The new row of a part, by column keys."""
    return {name: getattr(part, name) for name in PART_ROW}


def names_of(delivery: IncomingDelivery) -> dict[str, Any]:
    """What a delivery is known by: the parameters of `FIND`."""
    return {f"b_{name}": getattr(delivery, name) for name in ("target_type", "target_id", "guid", "digest")}


def body_of(known_id: str, delivery: IncomingDelivery) -> dict[str, Any]:
    """The parameters of `TAKE_UP`: the failed delivery *known_id* gets the body that came now."""
    return {
        "b_id": known_id,
        "b_payload": delivery.payload,
        "b_parts": len(delivery.parts),
        "b_received_at": delivery.received_at,
        "b_digest": delivery.digest,
        "b_stand_in": stand_in_digest(delivery.target_id, delivery.guid),
        **{f"b_{name}": getattr(delivery, name) for name in _TOLD},
    }


def is_taken_up(state: DeliveryState, delivery: IncomingDelivery) -> bool:
    """Whether *delivery* brings a known one in *state* back to work.

    Only what FAILED, and only if what came now concerns us: headers are not signed, so another
    event's name may stand over the same body.
    """
    return state is DeliveryState.FAILED and delivery.state is DeliveryState.RECEIVED


def settle(batch: Sequence[Waiting], outcomes: Sequence[Outcome]) -> None:
    """Give each caller its outcome; whoever gave up gets none."""
    for (_, future), outcome in zip(batch, outcomes, strict=True):
        if future.done():
            continue
        if isinstance(outcome, Exception):
            future.set_exception(outcome)
        else:
            future.set_result(outcome)


def _size_of(work: Work) -> int:
    """The bytes that *work* holds while it waits: before and behind its parts, those of the whole body."""
    if isinstance(work, Part):
        return len(work.content)
    return len(work.delivery.payload or b"") + sum(map(len, work.delivery.parts))

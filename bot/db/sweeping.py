"""What the sweep asks of the deliveries: which of GitHub's log we hold, and why one could not be had."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import system_only
from bot.db.tables import deliveries
from bot.domain.enums import DeliveryState
from bot.domain.values import Scope

_BATCH: Final = 500


@dataclass(frozen=True, slots=True)
class Held:
    """A delivery that we have: how far it came, and when it came in."""

    state: DeliveryState
    received_at: datetime


async def held(
    scope: Scope, connection: AsyncConnection, *, target_type: str, target_id: str, guids: Sequence[str]
) -> dict[str, Held]:
    """Those of *guids* that we have for this target."""
    system_only(scope)
    found: dict[str, Held] = {}
    for start in range(0, len(guids), _BATCH):
        some = guids[start : start + _BATCH]
        statement = select(deliveries.c.guid, deliveries.c.state, deliveries.c.received_at).where(
            deliveries.c.target_type == target_type,
            deliveries.c.target_id == target_id,
            deliveries.c.guid.in_(some),
        )
        for row in await connection.execute(statement):
            found[row.guid] = Held(row.state, row.received_at)
    return found


async def explain(scope: Scope, connection: AsyncConnection, delivery_id: str, why: str) -> None:
    """Keep why a delivery that stands as FAILED came without its body."""
    system_only(scope)
    await connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, deliveries.c.state == DeliveryState.FAILED)
        .values(error=why)
    )

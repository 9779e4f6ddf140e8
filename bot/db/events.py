"""The append-only record of what happened, numbered without gaps within an organization."""

from datetime import datetime

from sqlalchemy import func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.tables import events, organizations
from bot.domain.ids import new_id
from bot.domain.values import Json, Scope


async def append(
    scope: Scope,
    connection: AsyncConnection,
    kind: str,
    *,
    now: datetime,
    issue_id: str | None = None,
    job_id: str | None = None,
    data: Json | None = None,
) -> int:
    """Add an event to the scope's organization inside the caller's transaction; returns its number.

    The organization's row is locked, so that two writers number one after the other; in a mode that
    lets others refer to it, else two submits, which do so first, would wait for each other.
    """
    organization_id = scope.organization_id
    await connection.execute(
        select(organizations.c.id)
        .where(organizations.c.id == organization_id)
        .with_for_update(key_share=True)
    )
    last = await connection.scalar(
        select(func.max(events.c.sequence)).where(events.c.organization_id == organization_id)
    )
    sequence = int(last or 0) + 1
    await connection.execute(
        insert(events).values(
            id=new_id(now),
            organization_id=organization_id,
            sequence=sequence,
            kind=kind,
            issue_id=issue_id,
            job_id=job_id,
            data=data or {},
            created_at=now,
        )
    )
    return sequence

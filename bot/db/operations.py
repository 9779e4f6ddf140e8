"""Frozen writes to GitHub: intent, sent, done; the key makes each of them once."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import and_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import system_only, within
from bot.db.tables import operations
from bot.db.upsert import insert_new
from bot.domain.enums import OperationKind, OperationState
from bot.domain.ids import new_id, time_of
from bot.domain.values import Json, Scope

OPEN_STATES = (OperationState.INTENT, OperationState.SENT)


@dataclass(frozen=True, slots=True)
class Frozen:
    """A write as it is frozen: everything that will be sent, and the key that names it for ever."""

    key: str
    kind: OperationKind
    payload: Json
    sequence: int = 0


@dataclass(frozen=True, slots=True)
class Operation:
    """A frozen write and how far it has come."""

    id: str
    key: str
    job_id: str | None
    organization_id: str
    installation_id: int
    repository_id: int
    kind: OperationKind
    payload: Json
    state: OperationState
    fence: int
    attempts: int
    sent_at: datetime | None
    remote_id: int | None
    remote_url: str | None
    error: str | None
    created_at: datetime

    @property
    def asked_at(self) -> datetime:
        """When this database first heard of the work; a write without a job is frozen at once."""
        return (time_of(self.job_id) if self.job_id else None) or self.created_at


async def freeze(
    scope: Scope,
    connection: AsyncConnection,
    frozen: Sequence[Frozen],
    *,
    job_id: str | None,
    fence: int,
    installation_id: int,
    repository_id: int,
    now: datetime,
) -> None:
    """Write the intents down inside the caller's transaction; a key that stands already is left alone."""
    for intent in frozen:
        await insert_new(
            connection,
            operations,
            {
                "id": new_id(now),
                "key": intent.key,
                "job_id": job_id,
                "organization_id": scope.organization_id,
                "installation_id": installation_id,
                "repository_id": repository_id,
                "sequence": intent.sequence,
                "kind": intent.kind,
                "payload": intent.payload,
                "state": OperationState.INTENT,
                "fence": fence,
                "created_at": now,
            },
        )


async def of_job(scope: Scope, connection: AsyncConnection, job_id: str) -> list[Operation]:
    """All operations of a job in the order in which they must be sent."""
    statement = (
        select(operations)
        .where(operations.c.job_id == job_id, within(scope, operations))
        .order_by(operations.c.sequence, operations.c.id)
    )
    return [operation_of(row) for row in (await connection.execute(statement)).all()]


async def by_key(scope: Scope, connection: AsyncConnection, key: str) -> Operation | None:
    """The operation with this key, or None."""
    statement = select(operations).where(operations.c.key == key, within(scope, operations))
    row = (await connection.execute(statement)).first()
    return None if row is None else operation_of(row)


async def mark_sent(
    scope: Scope,
    connection: AsyncConnection,
    operation: Operation,
    *,
    fence: int,
    now: datetime,
    wake_at: datetime | None = None,
) -> bool:
    """Compare-and-set before the request goes out: whether this caller may send it.

    `sent_at` is the latest sending: the look window counts from it.
    """
    result = await connection.execute(
        update(operations)
        .where(
            operations.c.id == operation.id,
            operations.c.state == operation.state,
            operations.c.attempts == operation.attempts,
            operations.c.fence <= fence,
            within(scope, operations),
        )
        .values(
            state=OperationState.SENT,
            fence=fence,
            attempts=operation.attempts + 1,
            sent_at=now,
            wake_at=wake_at,
        )
    )
    return result.rowcount == 1


async def mark_done(
    scope: Scope,
    connection: AsyncConnection,
    operation_id: str,
    *,
    fence: int,
    remote_id: int | None,
    remote_url: str | None,
    now: datetime,
    recheck_at: datetime | None = None,
) -> None:
    """The write is there, *fence* made sure of it: keep what GitHub calls it.

    *recheck_at* is when to look for a second landing, where that is possible.
    """
    await connection.execute(
        update(operations)
        .where(operations.c.id == operation_id, within(scope, operations))
        .values(
            state=OperationState.DONE,
            fence=fence,
            remote_id=remote_id,
            remote_url=remote_url,
            error=None,
            wake_at=None,
            done_at=now,
            recheck_at=recheck_at,
        )
    )


async def to_recheck(
    scope: Scope, connection: AsyncConnection, *, now: datetime, limit: int
) -> list[Operation]:
    """Writes that are done and may have landed twice, whose time to look has come; the oldest first."""
    system_only(scope)
    statement = (
        select(operations)
        .where(operations.c.recheck_at <= now, operations.c.state == OperationState.DONE)
        .order_by(operations.c.recheck_at, operations.c.id)
        .limit(limit)
    )
    return [operation_of(row) for row in (await connection.execute(statement)).all()]


async def set_recheck(
    scope: Scope, connection: AsyncConnection, operation_id: str, *, recheck_at: datetime | None
) -> None:
    """Look again then, or never."""
    await connection.execute(
        update(operations)
        .where(operations.c.id == operation_id, within(scope, operations))
        .values(recheck_at=recheck_at)
    )


async def nth_last_sending(
    scope: Scope,
    connection: AsyncConnection,
    installation_id: int,
    kinds: Collection[OperationKind],
    *,
    count: int,
    since: datetime,
) -> datetime | None:
    """When the *count*th last write of these kinds was sent; None when there were fewer since then."""
    system_only(scope)
    found: datetime | None = await connection.scalar(
        select(operations.c.sent_at)
        .where(
            operations.c.installation_id == installation_id,
            operations.c.sent_at > since,
            operations.c.kind.in_(kinds),
        )
        .order_by(operations.c.sent_at.desc())
        .offset(count - 1)
        .limit(1)
    )
    return found


async def mark_failed(
    scope: Scope, connection: AsyncConnection, operation_id: str, error: str, *, now: datetime
) -> None:
    """The write will not be made: keep why. An operation that is done stays done."""
    await connection.execute(
        update(operations)
        .where(
            and_(operations.c.id == operation_id, operations.c.state.in_(OPEN_STATES)),
            within(scope, operations),
        )
        .values(state=OperationState.FAILED, error=error, wake_at=None, done_at=now)
    )


async def postpone(
    scope: Scope, connection: AsyncConnection, operation_id: str, error: str, *, wake_at: datetime
) -> None:
    """Leave it open until *wake_at*; counts an attempt."""
    await connection.execute(
        update(operations)
        .where(operations.c.id == operation_id, within(scope, operations))
        .values(error=error, wake_at=wake_at, attempts=operations.c.attempts + 1)
    )


def operation_of(row: object) -> Operation:
    """A whole row of the table."""
    fields = {name: getattr(row, name) for name in Operation.__slots__}
    return Operation(**fields)

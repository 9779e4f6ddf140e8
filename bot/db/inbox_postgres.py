"""The writer for Postgres: whatever waits in one transaction, which also rings the bell."""

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import or_, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import bell, inbox, trouble
from bot.db.database import Database
from bot.db.deliveries import Accepted, IncomingDelivery
from bot.db.inbox import Keep, Look, Outcome, Part, Waiting, Work
from bot.db.inbox_log import InboxLog
from bot.db.tables import deliveries, delivery_parts
from bot.domain.enums import DeliveryState

# Shorter than the web's patience, so that the cause is known when the sender is told.
COMMIT_SECONDS: Final = 6.0
# Two writers met: https://www.postgresql.org/docs/current/errcodes-appendix.html
_MET: Final = frozenset({"40001", "40P01"})
_FAILURES: Final = (SQLAlchemyError, OSError, TimeoutError, ValueError, LookupError, OverflowError)

_INSERT = insert(deliveries).on_conflict_do_nothing().returning(deliveries.c.id)
_INSERT_PART = insert(delivery_parts).on_conflict_do_nothing()


class PostgresWriter:
    """Does work in a task of its own, which lives as long as something waits."""

    def __init__(self, database: Database, *, commit_seconds: float = COMMIT_SECONDS) -> None:
        """Keep the database; a transaction that takes longer than *commit_seconds* is given up."""
        self._database = database
        self._commit_seconds = commit_seconds
        self._log = InboxLog()
        self._room = inbox.Room()
        self._waiting: deque[Waiting] = deque()
        self._parts: deque[Waiting] = deque()
        self._task: asyncio.Task[None] | None = None

    async def do(self, work: Work) -> Accepted | None:
        """What *work* came to, after the commit; None for a part, and where Look found nothing.

        Raises:
            NotStored, SQLAlchemyError, OSError, TimeoutError, ValueError, LookupError, OverflowError:
                It is not kept.
        """
        self._room.enter(work)
        future: asyncio.Future[Accepted | None] = asyncio.get_running_loop().create_future()
        (self._parts if isinstance(work, Part) else self._waiting).append((work, future))
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._run())
        return await future

    async def close(self) -> None:
        """Finish what waits; the second time does nothing."""
        if self._task is not None:
            await self._task

    async def _run(self) -> None:
        while self._waiting or self._parts:
            size = min(len(self._waiting), inbox.BATCH)
            batch = [self._waiting.popleft() for _ in range(size)]
            if self._parts:
                batch.append(self._parts.popleft())
            wanted = self._room.wanted(batch)
            if wanted:
                await self._answer(wanted)

    async def _answer(self, batch: list[Waiting]) -> None:
        works = [work for work, _ in batch]
        outcomes: list[Outcome] = [inbox.NotStored("the writer ended")] * len(batch)
        try:
            outcomes = await self._outcomes(works)
        finally:
            self._room.leave(batch)
            inbox.settle(batch, outcomes)
        self._log.add(works, outcomes)
        self._log.write()

    async def _outcomes(self, works: list[Work]) -> list[Outcome]:
        """Those of *works*; where one of them is refused, the others are done without it."""
        outcomes: list[Outcome] = []
        error = await self._try(works, outcomes)
        if error is not None and _may_go_at_once(error):
            error = await self._try(works, outcomes)
        if error is None:
            return outcomes
        if len(works) == 1 or _concerns_all(error):
            return [error] * len(works)
        half = len(works) // 2
        return [*await self._outcomes(works[:half]), *await self._outcomes(works[half:])]

    async def _try(self, works: Sequence[Work], outcomes: list[Outcome]) -> Exception | None:
        """One transaction; fills *outcomes*, or returns why all of it was rolled back."""
        try:
            async with asyncio.timeout(self._commit_seconds), self._database.write() as connection:
                done = await self._commit(connection, works)
        except _FAILURES as error:
            return error
        outcomes[:] = done
        return None

    async def _commit(self, connection: AsyncConnection, works: Sequence[Work]) -> list[Outcome]:
        new = await self._insert(connection, works)
        old = [work.delivery for work in works if not isinstance(work, Part) and id(work) not in new]
        rows = await self._find(connection, old)
        taken_up: set[str] = set()
        outcomes: list[Outcome] = []
        for work in works:
            if isinstance(work, Part):
                outcomes.append(None)
            elif id(work) in new:
                outcomes.append(Accepted(new[id(work)], is_new=True, state=work.delivery.state))
            else:
                outcomes.append(await self._again(connection, work, rows, taken_up))
        if any(isinstance(one, Accepted) and one.is_new for one in outcomes):
            await bell.ring(connection)
        return outcomes

    async def _insert(self, connection: AsyncConnection, works: Sequence[Work]) -> dict[int, str]:
        """Add what can be added; the ids of the new deliveries, by the identity of their piece of work."""
        parts = [inbox.part_row_of(work) for work in works if isinstance(work, Part)]
        if parts:
            await connection.execute(_INSERT_PART, parts)
        rows = {id(work): inbox.row_of(work) for work in works if isinstance(work, Keep)}
        if not rows:
            return {}
        # In one order, so that two writers wait for each other instead of both being stopped.
        ordered = sorted(rows.values(), key=lambda row: str(row["digest"]))
        new = set(await connection.scalars(_INSERT, ordered))
        return {number: row["id"] for number, row in rows.items() if row["id"] in new}

    async def _find(self, connection: AsyncConnection, known: Sequence[IncomingDelivery]) -> list[Any]:
        """The rows of those that came before, oldest first."""
        if not known:
            return []
        table = deliveries.c
        guids = tuple_(table.target_type, table.target_id, table.guid)
        found = (
            select(table.id, table.state, table.digest, table.target_type, table.target_id, table.guid)
            .where(
                or_(
                    table.digest.in_([one.digest for one in known]),
                    guids.in_([_guid_of(one) for one in known]),
                )
            )
            .order_by(table.received_at)
        )
        return list(await connection.execute(found))

    async def _again(
        self, connection: AsyncConnection, work: Keep | Look, rows: Sequence[Any], taken_up: set[str]
    ) -> Outcome:
        """What a delivery that came before comes to now; *taken_up* grows."""
        delivery = work.delivery
        row = next((row for row in rows if _is_same(row, delivery)), None)
        if row is None:
            return None
        state = DeliveryState.RECEIVED if row.id in taken_up else row.state
        is_failed = inbox.is_taken_up(state, delivery)
        if isinstance(work, Look):
            return None if is_failed else Accepted(row.id, is_new=False, state=state)
        if is_failed:
            taken_up.add(row.id)
            state = DeliveryState.RECEIVED
            values = inbox.body_of(row.id, delivery)
            if (await connection.execute(inbox.TAKE_UP, values)).rowcount:
                await connection.execute(inbox.DROP_PARTS, {"b_id": row.id})
                await connection.execute(inbox.MOVE_PARTS, {"b_from": work.upload_id, "b_to": row.id})
                return Accepted(row.id, is_new=True, state=state)
        if delivery.parts:
            await connection.execute(inbox.DROP_PARTS, {"b_id": work.upload_id})
        return Accepted(row.id, is_new=False, state=state)


def _guid_of(delivery: IncomingDelivery) -> tuple[str, str, str]:
    return delivery.target_type, delivery.target_id, delivery.guid


def _is_same(row: Any, delivery: IncomingDelivery) -> bool:
    """Whether *row* is the delivery that came before."""
    guid = (row.target_type, row.target_id, row.guid)
    return row.digest == delivery.digest or guid == _guid_of(delivery)


def _may_go_at_once(error: Exception) -> bool:
    """Whether the same may succeed over a new connection, or now that the other writer is done."""
    if isinstance(error, DBAPIError):
        return error.connection_invalidated or getattr(error.orig, "sqlstate", None) in _MET
    return isinstance(error, OSError)


def _concerns_all(error: Exception) -> bool:
    """Whether each half would fail the same way: the server is away, full or closed to us.

    An error without a statement is one of the connection.
    """
    is_of_connection = isinstance(error, DBAPIError) and error.statement is None
    return is_of_connection or isinstance(error, OSError) or trouble.is_passing(error)

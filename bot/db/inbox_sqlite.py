"""The writer for SQLite: one thread, one connection, whatever waits in one transaction."""

import asyncio
import contextlib
import sqlite3
import threading
from collections import deque
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Final

from sqlalchemy.dialects.sqlite import insert
from sqlalchemy.engine import Dialect
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.db import inbox
from bot.db.checkpoints import Checkpoints, connect
from bot.db.deliveries import Accepted, IncomingDelivery
from bot.db.inbox import Keep, Look, Outcome, Part, Waiting, Work
from bot.db.inbox_known import FIND_ALL, Known, names_of_all
from bot.db.inbox_log import InboxLog
from bot.db.prepared import plan_of
from bot.db.tables import deliveries, delivery_parts
from bot.domain.enums import DeliveryState

# Errors of one piece of work: the transaction goes on without it.
_OF_ONE: Final = (
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
    ValueError,
    LookupError,
    OverflowError,
    TypeError,
)
_ROW_BYTES: Final = 8192


class _Statements:
    """Those of the writer, compiled once from the tables."""

    def __init__(self, dialect: Dialect) -> None:
        self.find = plan_of(inbox.FIND, dialect)
        self.find_all = plan_of(FIND_ALL, dialect)
        self.take_up = plan_of(inbox.TAKE_UP, dialect)
        self.drop_parts = plan_of(inbox.DROP_PARTS, dialect)
        self.move_parts = plan_of(inbox.MOVE_PARTS, dialect)
        self.insert = plan_of(insert(deliveries).on_conflict_do_nothing(), dialect, inbox.ROW)
        self.insert_part = plan_of(insert(delivery_parts).on_conflict_do_nothing(), dialect, inbox.PART_ROW)


class SqliteWriter:
    """Does work in a thread of its own, which begins with the first piece."""

    def __init__(self, engine: AsyncEngine) -> None:
        """Keep where the file is; nothing is opened yet."""
        self._path = engine.url.database or ""
        self._statements = _Statements(engine.dialect)
        self._collected: list[Waiting] = []
        self._waiting: SimpleQueue[list[Waiting] | None] = SimpleQueue()
        self._parts: deque[Waiting] = deque()
        self._is_ending = False
        self._thread: threading.Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._log = InboxLog()
        self._room = inbox.Room()
        self._checkpoints = Checkpoints(self._path)

    async def do(self, work: Work) -> Accepted | None:
        """What *work* came to, after the commit; None for a part, and where Look found nothing.

        Raises:
            NotStored, sqlite3.Error, ValueError, LookupError, OverflowError: Nothing of it is kept.
        """
        self._room.enter(work)
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Accepted | None] = loop.create_future()
        if not self._collected:
            # One hand-over for everything that this turn of the loop brings.
            loop.call_soon(self._hand_over)
        self._collected.append((work, future))
        return await future

    async def close(self) -> None:
        """Finish what waits and close the file; the second time does nothing."""
        self._hand_over()
        if self._thread is not None:
            self._waiting.put(None)
            await asyncio.to_thread(self._thread.join)
            self._thread = None

    def _hand_over(self) -> None:
        """Give the thread what was collected."""
        collected, self._collected = self._collected, []
        if not collected:
            return
        self._waiting.put(collected)
        if self._thread is None or not self._thread.is_alive():
            self._is_ending = False
            self._thread = threading.Thread(target=self._run, name="inbox", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        try:
            while not self._is_ending or self._parts:
                wanted = self._room.wanted(self._take())
                if wanted:
                    self._answer(wanted)
        finally:
            self._close()
            self._checkpoints.close()
            self._log.write()

    def _take(self) -> list[Waiting]:
        """What goes into the next transaction: the small pieces that wait, and one part behind them."""
        batch: list[Waiting] = []
        with contextlib.suppress(Empty):
            while len(batch) < inbox.BATCH and not self._is_ending:
                collected = self._waiting.get_nowait() if batch or self._parts else self._wait()
                self._is_ending = collected is None
                for item in collected or ():
                    (self._parts if isinstance(item[0], Part) else batch).append(item)
        if self._parts:
            batch.append(self._parts.popleft())
        return batch

    def _wait(self) -> list[Waiting] | None:
        """The next pieces; whoever waits for them has time for the log."""
        while True:
            try:
                return self._waiting.get(timeout=self._log.due_seconds())
            except Empty:
                self._log.write()

    def _answer(self, batch: list[Waiting]) -> None:
        """Do *batch* and tell everybody who waits for it, whatever happens."""
        works = [work for work, _ in batch]
        outcomes: list[Outcome] = [inbox.NotStored("the writer ended")] * len(batch)
        try:
            outcomes = self._commit(works)
        except sqlite3.Error as error:
            # A full disk, a locked file: all of it is rolled back, the next batch opens the file anew.
            self._close()
            outcomes = [error] * len(batch)
        finally:
            self._room.leave(batch)
            # Without a loop nobody waits any more.
            with contextlib.suppress(RuntimeError):
                batch[0][1].get_loop().call_soon_threadsafe(inbox.settle, batch, outcomes)
        self._log.add(works, outcomes)
        if self._log.due_seconds() == 0:
            self._log.write()
        if self._connection is not None:
            self._checkpoints.after(self._connection, sum(map(_bytes_of, works)))

    def _commit(self, works: Sequence[Work]) -> list[Outcome]:
        """One transaction for all that has to be written; the known are found without one."""
        connection = self._open()
        outcomes = self._known(connection, works)
        numbers = [
            number
            for number, work in enumerate(works)
            if outcomes[number] is None and not isinstance(work, Look)
        ]
        if numbers and not self._insert_all(connection, works, numbers, outcomes):
            connection.execute("BEGIN IMMEDIATE")
            for number in numbers:
                outcomes[number] = self._apart(self._store, connection, works[number])
            connection.execute("COMMIT")
        return outcomes

    def _insert_all(
        self,
        connection: sqlite3.Connection,
        works: Sequence[Work],
        numbers: Sequence[int],
        outcomes: list[Outcome],
    ) -> bool:
        """Write all of *numbers* by one statement; False where it is not that simple, and nothing is written.

        It is not where a part is among them, one stands twice in the batch, one came in through another
        process since the look, or one is refused.
        """
        keeps = [work for number in numbers if isinstance(work := works[number], Keep)]
        if len(keeps) < len(numbers):
            return False
        rows = [inbox.row_of(keep) for keep in keeps]
        try:
            values = [self._statements.insert.bound(row) for row in rows]
        except _OF_ONE:
            return False
        connection.execute("BEGIN IMMEDIATE")
        try:
            count = connection.executemany(self._statements.insert.text, values).rowcount
        except _OF_ONE:
            count = 0
        connection.execute("COMMIT" if count == len(values) else "ROLLBACK")
        if count < len(values):
            return False
        for number, keep, row in zip(numbers, keeps, rows, strict=True):
            outcomes[number] = Accepted(row["id"], is_new=True, state=keep.delivery.state)
        return True

    @staticmethod
    def _apart(
        step: Callable[[sqlite3.Connection, Any], Outcome], connection: sqlite3.Connection, work: Work
    ) -> Outcome:
        """*step*, or its error where that concerns this piece alone."""
        try:
            return step(connection, work)
        except _OF_ONE as error:
            return error

    def _known(self, connection: sqlite3.Connection, works: Sequence[Work]) -> list[Outcome]:
        """For each piece the delivery that came before, or None where something has to be written.

        One look for all: every look costs a change of threads twice.
        """
        asked = [work.delivery for work in works if not isinstance(work, Part)]
        try:
            row = self._statements.find_all.run(connection, names_of_all(asked)).fetchone()
        except _OF_ONE:
            # One of them cannot be asked for; it is found out which when they are written one by one.
            return [None] * len(works)
        known = Known(row[0])
        return [known.outcome(work) for work in works]

    def _store(self, connection: sqlite3.Connection, work: Keep | Part) -> Outcome:
        statements = self._statements
        if isinstance(work, Part):
            statements.insert_part.run(connection, inbox.part_row_of(work))
            return None
        row = inbox.row_of(work)
        if statements.insert.run(connection, row).rowcount:
            return Accepted(row["id"], is_new=True, state=work.delivery.state)
        found = self._find(connection, work.delivery)
        if found is None or not inbox.is_taken_up(found.state, work.delivery):
            statements.drop_parts.run(connection, {"b_id": work.upload_id})
            return found
        statements.take_up.run(connection, inbox.body_of(found.delivery_id, work.delivery))
        statements.drop_parts.run(connection, {"b_id": found.delivery_id})
        statements.move_parts.run(connection, {"b_from": work.upload_id, "b_to": found.delivery_id})
        return Accepted(found.delivery_id, is_new=True, state=DeliveryState.RECEIVED)

    def _find(self, connection: sqlite3.Connection, delivery: IncomingDelivery) -> Accepted | None:
        row = self._statements.find.run(connection, inbox.names_of(delivery)).fetchone()
        return row and Accepted(row[0], is_new=False, state=DeliveryState(row[1]))

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            self._connection = connect(self._path)
        return self._connection

    def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.rollback()
            connection.close()


def _bytes_of(work: Work) -> int:
    """About what *work* adds to the log."""
    if isinstance(work, Part):
        return len(work.content)
    return _ROW_BYTES + len(work.delivery.payload or b"") if isinstance(work, Keep) else 0

"""The store of deliveries against every order of events: repeats, dispatch, failure, replay, purge, sweep.

Whatever happened: what was accepted is a row, one body or one (target, GUID) is never a second one, nothing
is given to the dispatcher after its end unless somebody put it back, and a digest outlives its body.
"""

import asyncio
import shutil
import tempfile
from collections.abc import Coroutine
from dataclasses import dataclass, replace
from datetime import timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test
from sqlalchemy import select

from bot.db import backlog, delivery_log, retention
from bot.db import deliveries as queries
from bot.db.database import Database
from bot.db.deliveries import PART_BYTES, Accepted, IncomingDelivery
from bot.db.tables import deliveries, delivery_parts
from bot.domain.enums import DeliverySource, DeliveryState
from bot.intake.inbox import Inbox
from tests.db.rows import MINUTE, NOW, SYSTEM, drop_due
from tests.db.test_deliveries import DELIVERY

Answer = TypeVar("Answer")
EXAMPLES, STEPS = 12, 25
GUIDS, BODIES = st.integers(1, 4), st.integers(1, 5)
PICKS = st.integers(0, 99)
LARGE_BODY = 5  # this one is stored in parts


@dataclass
class Known:
    """What must be true of one row."""

    guid: str
    digest: str
    body: bytes | None
    state: DeliveryState
    attempts: int = 0


class Store(RuleBasedStateMachine):
    """One store; `rows` is what it must hold, in the order of arrival."""

    template: Path

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.Runner(loop_factory=asyncio.new_event_loop)
        self.folder = Path(tempfile.mkdtemp())
        self.database = Database(f"sqlite+aiosqlite:///{shutil.copy(self.template, self.folder / 'test.db')}")
        self.inbox = Inbox(self.database)
        self.now = NOW
        self.rows: dict[str, Known] = {}

    def do(self, work: Coroutine[Any, Any, Answer]) -> Answer:
        return self.loop.run(work)

    @initialize()
    def begin(self) -> None:
        self.store([(1, 1)], DeliveryState.RECEIVED, DeliverySource.WEBHOOK)

    # ── what happens ────────────────────────────────────────────────────────────────────────────
    @rule(
        several=st.lists(st.tuples(GUIDS, BODIES), min_size=1, max_size=6),
        state=st.sampled_from([DeliveryState.RECEIVED, DeliveryState.RECEIVED, DeliveryState.IGNORED]),
        source=st.sampled_from(DeliverySource),
    )
    def store(self, several: list[tuple[int, int]], state: DeliveryState, source: DeliverySource) -> None:
        """Some at once: new ones, repeats, a known body under another GUID, a known GUID over another."""
        self.now += timedelta(seconds=1)
        incoming = [self._incoming(guid, body, state, source) for guid, body in several]
        answers = self.do(self._store_all(incoming))
        self._learn(list(zip(incoming, answers, strict=True)))

    @rule()
    def sweep_finds_one_without_its_body(self) -> None:
        """GitHub's log names one that it has no body of any more."""
        self.now += timedelta(seconds=1)
        one = replace(self._incoming(4, 4, DeliveryState.FAILED, DeliverySource.SWEEP), payload=None)
        (answer,) = self.do(self._store_all([one]))
        self._learn([(one, answer)])

    @rule(
        pick=PICKS,
        end=st.sampled_from([DeliveryState.DISPATCHED, DeliveryState.FAILED, DeliveryState.IGNORED, None]),
    )
    def dispatch(self, pick: int, end: DeliveryState | None) -> None:
        """Whoever dispatches is given what waits, and ends one of them, or puts it off (None)."""
        taken = self.do(self._take())
        waiting = {i for i, row in self.rows.items() if row.state is DeliveryState.RECEIVED}
        assert set(taken) <= waiting
        if not taken:
            return
        mine = sorted(taken)[pick % len(taken)]
        assert taken[mine] == self.rows[mine].body
        if end is None:
            self.do(self._postpone(mine))
            self.rows[mine].attempts += 1
            return
        assert self.do(self._finish(mine, end))
        self._ended(mine, end)

    @rule(pick=PICKS, end=st.sampled_from([DeliveryState.DISPATCHED, DeliveryState.FAILED]))
    def finish_late(self, pick: int, end: DeliveryState) -> None:
        """A dispatcher that slept ends what perhaps has ended already: only one of them does."""
        mine = self._pick(pick)
        was_open = self.rows[mine].state is DeliveryState.RECEIVED
        assert self.do(self._finish(mine, end)) == was_open
        if was_open:
            self._ended(mine, end)

    @rule(pick=PICKS)
    def put_back(self, pick: int) -> None:
        mine = self._pick(pick)
        row = self.rows[mine]
        assert self.do(self._put_back(mine)) == (row.body is not None)
        if row.body is not None:
            row.state, row.attempts = DeliveryState.RECEIVED, 0

    @rule(limit=st.integers(1, 3))
    def purge(self, limit: int) -> None:
        count = self.do(self._purge(limit))
        ended = [row for row in self.rows.values() if row.state is not DeliveryState.RECEIVED and row.body]
        assert count == min(limit, len(ended))
        left = self.do(self._bodies())
        gone = [row for i, row in self.rows.items() if row.body and left[i] is None]
        assert len(gone) == count and all(row in ended for row in gone)
        for row in gone:
            row.body = None

    # ── what always holds ───────────────────────────────────────────────────────────────────────
    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        found = self.do(self._read())
        assert {row.id for row in found} == set(self.rows)
        assert len({row.digest for row in found}) == len({row.guid for row in found}) == len(found)
        bodies = self.do(self._bodies())
        for row in found:
            known = self.rows[row.id]
            assert (row.guid, row.digest, row.state) == (known.guid, known.digest, known.state)
            assert (row.attempts, bodies[row.id]) == (known.attempts, known.body)

    @invariant()
    def no_part_is_left_behind(self) -> None:
        assert self.do(self._parts()) <= {i for i, row in self.rows.items() if row.body is not None}

    def teardown(self) -> None:
        self.do(self.inbox.close())
        self.do(self.database.close())
        self.loop.close()
        shutil.rmtree(self.folder)

    # ── what must come of it ────────────────────────────────────────────────────────────────────
    def _learn(self, stored: list[tuple[IncomingDelivery, Accepted]]) -> None:
        """Every answer names the row that holds it: a new one, or the one that came before."""
        for delivery, answer in sorted(stored, key=lambda pair: not pair[1].is_new):
            same = [
                i for i, row in self.rows.items()
                if row.digest == delivery.digest or row.guid == delivery.guid
            ]  # fmt: skip
            if not answer.is_new:
                assert answer.delivery_id in same
            elif answer.delivery_id in self.rows:
                row = self.rows[answer.delivery_id]
                assert (row.state, delivery.state) == (DeliveryState.FAILED, DeliveryState.RECEIVED)
                row.body, row.state, row.attempts = self._body(delivery), DeliveryState.RECEIVED, 0
            else:
                assert not same
                self.rows[answer.delivery_id] = Known(
                    delivery.guid, delivery.digest, self._body(delivery), delivery.state
                )
        for delivery, answer in stored:
            # What concerns us and had failed is at work again, never left to lie.
            if delivery.state is DeliveryState.RECEIVED:
                assert self.rows[answer.delivery_id].state is not DeliveryState.FAILED

    def _ended(self, delivery_id: str, end: DeliveryState) -> None:
        row = self.rows[delivery_id]
        row.state = end
        if end is DeliveryState.IGNORED:
            row.body = None

    def _pick(self, pick: int) -> str:
        return sorted(self.rows)[pick % len(self.rows)]

    @staticmethod
    def _body(delivery: IncomingDelivery) -> bytes | None:
        return delivery.payload

    # ── how ─────────────────────────────────────────────────────────────────────────────────────
    def _incoming(
        self, guid: int, number: int, state: DeliveryState, source: DeliverySource
    ) -> IncomingDelivery:
        body = b"%d" % number * (PART_BYTES + 1 if number == LARGE_BODY else 1)
        return replace(
            DELIVERY,
            guid=f"g-{guid}",
            digest=sha256(body).hexdigest(),
            payload=None if state is DeliveryState.IGNORED else body,
            received_at=self.now,
            state=state,
            source=source,
        )

    async def _store_all(self, incoming: list[IncomingDelivery]) -> list[Accepted]:
        return await asyncio.gather(*(self.inbox.store(one) for one in incoming))

    async def _take(self) -> dict[str, bytes | None]:
        async with self.database.write() as connection:
            later = self.now + MINUTE
            found = await backlog.take(SYSTEM, connection, now=later, until=later, limit=9)
            await backlog.release(SYSTEM, connection, [one.id for one in found])
            return {one.id: await queries.body(SYSTEM, connection, one.id) for one in found}

    async def _postpone(self, delivery_id: str) -> None:
        async with self.database.write() as connection:
            await queries.postpone(SYSTEM, connection, delivery_id, wake_at=self.now, error="later")

    async def _finish(self, delivery_id: str, end: DeliveryState) -> bool:
        async with self.database.write() as connection:
            return await queries.finish(SYSTEM, connection, delivery_id, end, now=self.now)

    async def _put_back(self, delivery_id: str) -> bool:
        async with self.database.write() as connection:
            return await delivery_log.put_back(SYSTEM, connection, delivery_id)

    async def _purge(self, limit: int) -> int:
        return await drop_due(
            self.database, retention.old_bodies(SYSTEM, before=self.now + MINUTE), limit=limit
        )

    async def _read(self) -> Any:
        async with self.database.read() as connection:
            return (await connection.execute(select(deliveries))).all()

    async def _parts(self) -> set[str]:
        async with self.database.read() as connection:
            return set(await connection.scalars(select(delivery_parts.c.delivery_id)))

    async def _bodies(self) -> dict[str, bytes | None]:
        async with self.database.read() as connection:
            return {i: await queries.body(SYSTEM, connection, i) for i in self.rows}


def test_whatever_happens_nothing_is_lost_and_nothing_comes_twice(migrated_file: Path) -> None:
    machine = type("Machine", (Store,), {"template": migrated_file})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=EXAMPLES,
            stateful_step_count=STEPS,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

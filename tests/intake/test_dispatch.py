"""From a stored delivery to its end: in order, all or nothing, tried again, given up in words."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import pytest
from sqlalchemy import func, insert, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import deliveries, events, tables
from bot.db.database import Database
from bot.db.deliveries import IncomingDelivery
from bot.domain.enums import DeliveryState
from bot.domain.intents import CancelJobs, Event, Intent, SaveInstallation, StartJob
from bot.domain.values import Scope
from bot.errors import Forbidden, LeaseLost, RateLimited, RetryLater
from bot.handlers import router
from bot.intake.dispatch import MAX_BACKOFF_SECONDS, Change, Dispatcher
from tests import payloads
from tests.db.rows import make_tenant, stored
from tests.fakes import ManualClock

BACKOFF_SECONDS = 5.0
Step = Callable[[Intent, AsyncConnection], Awaitable[None]]


@dataclass
class Applier:
    """Decides by two functions of the test: before anything is written, and in the transaction."""

    on_decide: Callable[[Intent], Awaitable[None]] | None = None
    on_write: Step | None = None
    decided: list[Intent] = field(default_factory=list)
    written: list[Intent] = field(default_factory=list)

    async def decide(self, intent: Intent) -> Change | None:
        self.decided.append(intent)
        if self.on_decide is not None:
            await self.on_decide(intent)
        return partial(self._write, intent)

    async def _write(self, intent: Intent, connection: AsyncConnection) -> None:
        if self.on_write is not None:
            await self.on_write(intent, connection)
        self.written.append(intent)


@dataclass
class Post:
    """Deliveries on one side, a dispatcher with the real router on the other."""

    database: Database
    clock: ManualClock
    applier: Applier
    dispatcher: Dispatcher
    stored: int = 0

    async def deliver(self, payload: object, event: str = "issues", action: str | None = "labeled") -> str:
        """Store a delivery as the web process does; its id."""
        body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
        said = payload if isinstance(payload, dict) else {}
        self.stored += 1
        self.clock.advance(0.01)
        delivery = IncomingDelivery(
            target_type="integration",
            target_id="1",
            guid=f"guid-{self.stored}",
            event=event,
            action=action,
            digest=hashlib.sha256(body + bytes([self.stored])).hexdigest(),
            payload=body,
            installation_id=said.get("installation", {}).get("id"),
            received_at=self.clock.now(),
            state=DeliveryState.RECEIVED,
            repository="octo/shop",
            number=said.get("issue", {}).get("number"),
        )
        return (await stored(self.database, delivery)).delivery_id

    async def row(self, delivery_id: str) -> Any:
        """The row as it stands."""
        table = tables.deliveries
        async with self.database.read() as connection:
            return (await connection.execute(select(table).where(table.c.id == delivery_id))).one()

    async def state(self, delivery_id: str) -> DeliveryState:
        """How far it has come."""
        found: DeliveryState = (await self.row(delivery_id)).state
        return found

    async def waits_seconds(self, delivery_id: str) -> float:
        """How long it is left alone from now on."""
        wake_at = (await self.row(delivery_id)).wake_at
        return float((wake_at - self.clock.now()).total_seconds())


@pytest.fixture
def post(database: Database) -> Post:
    clock, applier = ManualClock(), Applier()
    route = partial(router.route, own_app_id=None)
    return Post(database, clock, applier, Dispatcher(database, route, applier, clock, BACKOFF_SECONDS))


def labeled(number: int = 7, *, installation_id: int = payloads.INSTALLATION_ID) -> dict[str, Any]:
    """The label `agent` is put on an issue."""
    issue = payloads.issue(number=number)
    return payloads.issues_event("labeled", label="agent", of=issue, installation_id=installation_id)


async def test_the_deliveries_of_a_thread_are_applied_in_the_order_in_which_they_came(post: Post) -> None:
    await post.deliver(payloads.installation_event("created"), "installation", "created")
    assert await post.dispatcher.run_once() == 1
    await post.deliver(labeled(1))
    await post.deliver(payloads.issues_event("closed", of=payloads.issue(number=1)), action="closed")

    assert await post.dispatcher.run_once() == 2

    assert [type(intent) for intent in post.applier.written] == [SaveInstallation, StartJob, CancelJobs]
    assert await post.dispatcher.run_once() == 0


async def test_a_delivery_that_changes_something_is_dispatched(post: Post) -> None:
    delivery_id = await post.deliver(labeled())
    await post.dispatcher.run_once()
    row = await post.row(delivery_id)
    assert (row.state, row.error, row.attempts) == (DeliveryState.DISPATCHED, None, 0)
    assert row.dispatched_at == post.clock.now()
    assert row.payload is not None


async def test_a_delivery_that_means_nothing_is_ignored_and_loses_its_payload(post: Post) -> None:
    delivery_id = await post.deliver(payloads.issues_event("labeled", label="bug"))
    await post.dispatcher.run_once()
    row = await post.row(delivery_id)
    assert (row.state, row.payload) == (DeliveryState.IGNORED, None)


async def test_the_action_of_a_large_body_is_read_here(post: Post) -> None:
    delivery_id = await post.deliver(labeled(), action=None)
    await post.dispatcher.run_once()
    assert await post.state(delivery_id) is DeliveryState.DISPATCHED


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"issues"',
        b"{",
        b"\xff\xfe\x00",
        b"\x80\x81",
        pytest.param(b"[" * 100_000, id="deep list"),
        pytest.param(b'{"a":' * 100_000, id="deep object"),
        pytest.param(b'{"issue": {"number": ' + b"9" * 5_000 + b"}}", id="long number"),
        b'{"action": "labeled", "issue": [], "repository": "x", "sender": 5, "installation": NaN}',
        b'{"action": 7, "issue": {}}',
        b'{"action": null}',
        "{}".encode("utf-16"),
    ],
)
async def test_no_body_stops_the_dispatcher(post: Post, body: bytes) -> None:
    strange = await post.deliver(body, action=None)
    sound = await post.deliver(labeled())
    assert await post.dispatcher.run_once() == 2
    assert await post.state(strange) is DeliveryState.IGNORED
    assert await post.state(sound) is DeliveryState.DISPATCHED


async def leave_a_trace(_: Intent, connection: AsyncConnection) -> None:
    """Write something that must not outlive a rollback."""
    await events.append(Scope("o1"), connection, "trace", now=ManualClock().now())


async def traces(database: Database) -> int:
    """How many of them stand."""
    async with database.read() as connection:
        return int(await connection.scalar(select(func.count()).select_from(tables.events)) or 0)


async def test_a_bug_in_a_change_leaves_nothing_behind_and_the_delivery_waits(post: Post) -> None:
    async def break_down(intent: Intent, connection: AsyncConnection) -> None:
        await leave_a_trace(intent, connection)
        raise KeyError("a bug")

    post.applier.on_write = break_down
    delivery_id = await post.deliver(labeled())

    await post.dispatcher.run_once()

    assert await post.state(delivery_id) is DeliveryState.RECEIVED
    assert await post.waits_seconds(delivery_id) == BACKOFF_SECONDS
    assert await traces(post.database) == 0


async def test_all_changes_of_a_delivery_are_written_or_none(post: Post) -> None:
    def route_twice(event: Event) -> list[Intent]:
        return router.route(event, own_app_id=None) * 2

    async def refuse_the_second(intent: Intent, connection: AsyncConnection) -> None:
        await leave_a_trace(intent, connection)
        if post.applier.written:
            raise RetryLater("not now")

    post.applier.on_write = refuse_the_second
    dispatcher = Dispatcher(post.database, route_twice, post.applier, post.clock, BACKOFF_SECONDS)
    delivery_id = await post.deliver(labeled())

    await dispatcher.run_once()

    assert (await post.state(delivery_id), await traces(post.database)) == (DeliveryState.RECEIVED, 0)
    assert (await post.row(delivery_id)).error == "not now"


async def test_a_change_finds_its_delivery_closed_already_and_writes_nothing(post: Post) -> None:
    async def another_closes_it(_: Intent) -> None:
        async with post.database.write() as connection:
            state = DeliveryState.DISPATCHED
            await deliveries.finish(Scope.system(), connection, delivery_id, state, now=post.clock.now())

    post.applier.on_decide = another_closes_it
    delivery_id = await post.deliver(labeled())
    await post.dispatcher.run_once()
    assert post.applier.written == []


async def test_two_dispatchers_apply_a_delivery_once(post: Post) -> None:
    both_have_decided = asyncio.Barrier(2)

    async def wait_for_the_other(_: Intent) -> None:
        await both_have_decided.wait()

    post.applier.on_decide = wait_for_the_other
    delivery_id = await post.deliver(labeled())

    # Neither keeps it from the other, as on SQLite, or where the first was slow.
    both = [replace(post.dispatcher, hold_seconds=0.0) for _ in range(2)]
    async with asyncio.timeout(30):
        await asyncio.gather(*(each.run_once() for each in both))

    assert (len(post.applier.decided), len(post.applier.written)) == (2, 1)
    assert await post.state(delivery_id) is DeliveryState.DISPATCHED


async def test_whoever_comes_second_to_a_unique_key_looks_again_at_once(post: Post) -> None:
    await make_tenant(post.database)

    async def come_second(_: Intent, connection: AsyncConnection) -> None:
        if (await post.row(delivery_id)).attempts == 0:
            await connection.execute(insert(tables.organizations).values(id="o1", name="a"))
            await connection.execute(insert(tables.organizations).values(id="o1", name="a"))

    post.applier.on_write = come_second
    delivery_id = await post.deliver(labeled())

    await post.dispatcher.run_once()
    row = await post.row(delivery_id)
    assert (row.state, row.attempts) == (DeliveryState.RECEIVED, 1)
    assert await post.waits_seconds(delivery_id) == 0.0
    assert row.error == "somebody else dispatched the same request"

    await post.dispatcher.run_once()
    assert await post.state(delivery_id) is DeliveryState.DISPATCHED


async def test_what_cannot_be_decided_now_waits_ever_longer(post: Post) -> None:
    async def not_now(_: Intent) -> None:
        raise RetryLater("GitHub is away")

    post.applier.on_decide = not_now
    delivery_id = await post.deliver(labeled())
    waits = []
    for _ in range(8):
        assert await post.dispatcher.run_once() == 1
        assert await post.dispatcher.run_once() == 0
        waits.append(await post.waits_seconds(delivery_id))
        post.clock.advance(waits[-1])
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0]
    assert waits[-1] == MAX_BACKOFF_SECONDS

    post.applier.on_decide = None
    await post.dispatcher.run_once()
    row = await post.row(delivery_id)
    assert (row.state, row.error, row.wake_at) == (DeliveryState.DISPATCHED, None, None)


@pytest.mark.parametrize("after_seconds", [0.0, 3.0, 900.0])
async def test_githubs_own_wait_counts_more_than_ours(post: Post, after_seconds: float) -> None:
    async def limited(_: Intent) -> None:
        raise RateLimited("a limit", after_seconds=after_seconds)

    post.applier.on_decide = limited
    delivery_id = await post.deliver(labeled())
    await post.dispatcher.run_once()
    assert await post.waits_seconds(delivery_id) == after_seconds


async def test_one_that_waits_holds_up_no_other(post: Post) -> None:
    async def not_the_first(intent: Intent) -> None:
        if isinstance(intent, StartJob) and intent.number == 1:
            raise RetryLater("not now")

    post.applier.on_decide = not_the_first
    first, second = await post.deliver(labeled(1)), await post.deliver(labeled(2))
    await post.dispatcher.run_once()
    assert await post.state(first) is DeliveryState.RECEIVED
    assert await post.state(second) is DeliveryState.DISPATCHED


@pytest.mark.parametrize("error", [Forbidden("not for us"), LeaseLost("an odd one")])
async def test_a_refusal_fails_the_delivery_and_the_next_is_dispatched(post: Post, error: Exception) -> None:
    async def refuse(intent: Intent) -> None:
        if isinstance(intent, StartJob) and intent.number == 1:
            raise error

    post.applier.on_decide = refuse
    first, second = await post.deliver(labeled(1)), await post.deliver(labeled(2))
    await post.dispatcher.run_once()
    row = await post.row(first)
    assert (row.state, row.error) == (DeliveryState.FAILED, str(error))
    assert await post.state(second) is DeliveryState.DISPATCHED


async def test_what_the_database_does_not_take_waits_and_the_next_is_dispatched(post: Post) -> None:
    async def write_what_no_table_holds(intent: Intent, connection: AsyncConnection) -> None:
        if isinstance(intent, StartJob) and intent.number == 1:
            await connection.execute(text("INSERT INTO nowhere (id) VALUES (1)"))

    post.applier.on_write = write_what_no_table_holds
    first, second = await post.deliver(labeled(1)), await post.deliver(labeled(2))
    await post.dispatcher.run_once()
    row = await post.row(first)
    assert (row.state, row.attempts) == (DeliveryState.RECEIVED, 1)
    assert row.error.startswith("the database did not take it (")
    assert await post.waits_seconds(first) == BACKOFF_SECONDS
    assert await post.state(second) is DeliveryState.DISPATCHED


async def test_a_bug_of_ours_in_one_delivery_holds_up_no_other(post: Post) -> None:
    async def break_at_the_first(intent: Intent) -> None:
        if isinstance(intent, StartJob) and intent.number == 1:
            raise KeyError("a field")

    post.applier.on_decide = break_at_the_first
    first, second = await post.deliver(labeled(1)), await post.deliver(labeled(2))
    await post.dispatcher.run_once()
    row = await post.row(first)
    assert (row.state, row.attempts, row.error) == (DeliveryState.RECEIVED, 1, "KeyError in our own code")
    assert await post.state(second) is DeliveryState.DISPATCHED


async def test_a_request_names_its_delivery(post: Post) -> None:
    delivery_id = await post.deliver(labeled())
    await post.dispatcher.run_once()
    (intent,) = post.applier.written
    assert isinstance(intent, StartJob) and intent.delivery_id == delivery_id

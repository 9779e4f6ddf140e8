"""The outbox writes to each installation for itself: none waits for another, and no bug ends the worker."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from sqlalchemy.exc import DataError, OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.database import Database
from bot.db.mail import CLAIM
from bot.db.operations import Operation
from bot.domain.enums import OperationKind, OperationState
from bot.publish import outbox as module
from bot.publish.operations import Publisher
from bot.publish.outbox import BATCH, LEFT_SECONDS, TURN_SECONDS, Outbox
from bot.standin.forge.faults import Hang
from tests.publish.conftest import REPOSITORY, Desk, make_tenant

both = pytest.mark.parametrize("database_url", ["sqlite", "postgres"], indirect=True)


@dataclass
class Mail:
    """Two installations (the second has its own `desk`), and the workers' outboxes."""

    first: Desk
    second: Desk
    outboxes: list[Outbox] = field(default_factory=list)
    ends: int = 0

    def outbox(self, **changes: Any) -> Outbox:
        """The outbox of one more worker."""
        desk = self.first
        made = Outbox(desk.database, desk.app, desk.publisher, desk.clock, 5.0)
        self.outboxes.append(replace(made, **changes))
        return self.outboxes[-1]

    def ended(self) -> None:
        """What a turn calls at its end."""
        self.ends += 1


@pytest.fixture
async def mail(desk: Desk) -> AsyncIterator[Mail]:
    repository_id = await desk.forge.create_repository("acme/calc", {})
    installation_id = await desk.forge.install("acme")
    tenant = await make_tenant(desk.database, desk.clock, installation_id, repository_id, "acme/calc")
    issue = await desk.forge.open_issue("acme/calc", "ann", "Sums")
    made = Mail(desk, replace(desk, tenant=tenant, issue=issue))
    yield made
    desk.forge.faults.clear()
    for outbox in made.outboxes:
        await outbox.close()


async def write(desk: Desk, *keys: str) -> None:
    """Freeze a reaction under each key."""
    payload = {"number": desk.issue, "comment_id": None, "content": "eyes"}
    for key in keys:
        await desk.freeze(OperationKind.REACTION, payload, key=key, sequence=-2)
        desk.clock.advance(0.01)


async def states(desk: Desk, *keys: str) -> list[OperationState]:
    return [(await desk.operation(key)).state for key in keys]


async def until_done(desk: Desk, key: str) -> None:
    for _ in range(10_000):
        if (await desk.operation(key)).state is OperationState.DONE:
            return
    pytest.fail(f"{key} was never written")


@asynccontextmanager
async def hanging(desk: Desk) -> AsyncIterator[None]:
    """GitHub takes the first installation's reactions and says nothing."""
    desk.forge.faults.add("POST", f"/repos/{REPOSITORY}/issues/.*/reactions$", Hang(), times=None)
    yield
    desk.forge.faults.clear()


@both
async def test_a_flood_of_one_installation_delays_no_other(mail: Mail) -> None:
    flood = [f"a{number}" for number in range(3 * BATCH)]
    await write(mail.first, *flood)
    await write(mail.second, "b")
    outbox = mail.outbox()
    assert await outbox.run_once() == BATCH + 1
    assert await states(mail.second, "b") == [OperationState.DONE]
    done = [state is OperationState.DONE for state in await states(mail.first, *flood)]
    assert done == [True] * BATCH + [False] * 2 * BATCH


async def test_what_comes_while_another_installation_hangs_is_written_meanwhile(mail: Mail) -> None:
    outbox = mail.outbox()
    await write(mail.first, "slow")
    async with hanging(mail.first):
        assert await outbox.fill(mail.ended) == 1
        await mail.first.forge.faults.until_hanging()
        await write(mail.second, "quick")
        assert await outbox.fill(mail.ended) == 1
        await until_done(mail.second, "quick")
        assert await states(mail.first, "slow") == [OperationState.SENT]
    assert mail.ends <= 1


async def test_an_installation_that_was_just_served_goes_after_the_others(
    mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MAX_AT_ONCE", 1)
    monkeypatch.setattr(module, "BATCH", 1)
    await write(mail.first, "a0", "a1")
    await write(mail.second, "b0")
    outbox, order = mail.outbox(), []
    for _ in range(3):
        assert await outbox.fill(mail.ended) == 1
        assert await outbox.fill(mail.ended) == 0
        await next(iter(outbox._at_work.values()))
        found = [await mail.first.operation(key) for key in ("a0", "a1")]
        found.append(await mail.second.operation("b0"))
        order.append([one.key for one in found if one.state is OperationState.DONE])
    assert order == [["a0"], ["a0", "b0"], ["a0", "a1", "b0"]]
    assert mail.ends == 3


@both
async def test_two_workers_do_not_work_on_the_same_installation(mail: Mail) -> None:
    await write(mail.first, "a0", "a1")
    one, other = mail.outbox(), mail.outbox()
    async with hanging(mail.first):
        assert await one.fill(mail.ended) == 1
        await mail.first.forge.faults.until_hanging()
        assert await other.fill(mail.ended) == 0
        await write(mail.second, "b")
        assert await other.fill(mail.ended) == 1
    await one.run_once()
    assert await states(mail.first, "a0", "a1") == [OperationState.DONE] * 2


async def test_a_worker_that_stops_gives_its_installations_back_at_once(mail: Mail) -> None:
    await write(mail.first, "a")
    one, other = mail.outbox(), mail.outbox()
    async with hanging(mail.first):
        await one.fill(mail.ended)
        await mail.first.forge.faults.until_hanging()
        await one.close()
        await one.close()
    assert await other.run_once() == 1
    assert await states(mail.first, "a") == [OperationState.DONE]


async def test_a_turn_ends_in_time_and_the_next_goes_on(mail: Mail) -> None:
    slow = replace(mail.first.publisher.pace, gap_seconds=TURN_SECONDS)
    outbox = mail.outbox(publisher=replace(mail.first.publisher, pace=slow))
    await write(mail.first, "a0", "a1", "a2")
    assert [await outbox.run_once() for _ in range(3)] == [2, 1, 0]


@dataclass(frozen=True, slots=True)
class Broken(Publisher):
    """Breaks at one write."""

    breaks: Callable[[], Exception] = KeyError

    async def perform(self, operation: Operation, *others: Any) -> Operation:
        if operation.key == "bad":
            raise self.breaks()
        return await super(Broken, self).perform(operation, *others)


def broken(desk: Desk, breaks: Callable[[], Exception]) -> Broken:
    of = desk.publisher
    return Broken(of.database, of.clock, of.hand, of.pace, of.look_window_seconds, breaks)


@pytest.mark.parametrize(
    ("breaks", "words"),
    [
        (lambda: KeyError("number"), "KeyError in our own code"),
        (lambda: DataError("UPDATE", {}, ValueError("x")), "the database did not take it (DataError)"),
    ],
)
async def test_a_bug_in_one_write_ends_nothing_and_is_kept_in_words(
    mail: Mail, breaks: Callable[[], Exception], words: str
) -> None:
    await write(mail.first, "bad", "good")
    outbox = mail.outbox(publisher=broken(mail.first, breaks))
    assert await outbox.run_once() == 2
    assert await states(mail.first, "bad", "good") == [OperationState.INTENT, OperationState.DONE]
    kept = await mail.first.operation("bad")
    assert (kept.error, kept.attempts) == (words, 1)
    assert await outbox.run_once() == 0
    await mail.first.change("bad", attempts=module.MAX_ATTEMPTS, wake_at=None)
    await outbox.run_once()
    assert (await mail.first.operation("bad")).state is OperationState.FAILED


async def test_a_bug_around_the_writes_is_no_endless_loop_either(
    mail: Mail, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def no_loans(*_: object) -> None:
        raise KeyError("a bug")

    await write(mail.first, "a")
    outbox = mail.outbox()
    with monkeypatch.context() as patch:
        patch.setattr(Outbox, "_loans", no_loans)
        assert await outbox.run_once() == 0
    assert mail.first.clock.slept == [LEFT_SECONDS]
    assert await outbox.run_once() == 1


class Away(Database):
    """A database that goes away once a turn has begun."""

    is_away = False

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        if self.is_away:
            raise OperationalError("UPDATE", {}, OSError("away"))
        async with super().write() as connection:
            yield connection
            self.is_away = True


async def test_a_database_that_goes_away_leaves_the_write_to_a_later_turn(
    mail: Mail, database_url: str
) -> None:
    away = Away(database_url)
    await write(mail.first, "a")
    changes = {"database": away, "publisher": replace(mail.first.publisher, database=away)}
    assert await mail.outbox(**changes).run_once() == 0
    assert mail.first.clock.slept[-1] == LEFT_SECONDS
    assert await states(mail.first, "a") == [OperationState.INTENT]
    await away.close()
    mail.first.clock.advance(CLAIM.total_seconds())
    assert await mail.outbox().run_once() == 1
    assert await states(mail.first, "a") == [OperationState.DONE]

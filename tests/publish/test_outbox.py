"""Acknowledgements and replies: sent by whoever is first, tried again, given up in words."""

import asyncio
from datetime import timedelta

import pytest
from sqlalchemy import select

from bot.db import tables, tenants
from bot.db.operations import Operation
from bot.domain.enums import OperationKind, OperationState
from bot.domain.values import Scope
from bot.publish.outbox import MAX_ATTEMPTS, MAX_BACKOFF_SECONDS, Outbox
from bot.standin.forge.faults import Drop, Reply
from tests.publish.conftest import Desk

BACKOFF_SECONDS = 5.0
both = pytest.mark.parametrize("database_url", ["sqlite", "postgres"], indirect=True)


@pytest.fixture
def outbox(desk: Desk) -> Outbox:
    return Outbox(desk.database, desk.app, desk.publisher, desk.clock, BACKOFF_SECONDS)


async def reaction(desk: Desk, key: str = "eyes", content: str = "eyes", sequence: int = -2) -> Operation:
    """A frozen acknowledgement."""
    payload = {"number": desk.issue, "comment_id": None, "content": content}
    return await desk.freeze(OperationKind.REACTION, payload, key=key, sequence=sequence)


async def waits_seconds(desk: Desk, key: str = "eyes") -> float:
    """For how long the row is left alone from now on."""
    table = tables.operations
    async with desk.database.read() as connection:
        wake_at = await connection.scalar(select(table.c.wake_at).where(table.c.key == key))
    return 0.0 if wake_at is None else (wake_at - desk.clock.now()).total_seconds()


@both
async def test_what_waits_is_sent_and_waits_no_longer(desk: Desk, outbox: Outbox) -> None:
    await reaction(desk)
    assert await outbox.run_once() == 1
    assert await outbox.run_once() == 0
    assert [one.content for one in desk.thread.reactions] == ["eyes"]
    assert (await desk.operation("eyes")).state is OperationState.DONE


async def test_what_belongs_to_a_run_is_left_to_it(desk: Desk, outbox: Outbox) -> None:
    await reaction(desk, sequence=0)
    assert await outbox.run_once() == 0
    assert not desk.thread.reactions


async def test_the_oldest_comes_first(desk: Desk, outbox: Outbox) -> None:
    for number, content in enumerate(("eyes", "rocket", "heart")):
        await reaction(desk, key=f"k{number}", content=content)
        desk.clock.advance(0.01)
    await outbox.run_once()
    assert [one.content for one in desk.thread.reactions] == ["eyes", "rocket", "heart"]


async def test_a_token_for_one_write_holds_its_permissions_alone(desk: Desk, outbox: Outbox) -> None:
    await reaction(desk)
    await outbox.run_once()
    (request,) = desk.asked("POST", "/reactions")
    assert request.permissions == {"issues": "write", "metadata": "read"}


async def test_an_answer_that_is_away_is_waited_for_ever_longer(desk: Desk, outbox: Outbox) -> None:
    await reaction(desk)
    desk.forge.faults.add("POST", "/access_tokens$", Reply(503), times=None)
    waits = []
    for _ in range(9):
        assert await outbox.run_once() == 1
        assert await outbox.run_once() == 0
        waits.append(await waits_seconds(desk))
        desk.clock.advance(waits[-1])
    assert waits == [5.0, 10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0, 300.0]
    assert waits[-1] == MAX_BACKOFF_SECONDS
    left = await desk.operation("eyes")
    assert (left.state, left.error is not None) == (OperationState.INTENT, True)

    desk.forge.faults.clear()
    await outbox.run_once()
    assert (await desk.operation("eyes")).state is OperationState.DONE
    assert (await desk.operation("eyes")).error is None


async def test_githubs_own_wait_counts_more_than_ours(desk: Desk, outbox: Outbox) -> None:
    await reaction(desk)
    desk.forge.faults.add("POST", "/reactions$", Reply(429, headers={"retry-after": "77"}))
    await outbox.run_once()
    assert await waits_seconds(desk) == 77.0


async def test_a_write_that_never_succeeds_is_given_up_in_words(desk: Desk, outbox: Outbox) -> None:
    await reaction(desk)
    await desk.change("eyes", attempts=MAX_ATTEMPTS)
    desk.forge.faults.add("POST", "/access_tokens$", Reply(503))

    await outbox.run_once()

    given_up = await desk.operation("eyes")
    assert given_up.state is OperationState.FAILED
    assert given_up.error is not None and "503" in given_up.error


def test_a_day_without_github_loses_no_reply() -> None:
    waits = [min(BACKOFF_SECONDS * 2.0**attempt, MAX_BACKOFF_SECONDS) for attempt in range(MAX_ATTEMPTS)]
    assert timedelta(seconds=sum(waits)) >= timedelta(hours=24)


async def test_a_refusal_is_the_end_and_the_next_one_is_sent_all_the_same(desk: Desk, outbox: Outbox) -> None:
    await reaction(desk, key="first")
    desk.clock.advance(0.01)
    await reaction(desk, key="second", content="rocket")
    desk.forge.faults.add("POST", "/reactions$", Reply(404))

    assert await outbox.run_once() == 2

    failed = await desk.operation("first")
    assert (failed.state, failed.error is not None) == (OperationState.FAILED, True)
    assert (await desk.operation("second")).state is OperationState.DONE
    assert await outbox.run_once() == 0


async def test_a_tenant_that_is_gone_is_told_nothing_and_asked_nothing(desk: Desk, outbox: Outbox) -> None:
    await reaction(desk)
    async with desk.database.write() as connection:
        await tenants.remove_installation(
            Scope.system(), connection, desk.tenant.installation_id, now=desk.clock.now()
        )
    asked = len(desk.forge.requests)

    await outbox.run_once()

    failed = await desk.operation("eyes")
    assert failed.error == "the installation no longer serves this repository"
    assert len(desk.forge.requests) == asked


async def test_an_installation_that_github_no_longer_knows_ends_the_write(desk: Desk, outbox: Outbox) -> None:
    await reaction(desk)
    await desk.forge.uninstall(desk.tenant.installation_id)
    await outbox.run_once()
    assert (await desk.operation("eyes")).state is OperationState.FAILED


@both
async def test_of_two_workers_one_sends_and_the_other_leaves_it(desk: Desk, outbox: Outbox) -> None:
    payload = {"number": desk.issue, "body": "Help"}
    await desk.freeze(OperationKind.COMMENT, payload, key="help", sequence=-1)

    await asyncio.gather(outbox.run_once(), outbox.run_once())

    assert len(desk.asked("POST", "/comments")) == len(desk.thread.comments) == 1
    assert (await desk.operation("help")).state is OperationState.DONE


async def test_a_reply_whose_answer_was_lost_stands_once(desk: Desk, outbox: Outbox) -> None:
    payload = {"number": desk.issue, "body": "Help"}
    await desk.freeze(OperationKind.COMMENT, payload, key="help", sequence=-1)
    desk.forge.faults.add("POST", "/comments$", Drop(is_after=True))
    await outbox.run_once()
    assert len(desk.thread.comments) == 1
    assert (await desk.operation("help")).state is OperationState.DONE

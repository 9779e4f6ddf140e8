"""How often, and for how long, a delivery is tried that cannot be dispatched now."""

import logging
import pickle
from copy import copy
from datetime import timedelta

import pytest
from sqlalchemy import event, update

from bot.db import delivery_log, tables
from bot.domain.enums import DeliveryState
from bot.domain.intents import Intent, StartJob
from bot.domain.values import Scope
from bot.errors import RetryLater, StillEnding
from bot.intake.dispatch import (
    LEFT_SECONDS,
    MAX_ATTEMPTS,
    MAX_BACKOFF_SECONDS,
    MAX_ENDING_SECONDS,
    MAX_WAITS_COUNTED,
    TRIED_FOR,
)
from tests.intake.test_dispatch import BACKOFF_SECONDS, Post, labeled, post  # noqa: F401 (a fixture)

MOST = 200
ODD = [
    RuntimeError("can't start new thread"),
    MemoryError(),
    pickle.PicklingError("a hook"),
    OSError("no more processes"),
    KeyError("a field"),
]


def refuse(post: Post, error: Exception | None, *, number: int = 7) -> None:  # noqa: F811
    """Whatever asks for a job in this thread meets such an *error* from now on, each time a new one."""

    async def decide(intent: Intent) -> None:
        if error is not None and isinstance(intent, StartJob) and intent.number == number:
            raise copy(error)

    post.applier.on_decide = decide


async def tries_until(post: Post, delivery_id: str, state: DeliveryState) -> int:  # noqa: F811
    """Let time pass from one try to the next; how many there were."""
    for tries in range(MOST):
        row = await post.row(delivery_id)
        if row.state is state:
            return tries
        if row.wake_at is not None:
            post.clock.advance(max((row.wake_at - post.clock.now()).total_seconds(), 0.0))
        await post.dispatcher.run_once()
    pytest.fail(f"not {state} after {MOST} tries")


async def has_been_tried(post: Post, delivery_id: str, attempts: int) -> None:  # noqa: F811
    """Let it have failed so often."""
    table = tables.deliveries
    async with post.database.write() as connection:
        await connection.execute(update(table).where(table.c.id == delivery_id).values(attempts=attempts))


async def replay(post: Post, delivery_id: str) -> None:  # noqa: F811
    """Put it back, as `deliveries replay` does."""
    async with post.database.write() as connection:
        assert await delivery_log.put_back(Scope.system(), connection, delivery_id)


async def test_what_github_cannot_say_is_asked_for_three_days_and_then_fails_with_its_payload(
    post: Post,  # noqa: F811
) -> None:
    refuse(post, RetryLater("GitHub is away", after_seconds=3_600.0))
    delivery_id = await post.deliver(labeled())
    began = post.clock.now()
    assert await tries_until(post, delivery_id, DeliveryState.FAILED) == TRIED_FOR / timedelta(hours=1) + 1
    assert post.clock.now() - began == TRIED_FOR
    row = await post.row(delivery_id)
    assert (row.error, row.attempts) == ("GitHub is away", MAX_WAITS_COUNTED)
    assert row.payload is not None


async def test_a_github_that_is_back_after_two_days_finds_the_delivery_waiting(post: Post) -> None:  # noqa: F811
    refuse(post, RetryLater("GitHub is away"))
    delivery_id = await post.deliver(labeled())
    for _ in range(3 * MAX_ATTEMPTS):
        await post.dispatcher.run_once()
        post.clock.advance(MAX_BACKOFF_SECONDS)
    post.clock.advance(timedelta(days=2).total_seconds())
    assert await post.state(delivery_id) is DeliveryState.RECEIVED
    refuse(post, None)
    await post.dispatcher.run_once()
    assert await post.state(delivery_id) is DeliveryState.DISPATCHED


async def test_a_fault_of_ours_after_days_without_github_has_tries_left(post: Post) -> None:  # noqa: F811
    refuse(post, RetryLater("GitHub is away", after_seconds=3_600.0))
    delivery_id = await post.deliver(labeled())
    for _ in range(MAX_ATTEMPTS + 5):
        await post.dispatcher.run_once()
        post.clock.advance(3_600.0)
    assert (await post.row(delivery_id)).attempts == MAX_WAITS_COUNTED < MAX_ATTEMPTS // 2
    refuse(post, KeyError("a field"))
    await post.dispatcher.run_once()
    row = await post.row(delivery_id)
    assert (row.state, row.attempts) == (DeliveryState.RECEIVED, MAX_WAITS_COUNTED + 1)


async def test_an_old_delivery_that_is_replayed_has_some_tries(post: Post) -> None:  # noqa: F811
    refuse(post, RetryLater("GitHub is away", after_seconds=3_600.0))
    delivery_id = await post.deliver(labeled())
    post.clock.advance(10 * TRIED_FOR.total_seconds())
    assert await tries_until(post, delivery_id, DeliveryState.FAILED) == MAX_WAITS_COUNTED
    await replay(post, delivery_id)
    assert await tries_until(post, delivery_id, DeliveryState.FAILED) == MAX_WAITS_COUNTED


@pytest.mark.parametrize("error", ODD, ids=lambda error: type(error).__name__)
async def test_whatever_goes_wrong_counts_is_put_off_and_holds_up_no_other(
    post: Post,  # noqa: F811
    error: Exception,
) -> None:
    """Of some of them nothing was written: the delivery was taken again at once, without end."""
    refuse(post, error, number=1)
    first, second = await post.deliver(labeled(1)), await post.deliver(labeled(2))
    await post.dispatcher.run_once()
    row = await post.row(first)
    assert (row.state, row.attempts) == (DeliveryState.RECEIVED, 1)
    assert type(error).__name__ in row.error
    assert await post.waits_seconds(first) == BACKOFF_SECONDS
    assert await post.state(second) is DeliveryState.DISPATCHED
    await has_been_tried(post, first, MAX_ATTEMPTS - 2)
    assert await tries_until(post, first, DeliveryState.FAILED) == 2


async def test_where_not_even_the_end_can_be_written_it_is_left_for_a_while(
    post: Post,  # noqa: F811
    caplog: pytest.LogCaptureFixture,
) -> None:
    refuse(post, RuntimeError("can't start new thread"))
    delivery_id = await post.deliver(labeled())

    def no_thread(*call: object) -> None:
        if "UPDATE" in str(call[2]) and "attempts" in str(call[2]):
            raise RuntimeError("can't start new thread")

    event.listen(post.database.engine.sync_engine, "before_cursor_execute", no_thread)
    with caplog.at_level(logging.WARNING):
        await post.dispatcher.run_once()
    assert post.clock.slept == [LEFT_SECONDS]
    row = await post.row(delivery_id)
    assert (row.state, row.attempts) == (DeliveryState.RECEIVED, 0)


async def test_what_waits_for_another_ones_end_keeps_its_place_and_counts_nothing(post: Post) -> None:  # noqa: F811
    refuse(post, StillEnding("job 1 has not ended", after_seconds=1.0))
    first, second = await post.deliver(labeled()), await post.deliver(labeled())
    slept = []
    for _ in range(100):
        await post.dispatcher.run_once()
        slept.append(await post.waits_seconds(first))
        post.clock.advance(slept[-1])
    assert slept[0] == 1.0 and slept == sorted(slept) and slept[-1] == MAX_ENDING_SECONDS
    assert [(await post.row(each)).attempts for each in (first, second)] == [0, 0]
    assert (await post.row(second)).wake_at is None
    assert post.applier.written == []

    refuse(post, None)
    await post.dispatcher.run_once()
    assert [await post.state(each) for each in (first, second)] == [DeliveryState.DISPATCHED] * 2


async def test_an_end_that_does_not_come_for_three_days_is_waited_for_no_longer(post: Post) -> None:  # noqa: F811
    refuse(post, StillEnding("job 1 has not ended", after_seconds=1.0))
    delivery_id = await post.deliver(labeled())
    began = post.clock.now()
    post.clock.advance(TRIED_FOR.total_seconds() - 600.0)
    await tries_until(post, delivery_id, DeliveryState.FAILED)
    assert timedelta(0) <= post.clock.now() - began - TRIED_FOR <= timedelta(minutes=10)
    assert (await post.row(delivery_id)).error == "job 1 has not ended"

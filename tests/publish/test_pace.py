"""The pace of writes under a clock that was ahead, and with more who write than have a turn."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import update

from bot.db.chores import CLOCK_SLACK
from bot.db.tables import installations
from bot.domain.enums import OperationKind, OperationState
from bot.errors import RetryLater
from bot.publish.operations import LOOK_EVERY_SECONDS
from bot.publish.outbox import Outbox
from bot.publish.pace import MAX_WAIT
from tests.publish.conftest import Desk

both = pytest.mark.parametrize("database_url", ["sqlite", "postgres"], indirect=True)
REACTION = OperationKind.REACTION
SECOND = timedelta(seconds=1)


async def reserve(desk: Desk, ahead: timedelta) -> None:
    """The installation's next turn is so far ahead of now."""
    async with desk.database.write() as connection:
        at = desk.clock.now() + ahead
        await connection.execute(update(installations).values(next_write_at=at))


async def comment(desk: Desk, key: str) -> None:
    payload = {"number": desk.issue, "body": key}
    await desk.freeze(OperationKind.COMMENT, payload, key=key, sequence=-1)


@both
async def test_a_turn_that_a_fast_clock_reserved_holds_nobody_up(desk: Desk) -> None:
    await reserve(desk, timedelta(hours=2))
    pace, began = desk.publisher.pace, desk.clock.now()
    await pace.wait(desk.tenant.installation_id, REACTION)
    # Whoever sleeps for a turn of the old clock has written by then.
    assert desk.clock.now() - began == MAX_WAIT + SECOND
    await pace.wait(desk.tenant.installation_id, REACTION)
    assert desk.clock.now() - began == MAX_WAIT + 2 * SECOND


async def test_beside_the_one_who_mends_a_turn_the_others_come_back_later(desk: Desk) -> None:
    await reserve(desk, MAX_WAIT + 2 * SECOND)
    with pytest.raises(RetryLater, match="wait for their turn") as caught:
        await desk.publisher.pace.wait(desk.tenant.installation_id, REACTION)
    assert (caught.value.after_seconds, caught.value.is_away) == (62.0, True)
    assert desk.clock.slept == []


async def test_the_longest_wait_that_others_can_have_reserved_is_no_fault_of_a_clock(desk: Desk) -> None:
    await reserve(desk, MAX_WAIT + 2 * SECOND + CLOCK_SLACK)
    with pytest.raises(RetryLater):
        await desk.publisher.pace.wait(desk.tenant.installation_id, REACTION)
    await reserve(desk, MAX_WAIT)
    await desk.publisher.pace.wait(desk.tenant.installation_id, REACTION)
    assert desk.clock.slept == [MAX_WAIT.total_seconds()]


@both
async def test_after_a_clock_was_set_back_by_an_hour_each_write_is_made_once_a_second_apart(
    desk: Desk,
) -> None:
    outbox = Outbox(desk.database, desk.app, desk.publisher, desk.clock, 5.0)
    for number in range(6):
        await comment(desk, f"k{number}")
    desk.clock.advance(3_600)
    await desk.perform(await desk.operation("k0"))
    desk.clock.advance(-3_600)
    began = desk.clock.now()
    while await outbox.run_once():
        pass
    assert sorted(one.body.split("\n")[0] for one in desk.thread.comments) == [f"k{n}" for n in range(6)]
    times = sorted(one.at for one in desk.asked("POST", "/comments"))[:5]
    assert min(second - first for first, second in pairwise(times)) >= 1.0
    assert desk.clock.now() - began < 3 * MAX_WAIT


async def test_the_look_for_a_write_of_the_future_lasts_no_longer_than_its_window(desk: Desk) -> None:
    await comment(desk, "k")
    ahead = desk.clock.now() + timedelta(hours=1)
    sent = await desk.change("k", state=OperationState.SENT, attempts=1, sent_at=ahead)
    began = desk.clock.now()
    done = await desk.perform(sent)
    assert done.state is OperationState.DONE
    window = timedelta(seconds=desk.publisher.look_window_seconds + LOOK_EVERY_SECONDS)
    assert desk.clock.now() - began <= window
    assert len(desk.thread.comments) == 1


async def test_the_hours_content_is_waited_for_no_longer_than_an_hour(desk: Desk) -> None:
    narrow = replace(desk.publisher.pace, content_per_hour=1)
    await comment(desk, "k")
    await desk.change("k", sent_at=desk.clock.now() + timedelta(hours=3))
    with pytest.raises(RetryLater, match="within the hour") as caught:
        await narrow.wait(desk.tenant.installation_id, OperationKind.COMMENT)
    assert caught.value.after_seconds == 3_600.0

"""Performing a frozen write: the right to send it, the pace, the outcome, on both databases."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest
from sqlalchemy import update

from bot.db import tables, tenants
from bot.db.operations import Operation
from bot.domain.enums import OperationKind, OperationState
from bot.domain.values import Scope
from bot.errors import LeaseLost, NotFound, OutcomeUnknown, Permanent, RateLimited, RetryLater
from bot.github.transport import REQUEST_TIMEOUT_SECONDS
from bot.publish.operations import MAX_TRIES
from bot.publish.pace import MAX_SLOT_TRIES
from bot.standin.forge.faults import Drop, Reply
from tests.publish.conftest import Desk, RecordingLease, make_tenant

both = pytest.mark.parametrize("database_url", ["sqlite", "postgres"], indirect=True)


async def comment(desk: Desk, key: str = "comment", body: str = "Result") -> Operation:
    """A frozen comment."""
    return await desk.freeze(OperationKind.COMMENT, {"number": desk.issue, "body": body}, key=key)


@both
async def test_a_fence_above_ours_means_that_nothing_is_sent(desk: Desk) -> None:
    operation = await comment(desk)
    await desk.change("comment", fence=5)

    with pytest.raises(LeaseLost):
        await desk.publisher.perform(operation, desk.api, RecordingLease(fence=4))

    assert not desk.asked("POST", "/comments")
    assert (await desk.operation("comment")).state is OperationState.INTENT


@both
async def test_our_fence_is_written_with_the_intent_to_send(desk: Desk) -> None:
    done = await desk.publisher.perform(await comment(desk), desk.api, RecordingLease(fence=7))
    assert (done.fence, done.attempts, done.sent_at) == (7, 1, done.sent_at)


@both
async def test_of_two_workers_with_the_same_right_one_sends(desk: Desk) -> None:
    both_have_looked = asyncio.Barrier(2)

    class SharedLease(RecordingLease):
        async def hold(self, seconds: float) -> None:
            await both_have_looked.wait()

    operation = await comment(desk)
    sending = [desk.publisher.perform(operation, desk.api, SharedLease()) for _ in range(2)]

    ends = await asyncio.gather(*sending, return_exceptions=True)

    assert [type(end) for end in ends if isinstance(end, Exception)] == [LeaseLost]
    assert len(desk.asked("POST", "/comments")) == len(desk.thread.comments) == 1


async def test_a_lease_that_is_lost_before_the_request_sends_nothing(desk: Desk) -> None:
    class LostLease(RecordingLease):
        async def hold(self, seconds: float) -> None:
            raise LeaseLost("taken")

    with pytest.raises(LeaseLost):
        await desk.publisher.perform(await comment(desk), desk.api, LostLease())

    assert not desk.asked("POST", "/comments")


async def test_the_lease_is_held_for_longer_than_a_request_may_take(desk: Desk) -> None:
    lease = RecordingLease()
    await desk.publisher.perform(await comment(desk), desk.api, lease)
    (held,) = lease.held_seconds
    assert held > REQUEST_TIMEOUT_SECONDS


async def test_the_lease_is_held_while_somebody_looks(desk: Desk) -> None:
    operation = await comment(desk)
    operation = await desk.change(
        operation.key, state=OperationState.SENT, attempts=1, sent_at=desk.clock.now()
    )
    lease = RecordingLease()

    await desk.publisher.perform(operation, desk.api, lease)

    looks = lease.held_seconds[:-1]
    assert sum(looks) == 60.0
    assert max(looks) <= 2.0


async def test_a_row_without_a_time_of_sending_is_looked_for_as_if_it_was_sent_now(desk: Desk) -> None:
    await comment(desk)
    operation = await desk.change("comment", state=OperationState.SENT, attempts=1, sent_at=None)
    before = desk.clock.monotonic()
    # Each look begins the window anew, so a row like this is not repeated by itself.
    await desk.land(operation)
    done = await desk.perform(operation)
    assert (done.state, desk.clock.monotonic()) == (OperationState.DONE, before)


async def test_an_outcome_that_stays_unknown_is_left_for_later(desk: Desk) -> None:
    operation = await comment(desk)
    desk.forge.faults.add("POST", "/comments$", Drop(), times=None)

    with pytest.raises(RetryLater, match="no clear answer to a comment") as caught:
        await desk.perform(operation)

    assert not isinstance(caught.value, OutcomeUnknown)
    left = await desk.operation("comment")
    assert (left.state, left.attempts) == (OperationState.SENT, MAX_TRIES)


async def test_a_limit_leaves_the_write_open_and_says_when(desk: Desk) -> None:
    operation = await comment(desk)
    desk.forge.faults.add("POST", "/comments$", Reply(429, headers={"retry-after": "40"}))

    with pytest.raises(RateLimited) as caught:
        await desk.perform(operation)

    assert caught.value.after_seconds == 40.0
    left = await desk.operation("comment")
    assert (left.state, left.error) == (OperationState.SENT, None)
    desk.clock.advance(40.0)
    assert (await desk.perform(left)).state is OperationState.DONE
    assert len(desk.thread.comments) == 1


async def test_a_thread_that_is_gone_ends_the_write_before_anything_is_sent(desk: Desk) -> None:
    operation = await comment(desk)
    desk.thread.is_deleted = True

    with pytest.raises(NotFound):
        await desk.perform(operation)

    assert (await desk.operation("comment")).state is OperationState.FAILED
    assert not desk.asked("POST", "/comments")


async def test_a_look_that_github_cannot_answer_leaves_the_intent(desk: Desk) -> None:
    operation = await comment(desk)
    desk.forge.faults.add("GET", "/comments$", Reply(503))

    with pytest.raises(RetryLater):
        await desk.perform(operation)

    assert await desk.operation("comment") == operation


@pytest.mark.parametrize("state", [None, OperationState.INTENT, OperationState.FAILED])
async def test_a_write_that_refers_to_nothing_fails_in_words(
    desk: Desk, state: OperationState | None
) -> None:
    if state is not None:
        await comment(desk)
        await desk.change("comment", state=state)
    edit = await desk.freeze(OperationKind.COMMENT_EDIT, {"comment_key": "comment", "body": "b"}, key="edit")

    with pytest.raises(Permanent, match="refers to something that was not published"):
        await desk.perform(edit)

    failed = await desk.operation("edit")
    assert failed.state is OperationState.FAILED
    assert failed.error == "a comment_edit refers to something that was not published"


@both
async def test_writers_of_one_installation_take_turns_at_the_pace(desk: Desk) -> None:
    waiting = [await comment(desk, key=f"k{number}", body=f"b{number}") for number in range(4)]
    began = desk.clock.now()

    await asyncio.gather(*(desk.perform(operation) for operation in waiting))

    async with desk.database.read() as connection:
        free_at = await tenants.next_write_at(Scope.system(), connection, desk.tenant.installation_id)
    assert free_at is not None
    assert free_at - began >= timedelta(seconds=4)
    assert len(desk.thread.comments) == 4


async def test_writes_one_after_the_other_are_a_second_apart(desk: Desk) -> None:
    for number in range(3):
        await desk.perform(await comment(desk, key=f"k{number}", body=f"b{number}"))
    times = [one.at for one in desk.asked("POST", "/comments")]
    assert [second - first >= 1.0 for first, second in pairwise(times)] == [True, True]


async def test_another_installation_does_not_wait(desk: Desk) -> None:
    other_repository = await desk.forge.create_repository("acme/calc", {})
    other_installation = await desk.forge.install("acme")
    other_issue = await desk.forge.open_issue("acme/calc", "ann", "Sums")
    tenant = await make_tenant(desk.database, desk.clock, other_installation, other_repository, "acme/calc")
    await desk.perform(await comment(desk, key="k1"))
    before = desk.clock.monotonic()

    payload = {"number": other_issue, "body": "b"}
    async with desk.app.lend(other_installation, other_repository, {"issues": "write"}) as loan:
        other = replace(desk, tenant=tenant, api=desk.app.repository("acme/calc", loan))
        await other.perform(await other.freeze(OperationKind.COMMENT, payload, key="k2"))

    assert desk.clock.monotonic() == before


async def test_a_slot_far_ahead_is_waited_for(desk: Desk) -> None:
    table = tables.installations
    free_at = desk.clock.now() + timedelta(seconds=42)
    async with desk.database.write() as connection:
        await connection.execute(update(table).values(next_write_at=free_at))

    await desk.perform(await comment(desk))

    assert desk.clock.now() >= free_at


async def test_a_slot_that_cannot_be_had_is_asked_for_a_bounded_number_of_times(desk: Desk) -> None:
    operation = replace(await comment(desk), installation_id=404_404)
    with pytest.raises(RetryLater, match=f"{MAX_SLOT_TRIES} tries"):
        await desk.perform(operation)
    assert not desk.asked("POST", "/comments")


async def test_what_is_done_or_failed_is_given_back_as_it_is(desk: Desk) -> None:
    await comment(desk)
    for state in (OperationState.DONE, OperationState.FAILED):
        operation = await desk.change("comment", state=state)
        assert await desk.perform(operation) == operation
    assert not desk.asked("GET", "/comments")


async def test_a_row_that_vanished_is_judged_by_what_was_known_of_it(desk: Desk) -> None:
    operation = await comment(desk)
    async with desk.database.write() as connection:
        await connection.execute(tables.operations.delete())
    with pytest.raises(LeaseLost):
        await desk.perform(operation)

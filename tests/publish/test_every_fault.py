"""Every kind of write under every fault, landed or not: exactly one effect, whatever GitHub answers.

216 faults and 105 delays, each with its own thread, branch and pull request: that takes its time.
"""

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace

import pytest

from bot.db.operations import Operation
from bot.domain.enums import OperationKind, OperationState
from bot.domain.values import Json
from bot.publish.recheck import Recheck
from bot.standin.forge.faults import JSON, Action, Delay, Drop, Hang, Reply
from bot.standin.forge.plumbing import Bare
from tests.publish.conftest import REPOSITORY, Desk
from tests.publish.kinds import KINDS, branch_payload, payload_of

HTML = {"Content-Type": "text/html"}
UNICORN = "<html><title>Unicorn!</title></html>"
DELAYS = [1.5 * step for step in range(21)]
TIMEOUT_SECONDS = 0.5

Count = Callable[[], Awaitable[int]]


def faults(*, is_after: bool) -> Iterator[tuple[str, Action]]:
    """Everything that leaves us without a clear answer, before or after the write was done."""
    for status in (500, 502, 503, 504):
        yield str(status), Reply(status, is_after=is_after)
    yield "502 html", Reply(502, UNICORN, HTML, is_after=is_after)
    yield "200 html", Reply(200, UNICORN, HTML, is_after=is_after)
    yield "200 html that says it is JSON", Reply(200, UNICORN, JSON, is_after=is_after)
    yield "truncated", Reply(200, '{"id": 5, "html_url": "http', JSON, is_after=is_after)
    yield "empty", Reply(200, "", JSON, is_after=is_after)
    yield "another shape", Reply(200, "[]", JSON, is_after=is_after)
    yield "cut", Drop(is_after=is_after)
    yield "timeout", Hang(is_after=is_after)


class Case:
    """A fresh place for one write of a kind: what is frozen there, and how often its effect stands."""

    def __init__(self, desk: Desk, kind: OperationKind, number: int) -> None:
        self.desk, self.kind, self.name = desk, kind, f"{kind.value}-{number}"
        self.branch = f"issuewright/{number}-0badcafe"

    async def prepare(self) -> Operation:
        """Freeze the write, with everything that it refers to published before."""
        issue = await self.desk.forge.open_issue(REPOSITORY, "maria", self.name)
        self.desk = replace(self.desk, issue=issue)
        payload = payload_of(self.desk, self.kind)
        if self.kind is OperationKind.COMMENT_EDIT:
            await self._done(OperationKind.COMMENT, {"number": issue, "body": "Result of the work"})
            payload["comment_key"] = f"{self.name}-comment"
        if self.kind is OperationKind.BRANCH:
            payload = branch_payload(self.desk, branch=self.branch)
        if self.kind in {OperationKind.PULL_REQUEST, OperationKind.ASSIGN, OperationKind.REVIEW}:
            await self._done(OperationKind.BRANCH, branch_payload(self.desk, branch=self.branch))
        if self.kind is OperationKind.PULL_REQUEST:
            payload["head"] = self.branch
        if self.kind in {OperationKind.ASSIGN, OperationKind.REVIEW}:
            pull = payload_of(self.desk, OperationKind.PULL_REQUEST) | {"head": self.branch}
            made = await self._done(OperationKind.PULL_REQUEST, pull)
            where: Json = {"pull_key": made.key, "number": made.remote_id}
            payload |= {name: where[name] for name in where if name in payload}
        if self.kind is OperationKind.CHECK_RUN:
            payload["name"] = self.name
        return await self.desk.freeze(self.kind, payload, key=self.name)

    async def _done(self, kind: OperationKind, payload: Json) -> Operation:
        frozen = await self.desk.freeze(kind, payload, key=f"{self.name}-{kind.value}")
        return await self.desk.perform(frozen)

    async def count(self) -> int:
        """How often the effect stands on the forge."""
        found = self.desk.forge.world.repository(REPOSITORY)
        pulls = [one for one in self.desk.pulls if one.pull and one.pull.head == self.branch]
        counts: dict[OperationKind, int] = {
            OperationKind.BRANCH: int(self.branch in await Bare(found.path).branches()),
            OperationKind.PULL_REQUEST: len(pulls),
            OperationKind.ASSIGN: sum(len(one.assignees) for one in pulls),
            OperationKind.REVIEW: sum(len(one.pull.reviews) for one in pulls if one.pull),
            OperationKind.CHECK_RUN: sum(run.name == self.name for run in found.check_runs),
        }
        return counts[self.kind] if self.kind in counts else KINDS[self.kind].count(self.desk)


@pytest.mark.parametrize("is_after", [False, True], ids=["lost", "landed"])
@pytest.mark.parametrize("kind", list(OperationKind))
async def test_an_answer_that_is_none_leaves_exactly_one_effect(
    desk: Desk, kind: OperationKind, is_after: bool
) -> None:
    seen = {}
    transport = desk.api._transport
    patient_seconds = transport._timeout_seconds
    for number, (name, action) in enumerate(faults(is_after=is_after)):
        case = Case(desk, kind, number)
        operation = await case.prepare()
        desk.forge.faults.add(*KINDS[kind].request, action)
        # Only who is left without an answer is in a hurry.
        transport._timeout_seconds = TIMEOUT_SECONDS if isinstance(action, Hang) else patient_seconds
        done = await desk.perform(operation)
        transport._timeout_seconds = patient_seconds
        desk.forge.faults.clear()
        seen[name] = (done.state, await case.count())
    assert seen == dict.fromkeys(seen, (OperationState.DONE, 1))
    assert len(seen) == 12


@pytest.mark.parametrize("kind", [kind.kind for kind in KINDS.values() if kind.is_looked_for])
async def test_what_is_seen_late_is_waited_for_and_stands_once(desk: Desk, kind: OperationKind) -> None:
    for number, seconds in enumerate(DELAYS):
        case = Case(desk, kind, number)
        operation = await case.prepare()
        desk.forge.faults.add(*KINDS[kind].request, Delay(seconds))
        await desk.land(operation)
        operation = await desk.change(
            operation.key, state=OperationState.SENT, attempts=1, sent_at=desk.clock.now()
        )
        done = await desk.perform(operation)
        assert (done.state, done.attempts, await case.count()) == (OperationState.DONE, 1, 1), seconds


@pytest.mark.parametrize("kind", [OperationKind.BRANCH, OperationKind.PULL_REQUEST])
async def test_what_github_says_is_there_and_does_not_show_yet_is_waited_for(
    desk: Desk, kind: OperationKind
) -> None:
    case = Case(desk, kind, 1)
    operation = await case.prepare()
    desk.forge.faults.add(*KINDS[kind].request, Delay(90.0))
    await desk.land(operation)
    operation = await desk.change(
        operation.key, state=OperationState.SENT, attempts=1, sent_at=desk.clock.now()
    )
    done = await desk.perform(operation)
    assert (done.state, await case.count()) == (OperationState.DONE, 1)


async def test_a_comment_that_lands_after_the_window_is_removed_when_it_is_looked_for_again(
    desk: Desk,
) -> None:
    case = Case(desk, OperationKind.COMMENT, 1)
    operation = await case.prepare()
    desk.forge.faults.add("POST", "/comments$", Delay(90.0))
    late = await desk.land(operation)
    await desk.change(operation.key, state=OperationState.SENT, attempts=1, sent_at=desk.clock.now())

    done = await desk.perform(await desk.operation(operation.key))
    assert (done.attempts, done.remote_id == late.id, await case.count()) == (2, False, 2)

    recheck = Recheck(desk.database, desk.app, desk.publisher, desk.clock)
    assert await recheck.run_once() == 0
    desk.clock.advance(600.0)
    assert await recheck.run_once() == 1
    assert await recheck.run_once() == 0
    thread = desk.forge.world.repository(REPOSITORY).threads[case.desk.issue]
    assert [comment.id for comment in thread.comments] == [done.remote_id]


async def test_what_was_sent_once_is_not_looked_for_again(desk: Desk) -> None:
    for kind in OperationKind:
        await desk.perform(await Case(desk, kind, 1).prepare())
    asked = len(desk.forge.requests)
    desk.clock.advance(600.0)
    assert await Recheck(desk.database, desk.app, desk.publisher, desk.clock).run_once() == 0
    assert len(desk.forge.requests) == asked


async def test_a_second_look_that_github_refuses_now_is_made_later(desk: Desk) -> None:
    operation = await Case(desk, OperationKind.COMMENT, 1).prepare()
    desk.forge.faults.add("POST", "/comments$", Drop())
    await desk.perform(operation)
    desk.clock.advance(600.0)
    recheck = Recheck(desk.database, desk.app, desk.publisher, desk.clock)

    desk.forge.faults.add("GET", "/comments$", Reply(503))
    await recheck.run_once()
    asked = len(desk.asked("GET", "/comments"))
    await recheck.run_once()
    assert len(desk.asked("GET", "/comments")) == asked

    desk.clock.advance(600.0)
    await recheck.run_once()
    assert len(desk.asked("GET", "/comments")) == asked + 1

"""All kinds of writes: how each is frozen for a test, and what is to be seen of it on the forge."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from bot.db.operations import Operation
from bot.domain.enums import OperationKind
from bot.domain.values import Json
from bot.publish.writes import referred_keys
from tests.publish.conftest import BRANCH, JOB_ID, REPOSITORY, Desk

MESSAGE = f"Let the dog bark\n\nIssuewright-Job: {JOB_ID}\n"
WINDOW_SECONDS = 60.0


@dataclass(frozen=True)
class Kind:
    """One kind of write: its request, how often its effect stands on the forge, whether we look first."""

    kind: OperationKind
    method: str
    ending: str
    count: Callable[[Desk], int]
    is_looked_for: bool

    @property
    def request(self) -> tuple[str, str]:
        """Method and pattern, for a fault."""
        return self.method, f"{self.ending}$"


def _refs(desk: Desk) -> int:
    made = [one for one in desk.asked("POST", "/git/refs") if one.status == 201 or one.fault]
    return min(1, len(made))


KINDS = {
    found.kind: found
    for found in (
        Kind(
            OperationKind.REACTION,
            "POST",
            "/reactions",
            lambda desk: len(desk.thread.reactions),
            is_looked_for=False,
        ),
        Kind(
            OperationKind.COMMENT,
            "POST",
            "/comments",
            lambda desk: sum("Result of" in comment.body for comment in desk.thread.comments),
            is_looked_for=True,
        ),
        Kind(
            OperationKind.COMMENT_EDIT,
            "PATCH",
            "",
            lambda desk: sum("Changed text" in comment.body for comment in desk.thread.comments),
            is_looked_for=False,
        ),
        Kind(OperationKind.BRANCH, "POST", "/git/refs", _refs, is_looked_for=True),
        Kind(OperationKind.PULL_REQUEST, "POST", "/pulls", lambda desk: len(desk.pulls), is_looked_for=True),
        Kind(
            OperationKind.ASSIGN,
            "POST",
            "/assignees",
            lambda desk: sum(len(pull.assignees) for pull in desk.pulls),
            is_looked_for=False,
        ),
        Kind(
            OperationKind.LABELS,
            "POST",
            "/labels",
            lambda desk: sum(label.name == "agent:done" for label in desk.thread.labels),
            is_looked_for=False,
        ),
        Kind(
            OperationKind.REVIEW,
            "POST",
            "/reviews",
            lambda desk: sum(len(one.pull.reviews) for one in desk.pulls if one.pull),
            is_looked_for=True,
        ),
        Kind(
            OperationKind.CHECK_RUN,
            "POST",
            "/check-runs",
            lambda desk: len(desk.forge.world.repository(REPOSITORY).check_runs),
            is_looked_for=True,
        ),
    )
}
each_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.kind.value)
each_looked_for = pytest.mark.parametrize(
    "kind", [kind for kind in KINDS.values() if kind.is_looked_for], ids=lambda kind: kind.kind.value
)


def payload_of(desk: Desk, kind: OperationKind) -> Json:
    """What is frozen for a write of this kind."""
    payloads: dict[OperationKind, Json] = {
        OperationKind.REACTION: {"number": desk.issue, "comment_id": None, "content": "eyes"},
        OperationKind.COMMENT: {"number": desk.issue, "body": "Result of the work"},
        OperationKind.COMMENT_EDIT: {"comment_key": "comment", "body": "Changed text"},
        OperationKind.BRANCH: branch_payload(desk),
        OperationKind.PULL_REQUEST: {
            "head": BRANCH,
            "base": "main",
            "title": "Let the dog bark",
            "body": "It barks.",
        },
        OperationKind.ASSIGN: {"pull_key": "pull_request", "logins": ["maria", "nobody-here"]},
        OperationKind.LABELS: {"number": desk.issue, "add": ["agent:done"], "remove": ["agent"]},
        OperationKind.REVIEW: {
            "number": max((pull.number for pull in desk.pulls), default=0),
            "body": "Three things",
            "commit_sha": desk.base_sha,
            "comments": [
                {"path": "dog.py", "line": 2, "body": "Why?", "side": "RIGHT", "start_line": None},
                {"path": "dog.py", "line": 2, "body": "How?", "side": "RIGHT", "start_line": 1},
            ],
        },
        OperationKind.CHECK_RUN: {
            "name": "issuewright",
            "sha": desk.base_sha,
            "conclusion": None,
            "title": "At work",
            "summary": "Reading",
        },
    }
    return payloads[kind]


def branch_payload(desk: Desk, **changes: object) -> Json:
    """A branch that changes one file, makes one that can be run, and deletes one."""
    files = [
        {"path": "dog.py", "content": "def speak():\n    return 'woof'\n", "is_executable": False},
        {"path": "run.sh", "content": "#!/bin/sh\n", "is_executable": True},
        {"path": "old.py", "content": None, "is_executable": False},
    ]
    whole: Json = {
        "branch": BRANCH,
        "base_sha": desk.base_sha,
        "message": MESSAGE,
        "files": files,
        "job_id": JOB_ID,
    }
    return whole | changes


NEEDED = {
    OperationKind.COMMENT_EDIT: [OperationKind.COMMENT],
    OperationKind.PULL_REQUEST: [OperationKind.BRANCH],
    OperationKind.ASSIGN: [OperationKind.BRANCH, OperationKind.PULL_REQUEST],
    OperationKind.REVIEW: [OperationKind.BRANCH, OperationKind.PULL_REQUEST],
}


async def frozen(desk: Desk, kind: OperationKind) -> Operation:
    """A frozen write of this kind, with everything that it refers to published before."""
    for needed in NEEDED.get(kind, []):
        await desk.perform(await desk.freeze(needed, payload_of(desk, needed)))
    return await desk.freeze(kind, payload_of(desk, kind))


async def remote_ids(desk: Desk, operation: Operation) -> dict[str, int]:
    """The numbers that GitHub gave to what the write refers to."""
    found = {key: (await desk.operation(key)).remote_id for key in referred_keys(operation.payload)}
    return {key: number for key, number in found.items() if number is not None}


def sent(desk: Desk, kind: Kind) -> int:
    """How often the write's own request went out."""
    if kind.kind is OperationKind.COMMENT_EDIT:
        return sum(one.method == "PATCH" for one in desk.forge.requests)
    return len(desk.asked(kind.method, kind.ending))

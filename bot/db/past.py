"""What a job's earlier attempts, and the jobs that it continues, have recorded: read to go on from it."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import within
from bot.db.tables import agent_jobs, job_origins, job_steps
from bot.domain.enums import StepKind
from bot.domain.past import ChangedFile, Past, PastStep, Restore, Segment
from bot.domain.values import ClaimedJob, FileChange, Json, Scope

MAX_CHAIN = 20
"""How many jobs a conversation may go back; what was before is left out."""
MAX_CHECKPOINT_CHARS = 4_000_000
"""For all changed files together; a pull request has at most a few hundred lines."""
_KINDS: Final = (StepKind.PROMPT, StepKind.TURN, StepKind.TOOLS)
_JSON: Final = "json"


def packed(content: Json) -> Json:
    """*content* as it is stored: as one text, for JSONB keeps neither the order of keys nor NUL.

    What is sent to the model must be the same bytes when another worker goes on.
    """
    return {_JSON: orjson.dumps(content).decode()}


def unpacked(stored: Json) -> Json | None:
    """The content again; None for a row of an older version, from which nothing can go on."""
    text = stored.get(_JSON)
    return orjson.loads(text) if isinstance(text, str) else None


def checkpoint(base_sha: str, changes: Sequence[FileChange]) -> Json:
    """Everything that makes the tree of now from the commit: each changed file whole, or that it is gone.

    A change of more than MAX_CHECKPOINT_CHARS is not kept: `files` is null then, and a job that dies behind
    it starts anew.
    """
    if sum(len(change.content or "") for change in changes) > MAX_CHECKPOINT_CHARS:
        return {"baseSha": base_sha, "files": None}
    files = [
        {"path": change.path, "content": change.content, "isExecutable": change.is_executable}
        for change in changes
    ]
    return {"baseSha": base_sha, "files": files}


async def past_of(scope: Scope, connection: AsyncConnection, job: ClaimedJob) -> Past:
    """All that *job* can go on from; `Past()` where nothing is recorded, or its tree cannot be built again.

    Of two rows for one step that of the highest fence counts; what an older one recorded behind it does not.
    """
    own, restore = _segment(await _rows(scope, connection, job.id))
    earlier: list[Segment] = []
    before_id, length = job.origin.continues_id, 0
    while before_id is not None and length < MAX_CHAIN:
        segment, tree = _segment(await _rows(scope, connection, before_id))
        if segment is not None:
            earlier.insert(0, segment)
            restore = restore or tree
        before_id, length = await _continued(scope, connection, before_id), length + 1
    if restore is not None and restore.files is None:
        return Past()
    return Past(tuple(earlier), own, restore)


async def checkpoint_of(scope: Scope, connection: AsyncConnection, job_id: str) -> Restore | None:
    """The tree as a job's last recorded step left it; None where no step is recorded."""
    return _segment(await _rows(scope, connection, job_id))[1]


async def _continued(scope: Scope, connection: AsyncConnection, job_id: str) -> str | None:
    """The job that a job in scope goes on from."""
    statement = (
        select(job_origins.c.continues_id)
        .join(agent_jobs, agent_jobs.c.id == job_origins.c.job_id)
        .where(job_origins.c.job_id == job_id, within(scope, agent_jobs))
    )
    found: str | None = await connection.scalar(statement)
    return found


async def _rows(scope: Scope, connection: AsyncConnection, job_id: str) -> list[Row[Any]]:
    """A job's rows: by fence, then in the order of the conversation."""
    statement = (
        select(job_steps)
        .join(agent_jobs, agent_jobs.c.id == job_steps.c.job_id)
        .where(job_steps.c.job_id == job_id, within(scope, agent_jobs))
    )
    rows = (await connection.execute(statement)).all()
    return sorted(rows, key=lambda row: (row.fence, *_place(row)))


def _place(row: Row[Any]) -> tuple[int, int]:
    """Where a row stands in the conversation."""
    return row.number, _KINDS.index(row.kind)


def _segment(rows: Sequence[Row[Any]]) -> tuple[Segment | None, Restore | None]:
    """The part of the conversation that *rows* hold without a gap, and the tree behind it."""
    kept: list[tuple[tuple[int, int], Json]] = []
    trees: list[Json | None] = []
    for row in rows:
        content = unpacked(row.content)
        if content is None:
            continue
        place, tree = _place(row), row.checkpoint
        while kept and kept[-1][0] >= place:
            # What is recorded anew because people said something more has changed no file.
            replaced, old_tree = kept.pop(), trees.pop()
            tree = tree if tree is not None or replaced[0] != place else old_tree
        kept.append((place, content))
        trees.append(tree)
    whole = _without_gap(kept)
    if not whole:
        return None, None
    steps = [
        PastStep(number, turn, whole.get((number, 2))) for (number, kind), turn in whole.items() if kind == 1
    ]
    tree = next((tree for tree in reversed(trees[: len(whole)]) if tree is not None), None)
    return Segment(whole[0, 0], tuple(steps)), _restore(tree)


def _without_gap(kept: list[tuple[tuple[int, int], Json]]) -> dict[tuple[int, int], Json]:
    """The rows from step 0 to the first that is missing."""
    whole: dict[tuple[int, int], Json] = {}
    expected = (0, 0)
    for place, content in kept:
        if place != expected:
            break
        whole[place] = content
        number, kind = place
        expected = (number, 2) if kind == 1 else (number + 1, 1)
    return whole


def _restore(tree: Json | None) -> Restore | None:
    """A checkpoint as a value."""
    if tree is None:
        return None
    files = tree.get("files", [])
    if files is None:
        return Restore(tree["baseSha"], None)
    changed = (ChangedFile(one["path"], one["content"], one["isExecutable"]) for one in files)
    return Restore(tree["baseSha"], tuple(changed))

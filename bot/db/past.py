"""What a job's earlier attempts, and the jobs that it continues, have recorded: read to go on from it."""

from collections.abc import Sequence
from typing import Any, Final

import orjson
from sqlalchemy import Row, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import within
from bot.db.tables import agent_jobs, job_origins, job_steps, ledger
from bot.domain.enums import Purpose, StepKind
from bot.domain.past import ChangedFile, Past, PastStep, Restore, Segment
from bot.domain.values import ClaimedJob, FileChange, Json, Scope

MAX_CHAIN = 20
"""Of so many jobs a conversation may be; the next one begins a new one, on the tree of the last."""
MAX_CHECKPOINT_CHARS = 4_000_000
"""For all changed files together; a pull request has at most a few hundred lines."""
_KINDS: Final = (StepKind.PROMPT, StepKind.TURN, StepKind.TOOLS)
_JSON: Final = "json"
_CONTINUED: Final = "continued"
TOO_LARGE: Final = "the change so far was too large to be kept: the work starts anew"
NOT_WHOLE: Final = "the conversation before this job is no longer kept whole: the work starts anew"
TOO_LONG: Final = "the conversation before this job has grown too long: it starts anew, on the change so far"


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
    A job that has begun goes on with exactly the parts that its step 0 names, however many there are by now.
    """
    own, restore = _segment(await _rows(scope, connection, job.id))
    if own is None:
        return await _before(scope, connection, job)
    if restore is None or restore.files is None:
        return Past(lost=TOO_LARGE)
    earlier = await _earlier(scope, connection, own, job.origin.continues_id)
    return Past(lost=NOT_WHOLE) if earlier is None else Past(earlier, own, restore)


async def _before(scope: Scope, connection: AsyncConnection, job: ClaimedJob) -> Past:
    """What a job that has not begun goes on from: the newest that has, with all that this one went on from.

    The conversation of one whose parts are gone cannot be said again; its tree can be built all the same.
    """
    newest_id = job.origin.continues_id
    for _ in range(MAX_CHAIN):
        if newest_id is None:
            return Past()
        rows = await _rows(scope, connection, newest_id)
        before_id = await _continued(scope, connection, newest_id)
        if rows or await _has_begun(scope, connection, newest_id):
            return await _after(scope, connection, rows, before_id)
        newest_id = before_id
    return Past(lost=TOO_LONG)


async def _after(
    scope: Scope, connection: AsyncConnection, rows: Sequence[Row[Any]], before_id: str | None
) -> Past:
    """What a job goes on from behind another one, that has recorded *rows* and continues *before_id*."""
    newest, tree = _segment(rows)
    if newest is None or tree is None or _has_gap(newest, rows):
        return Past(lost=NOT_WHOLE)
    if tree.files is None:
        return Past(lost=TOO_LARGE)
    earlier = await _earlier(scope, connection, newest, before_id)
    if earlier is None:
        return Past(restore=tree, lost=NOT_WHOLE)
    if len(earlier) >= MAX_CHAIN:
        return Past(restore=tree, lost=TOO_LONG)
    return Past((*earlier, newest), None, tree)


async def _earlier(
    scope: Scope, connection: AsyncConnection, segment: Segment, before_id: str | None
) -> tuple[Segment, ...] | None:
    """The parts that *segment* stands behind, each as it was then; None where one is not."""
    # Rows of a version that did not name them: only a job that continues none is sure of them.
    named = segment.prompt.get(_CONTINUED, [] if before_id is None else None)
    if named is None:
        return None
    found: list[Segment] = []
    for reference in named:
        part, _ = _segment(await _rows(scope, connection, reference["job"]))
        if part is None or part.reference() != reference:
            return None
        found.append(part)
    return tuple(found)


async def _has_begun(scope: Scope, connection: AsyncConnection, job_id: str) -> bool:
    """Whether money was set aside for a turn of a job, which is kept longer than its steps."""
    statement = (
        select(ledger.c.id)
        .join(agent_jobs, agent_jobs.c.id == ledger.c.job_id)
        .where(ledger.c.job_id == job_id, ledger.c.purpose == Purpose.TURN, within(scope, agent_jobs))
        .limit(1)
    )
    return await connection.scalar(statement) is not None


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
    return Segment(whole[0, 0], tuple(steps), rows[0].job_id), _restore(tree)


def _has_gap(segment: Segment, rows: Sequence[Row[Any]]) -> bool:
    """Whether a job has recorded more than *segment*: a row between them is gone."""
    last = segment.steps[-1] if segment.steps else None
    end = (0, 0) if last is None else (last.number, 1 if last.answer is None else 2)
    return end != _place(rows[-1])


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

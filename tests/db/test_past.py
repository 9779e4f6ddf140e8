"""What can be gone on from: rows of several attempts and of several jobs, put in order."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import update

from bot.db import past, transcript
from bot.db.database import Database
from bot.db.tables import job_origins
from bot.db.transcript import Step
from bot.domain.enums import StepKind
from bot.domain.past import ChangedFile, Past, PastStep, Restore
from bot.domain.values import ClaimedJob, FileChange, Json, Scope
from tests.db.rows import NOW, make_tenant, start_job

PROMPT, TURN, TOOLS = StepKind.PROMPT, StepKind.TURN, StepKind.TOOLS
BASE: Json = {"baseSha": "c0ffee", "files": []}


def tree(*paths: str) -> Json:
    changes = [FileChange(path, "x", True, False, "", 1, 0) for path in paths]
    return past.checkpoint("c0ffee", changes)


Row = tuple[int, int, StepKind, str, Json | None]


async def record(database: Database, job: ClaimedJob, *rows: Row) -> None:
    """Record rows as attempts with these fences did; the text is the content."""
    async with database.write() as connection:
        for fence, number, kind, text, checkpoint in rows:
            content: Json = {"text": text} | ({"continued": []} if kind is PROMPT else {})
            step = Step(number, kind, content, checkpoint)
            await transcript.insert_steps(connection, replace(job, fence=fence), [step], now=NOW)


async def found(database: Database, job: ClaimedJob) -> Past:
    async with database.read() as connection:
        return await past.past_of(Scope(job.organization_id), connection, job)


@pytest.fixture
async def job(database: Database) -> ClaimedJob:
    return await start_job(database, await make_tenant(database))


def texts(steps: Sequence[PastStep]) -> list[tuple[int, Any, Any]]:
    return [(step.number, step.turn["text"], step.answer and step.answer["text"]) for step in steps]


async def test_a_job_that_recorded_nothing_has_no_past(database: Database, job: ClaimedJob) -> None:
    assert await found(database, job) == Past()


async def test_a_turn_without_its_answer_is_the_last(database: Database, job: ClaimedJob) -> None:
    await record(
        database,
        job,
        (1, 0, PROMPT, "p", BASE),
        (1, 1, TURN, "t1", None),
        (1, 1, TOOLS, "a1", tree("a.py")),
        (1, 2, TURN, "t2", None),
    )
    whole = await found(database, job)
    assert whole.own is not None and whole.own.prompt["text"] == "p"
    assert texts(whole.own.steps) == [(1, "t1", "a1"), (2, "t2", None)]
    assert whole.restore == Restore("c0ffee", (ChangedFile("a.py", "x"),))


async def test_the_steps_of_several_attempts_make_one_conversation(
    database: Database, job: ClaimedJob
) -> None:
    await record(
        database,
        job,
        (1, 0, PROMPT, "p", BASE),
        (1, 1, TURN, "t1", None),
        (2, 1, TOOLS, "a1", None),
        (2, 2, TURN, "t2", None),
        (5, 2, TOOLS, "a2", None),
    )
    whole = await found(database, job)
    assert whole.own is not None
    assert texts(whole.own.steps) == [(1, "t1", "a1"), (2, "t2", "a2")]
    assert whole.restore == Restore("c0ffee")


async def test_an_answer_that_is_recorded_anew_counts_and_keeps_its_tree(
    database: Database, job: ClaimedJob
) -> None:
    await record(
        database,
        job,
        (1, 0, PROMPT, "p", BASE),
        (1, 1, TURN, "t1", None),
        (1, 1, TOOLS, "a1", tree("a.py")),
        (2, 1, TOOLS, "a1 and what was said", None),
    )
    whole = await found(database, job)
    assert whole.own is not None
    assert texts(whole.own.steps) == [(1, "t1", "a1 and what was said")]
    assert whole.restore == Restore("c0ffee", (ChangedFile("a.py", "x"),))


async def test_what_an_older_attempt_recorded_behind_a_newer_row_is_not_used(
    database: Database, job: ClaimedJob
) -> None:
    await record(
        database,
        job,
        (1, 0, PROMPT, "p", BASE),
        (1, 1, TURN, "old", None),
        (1, 1, TOOLS, "old", tree("old.py")),
        (1, 2, TURN, "old", None),
        (2, 0, PROMPT, "anew", BASE),
        (2, 1, TURN, "new", None),
    )
    whole = await found(database, job)
    assert whole.own is not None and whole.own.prompt["text"] == "anew"
    assert texts(whole.own.steps) == [(1, "new", None)]
    assert whole.restore == Restore("c0ffee")


async def test_nothing_behind_a_gap_is_used(database: Database, job: ClaimedJob) -> None:
    await record(
        database,
        job,
        (1, 0, PROMPT, "p", BASE),
        (1, 1, TURN, "t1", None),
        (1, 2, TURN, "t2", None),
        (1, 2, TOOLS, "a2", tree("late.py")),
    )
    whole = await found(database, job)
    assert whole.own is not None and texts(whole.own.steps) == [(1, "t1", None)]
    assert whole.restore == Restore("c0ffee")


async def test_without_its_prompt_a_job_starts_anew(database: Database, job: ClaimedJob) -> None:
    await record(database, job, (1, 1, TURN, "t1", None))
    assert await found(database, job) == Past()


async def test_a_change_that_was_too_large_to_keep_starts_the_job_anew(
    database: Database, job: ClaimedJob
) -> None:
    large = FileChange("a.py", "x" * (past.MAX_CHECKPOINT_CHARS + 1), True, False, "", 1, 0)
    checkpoint = past.checkpoint("c0ffee", [large])
    assert checkpoint == {"baseSha": "c0ffee", "files": None}
    await record(
        database,
        job,
        (1, 0, PROMPT, "p", BASE),
        (1, 1, TURN, "t1", None),
        (1, 1, TOOLS, "a1", checkpoint),
    )
    anew = await found(database, job)
    assert (anew, anew.lost) == (Past(), past.TOO_LARGE)


async def test_a_row_of_an_older_version_is_no_past(database: Database, job: ClaimedJob) -> None:
    assert past.unpacked({"content": []}) is None


async def begin(database: Database, job: ClaimedJob, text: str, checkpoint: Json, *, fence: int = 1) -> None:
    """Record step 0 of a job as the loop does: with what it goes on from now."""
    earlier = (await found(database, job)).earlier
    prompt = {"text": text, "continued": [segment.reference() for segment in earlier]}
    async with database.write() as connection:
        step = Step(0, PROMPT, prompt, checkpoint)
        await transcript.insert_steps(connection, replace(job, fence=fence), [step], now=NOW)


async def continued(database: Database, job: ClaimedJob, other: ClaimedJob) -> ClaimedJob:
    """*job* as one that goes on from *other*."""
    async with database.write() as connection:
        await connection.execute(
            update(job_origins).where(job_origins.c.job_id == job.id).values(continues_id=other.id)
        )
    return replace(job, origin=replace(job.origin, continues_id=other.id))


async def test_a_job_goes_on_from_all_that_it_continues(database: Database) -> None:
    tenant = await make_tenant(database)
    first, second, third = [await start_job(database, tenant, number) for number in (1, 2, 3)]
    second = await continued(database, second, first)
    third = await continued(database, third, second)
    await record(database, first, (1, 0, PROMPT, "one", BASE), (1, 1, TURN, "t", None))
    await begin(database, second, "two", tree("b.py"))
    whole = await found(database, third)
    assert [segment.prompt["text"] for segment in whole.earlier] == ["one", "two"]
    assert (whole.own, whole.restore) == (None, Restore("c0ffee", (ChangedFile("b.py", "x"),)))


async def test_a_chain_that_bites_its_tail_ends(database: Database) -> None:
    tenant = await make_tenant(database)
    first, second = [await start_job(database, tenant, number) for number in (1, 2)]
    second = await continued(database, second, first)
    await continued(database, first, second)
    await record(database, first, (1, 0, PROMPT, "one", BASE))
    whole = await found(database, second)
    assert 1 <= len(whole.earlier) <= past.MAX_CHAIN


async def test_nobody_goes_on_from_a_job_of_another_organization(database: Database) -> None:
    mine = await start_job(database, await make_tenant(database))
    theirs = await start_job(database, await make_tenant(database, 2, 200))
    await record(database, theirs, (1, 0, PROMPT, "secret", BASE))
    mine = await continued(database, mine, theirs)
    assert await found(database, mine) == Past()

"""Transcript, ledger and log of one job, on both databases and under its fence."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from bot.agents.ports import LoopEvent, LoopEventKind
from bot.db import tables
from bot.db.database import Database
from bot.domain.budget import BudgetExceeded
from bot.domain.enums import LogLevel, StepKind
from bot.domain.values import ClaimedJob, ModelReply, Usage
from bot.errors import LeaseLost
from bot.runner.record import JobRecord
from tests.db.rows import make_tenant, start_job
from tests.fakes import ManualClock

REPLY = ModelReply([{"type": "text", "text": "hm"}], "end_turn", Usage(10, 20, 30, 40), "sonnet-x", "req_1")


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, migrated_file: Path, tmp_path: Path) -> Iterator[str]:
    """Both kinds; here the database is the subject."""
    if request.param == "sqlite":
        copy = tmp_path / "record.db"
        copy.write_bytes(migrated_file.read_bytes())
        yield f"sqlite+aiosqlite:///{copy}"
    else:
        with request.getfixturevalue("postgres").emptied() as url:
            yield url


@pytest.fixture
async def job(database: Database) -> ClaimedJob:
    """A job that runs."""
    return await start_job(database, await make_tenant(database))


@pytest.fixture
def record(database: Database, job: ClaimedJob) -> JobRecord:
    return JobRecord(
        database=database,
        job=job,
        clock=ManualClock(),
        base_sha="c0ffee",
        model="claude-sonnet-5-5",
        limit_micro_usd=1_000,
        is_debug=False,
    )


async def rows(database: Database, name: str) -> list[Any]:
    """All rows of a table, in order."""
    table = getattr(tables, name)
    async with database.read() as connection:
        return list((await connection.execute(select(table).order_by(table.c.id))).all())


async def test_the_prompt_is_step_zero_with_the_commit_that_it_stands_on(
    record: JobRecord, database: Database
) -> None:
    await record.prompt({"system": "Be kind."})
    (step,) = await rows(database, "job_steps")
    assert (step.number, step.kind, step.content) == (0, StepKind.PROMPT, {"system": "Be kind."})
    assert (step.checkpoint, step.model) == ({"baseSha": "c0ffee"}, "claude-sonnet-5-5")


async def test_a_turn_is_kept_as_it_must_be_sent_back(record: JobRecord, database: Database) -> None:
    await record.turn(1, REPLY, 0.018)
    (step,) = await rows(database, "job_steps")
    assert (step.number, step.kind, step.model, step.cost_micro_usd) == (1, StepKind.TURN, "sonnet-x", 18_000)
    assert step.content == {"content": REPLY.content, "stopReason": "end_turn", "requestId": "req_1"}


async def test_results_stand_beside_the_turn_that_they_answer(record: JobRecord, database: Database) -> None:
    results = [{"type": "tool_result", "tool_use_id": "t", "content": "4"}]
    await record.turn(1, REPLY, 0.0)
    await record.tools(1, results)
    turn, tools = await rows(database, "job_steps")
    assert {turn.kind, tools.kind} == {StepKind.TURN, StepKind.TOOLS}
    kept = turn if turn.kind is StepKind.TOOLS else tools
    assert (kept.number, kept.content) == (1, {"content": results})


async def test_nothing_is_recorded_without_the_lease(record: JobRecord, job: ClaimedJob) -> None:
    late = replace(record, job=replace(job, fence=job.fence - 1))
    with pytest.raises(LeaseLost):
        await late.prompt({})
    with pytest.raises(LeaseLost):
        await late.turn(1, REPLY, 0.0)
    with pytest.raises(LeaseLost):
        await late.tools(1, [])


async def test_money_is_set_aside_up_to_the_limit_and_no_further(
    record: JobRecord, database: Database
) -> None:
    await record.reserve(600)
    await record.reserve(400)
    with pytest.raises(BudgetExceeded) as caught:
        await record.reserve(1)
    assert (caught.value.spent_micro_usd, caught.value.reserve_micro_usd) == (1_000, 1)
    assert (caught.value.limit_micro_usd, caught.value.limit) == (1_000, "this job")
    assert len(await rows(database, "ledger")) == 2


async def test_what_a_call_cost_takes_the_place_of_what_was_set_aside(
    record: JobRecord, database: Database
) -> None:
    reservation = await record.reserve(900)
    await record.settle(reservation, Usage(1, 2, 3, 4), 100)
    await record.settle(reservation, Usage(9, 9, 9, 9), 999)  # the first settlement stays
    await record.reserve(900)
    settled, open_one = sorted(await rows(database, "ledger"), key=lambda row: not row.is_settled)
    assert (settled.settled_micro_usd, settled.usage) == (
        100,
        {"input_tokens": 1, "output_tokens": 2, "cache_write_tokens": 3, "cache_read_tokens": 4},
    )
    assert (open_one.reserved_micro_usd, open_one.is_settled) == (900, False)


@pytest.mark.parametrize(
    ("kind", "level"),
    [
        (LoopEventKind.TOOL, LogLevel.INFO),
        (LoopEventKind.REFUSAL, LogLevel.WARN),
        (LoopEventKind.PROBLEM, LogLevel.WARN),
        (LoopEventKind.RETRY, LogLevel.WARN),
    ],
)
async def test_what_the_loop_does_is_logged(
    record: JobRecord, database: Database, kind: LoopEventKind, level: LogLevel
) -> None:
    await record.observe(LoopEvent(kind, "read_file", 3, {"words": "no"}))
    (line,) = await rows(database, "agent_logs")
    assert (line.level, line.message) == (level, f"{kind.value}: read_file")
    assert line.data == {"step": 3, "words": "no"}


@pytest.mark.parametrize(("is_debug", "count"), [(False, 0), (True, 1)])
async def test_turns_are_logged_only_where_debugging_is_on(
    record: JobRecord, database: Database, is_debug: bool, count: int
) -> None:
    await replace(record, is_debug=is_debug).observe(LoopEvent(LoopEventKind.TURN, "tool_use", 1))
    lines = await rows(database, "agent_logs")
    assert [line.level for line in lines] == [LogLevel.DEBUG] * count


async def test_every_kind_of_event_has_its_level(record: JobRecord, database: Database) -> None:
    for kind in LoopEventKind:
        await replace(record, is_debug=True).observe(LoopEvent(kind, "x", 1))
    assert len(await rows(database, "agent_logs")) == len(LoopEventKind)


async def test_characters_that_no_database_keeps_are_replaced(record: JobRecord, database: Database) -> None:
    await record.log(LogLevel.INFO, "a\0b", {"k": "\0"})
    (line,) = await rows(database, "agent_logs")
    assert (line.message, line.data) == ("a\ufffdb", {"k": "\ufffd"})

"""Transcript, ledger and log of one job, on both databases and under its fence."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import orjson
import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bot.agents.ports import Bill, Entry, LoopEvent, LoopEventKind, Need, StepRow
from bot.db import job_messages, past, tables
from bot.db.database import Database
from bot.domain.budget import BudgetExceeded, Budgets
from bot.domain.enums import LogLevel, StepKind
from bot.domain.values import ClaimedJob, FileChange, Said, Scope, Usage
from bot.errors import LeaseLost, RetryLater
from bot.runner import record as runner_record
from bot.runner.record import JobRecord
from tests.db.rows import NOW, make_tenant, start_job
from tests.fakes import ManualClock

TURN = StepRow(1, StepKind.TURN, {"content": []}, model="sonnet-x", cost_micro_usd=100)


async def say(database: Database, job: ClaimedJob, comment_id: int, words: str) -> None:
    """Somebody who may writes in the thread."""
    scope = Scope(job.organization_id)
    async with database.write() as connection:
        await job_messages.add(scope, connection, job.id, comment_id, job.origin.actor, words, now=NOW)


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
def turns() -> list[str]:
    """A mark for each turn that was told."""
    return []


@pytest.fixture
def record(database: Database, job: ClaimedJob, turns: list[str]) -> JobRecord:
    return JobRecord(
        database=database,
        job=job,
        clock=ManualClock(),
        base_sha="c0ffee",
        model="claude-sonnet-5-5",
        limits=Budgets(job=1_000),
        is_debug=False,
        got_further=lambda: turns.append("turn"),
    )


async def rows(database: Database, name: str) -> list[Any]:
    """All rows of a table, in order."""
    table = getattr(tables, name)
    async with database.read() as connection:
        return list((await connection.execute(select(table).order_by(table.c.id))).all())


def contents(found: Any) -> Any:
    return past.unpacked(found.content)


async def test_the_prompt_is_step_zero_with_the_commit_that_it_stands_on(
    record: JobRecord, database: Database
) -> None:
    await record.write(Entry(rows=(StepRow(0, StepKind.PROMPT, {"system": "Be kind."}),)))
    (step,) = await rows(database, "job_steps")
    assert (step.number, step.kind, contents(step)) == (0, StepKind.PROMPT, {"system": "Be kind."})
    assert (step.checkpoint, step.model) == ({"baseSha": "c0ffee", "files": []}, "claude-sonnet-5-5")


async def test_a_turn_and_its_bill_are_one_transaction(record: JobRecord, database: Database) -> None:
    reservation = await record.write(Entry(need=Need(900, 1_000)))
    assert reservation is not None
    await record.write(Entry(rows=(TURN,), bill=Bill(reservation, Usage(1, 2, 3, 4), 100)))
    (step,), (paid,) = await rows(database, "job_steps"), await rows(database, "ledger")
    assert (step.number, step.kind, step.model, step.cost_micro_usd) == (1, StepKind.TURN, "sonnet-x", 100)
    assert (paid.settled_micro_usd, paid.is_settled, paid.tokens) == (100, True, 10)


async def test_a_recorded_turn_is_told_and_nothing_else_is(record: JobRecord, turns: list[str]) -> None:
    await record.write(Entry(rows=(StepRow(0, StepKind.PROMPT, {}),)))
    await record.write(Entry(rows=(StepRow(1, StepKind.TOOLS, {}),)))
    assert turns == []
    await record.write(Entry(rows=(replace(TURN, number=2),)))
    assert turns == ["turn"]


async def test_a_content_comes_back_in_the_same_bytes(record: JobRecord, database: Database) -> None:
    content = {
        "type": "tool_use",
        "id": "t",
        "input": {"zebra": 1, "a": "x\0y", "big": 1e300, "\\u0000": 1.0},
    }
    await record.write(Entry(rows=(StepRow(1, StepKind.TURN, content),)))
    (step,) = await rows(database, "job_steps")
    assert orjson.dumps(contents(step)) == orjson.dumps(content)


async def test_an_answer_keeps_the_tree_that_its_tools_have_made(
    record: JobRecord, database: Database
) -> None:
    changes = [
        FileChange("a.py", "new", True, True, "", 1, 0),
        FileChange("b.py", None, False, False, "", 0, 1),
    ]
    await record.write(Entry(rows=(StepRow(1, StepKind.TOOLS, {}, changes),)))
    (step,) = await rows(database, "job_steps")
    assert step.checkpoint == {
        "baseSha": "c0ffee",
        "files": [
            {"path": "a.py", "content": "new", "isExecutable": True},
            {"path": "b.py", "content": None, "isExecutable": False},
        ],
    }


async def test_what_people_said_is_taken_in_with_the_answer_and_once(
    record: JobRecord, database: Database, job: ClaimedJob
) -> None:
    await say(database, job, 1, "Also the README.")
    heard: list[list[str]] = []

    def compose(said: Sequence[Said]) -> Entry:
        heard.append([one.text for one in said])
        row = StepRow(len(heard), StepKind.TOOLS, {})
        return Entry(rows=(row,), heard=tuple(one.id for one in said), need=Need(1, 1))

    await record.hear(compose)
    await record.hear(compose)
    assert heard == [["Also the README."], []]
    (message,) = await rows(database, "job_messages")
    assert message.taken_step == 1


async def test_a_job_that_starts_anew_hears_again_what_an_earlier_attempt_took_in(
    record: JobRecord, database: Database, job: ClaimedJob
) -> None:
    await say(database, job, 1, "Also the README.")
    heard: list[list[str]] = []

    def compose(said: Sequence[Said]) -> Entry:
        heard.append([one.text for one in said])
        kind = StepKind.PROMPT if len(heard) == 2 else StepKind.TOOLS
        row = StepRow(0 if kind is StepKind.PROMPT else len(heard), kind, {})
        return Entry(rows=(row,), heard=tuple(one.id for one in said))

    await record.hear(compose)
    anew = replace(record, job=job, is_new=True)
    await anew.log(LogLevel.WARN, "The work starts anew.")
    await anew.hear(compose)
    assert [one.taken_step for one in await rows(database, "job_messages")] == [0]
    await say(database, job, 2, "And the tests.")
    await anew.hear(compose)
    assert heard == [["Also the README."], ["Also the README."], ["And the tests."]]


async def test_words_that_the_new_beginning_has_no_room_for_wait_again(
    record: JobRecord, database: Database, job: ClaimedJob
) -> None:
    await say(database, job, 1, "Also the README.")
    answer, prompt = StepRow(1, StepKind.TOOLS, {}), StepRow(0, StepKind.PROMPT, {})
    await record.hear(lambda said: Entry(rows=(answer,), heard=(said[0].id,)))
    await replace(record, is_new=True).hear(lambda _said: Entry(rows=(prompt,)))
    assert [one.taken_step for one in await rows(database, "job_messages")] == [None]


async def test_nothing_is_recorded_without_the_lease(
    record: JobRecord, database: Database, job: ClaimedJob
) -> None:
    late = replace(record, job=replace(job, fence=job.fence - 1))
    late.note(LoopEvent(LoopEventKind.TOOL, "read_file", 1))
    for entry in (Entry(), Entry(rows=(TURN,)), Entry(need=Need(1, 1)), Entry(rows=(TURN,), need=Need(1, 1))):
        with pytest.raises(LeaseLost):
            await late.write(entry)
    for name in ("job_steps", "ledger", "agent_logs"):
        assert await rows(database, name) == []


@pytest.mark.parametrize("is_new", [False, True])
async def test_nothing_is_taken_without_the_lease(
    record: JobRecord, database: Database, job: ClaimedJob, *, is_new: bool
) -> None:
    await say(database, job, 1, "Hm.")
    late = replace(record, job=replace(job, fence=job.fence - 1), is_new=is_new)
    step = StepRow(0, StepKind.PROMPT, {}) if is_new else StepRow(1, StepKind.TOOLS, {})
    with pytest.raises(LeaseLost):
        await late.hear(lambda said: Entry(rows=(step,), heard=(said[0].id,)))
    assert [one.taken_step for one in await rows(database, "job_messages")] == [None]


async def test_what_cannot_be_paid_for_is_recorded_all_the_same(
    record: JobRecord, database: Database
) -> None:
    record.note(LoopEvent(LoopEventKind.TOOL, "read_file", 1))
    with pytest.raises(BudgetExceeded) as caught:
        await record.write(Entry(rows=(TURN,), need=Need(1_001, 1)))
    assert (caught.value.limit_micro_usd, caught.value.limit) == (1_000, "this job")
    assert len(await rows(database, "job_steps")) == len(await rows(database, "agent_logs")) == 1
    assert await rows(database, "ledger") == []


async def test_money_that_is_spent_too_fast_holds_the_call_up_and_nothing_else(
    record: JobRecord, database: Database
) -> None:
    fast = replace(record, limits=Budgets(minute=1_000))
    await fast.write(Entry(need=Need(800, 1)))
    with pytest.raises(RetryLater):
        await fast.write(Entry(rows=(TURN,), need=Need(800, 1)))
    assert len(await rows(database, "job_steps")) == len(await rows(database, "ledger")) == 1


async def test_the_first_settlement_of_a_call_stays(record: JobRecord, database: Database) -> None:
    reservation = await record.write(Entry(need=Need(900, 1)))
    assert reservation is not None
    for micro_usd in (100, 999):
        await record.write(Entry(bill=Bill(reservation, Usage(1, 2, 3, 4), micro_usd)))
    (paid,) = await rows(database, "ledger")
    assert (paid.settled_micro_usd, paid.is_settled) == (100, True)


async def test_a_turn_is_never_recorded_in_two_ways(record: JobRecord, database: Database) -> None:
    await record.write(Entry(rows=(TURN,)))
    with pytest.raises(IntegrityError):
        await record.write(Entry(rows=(TURN,), need=Need(1, 1)))
    assert await rows(database, "ledger") == []


async def test_nothing_to_write_is_no_transaction(record: JobRecord, database: Database) -> None:
    await database.close()
    broken = replace(record, database=None)  # type: ignore[arg-type]
    assert await broken.write(Entry()) is None


async def test_lines_keep_their_order(record: JobRecord, database: Database) -> None:
    for step in range(30):
        record.note(LoopEvent(LoopEventKind.TOOL, f"tool{step}", step))
    await record.write(Entry())
    assert [line.data["step"] for line in await rows(database, "agent_logs")] == list(range(30))


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
    record.note(LoopEvent(kind, "read_file", 3, {"words": "no"}))
    await record.write(Entry())
    (line,) = await rows(database, "agent_logs")
    assert (line.level, line.message) == (level, f"{kind.value}: read_file")
    assert line.data == {"step": 3, "words": "no"}


@pytest.mark.parametrize(("is_debug", "count"), [(False, 0), (True, 1)])
async def test_turns_are_logged_only_where_debugging_is_on(
    record: JobRecord, database: Database, is_debug: bool, count: int
) -> None:
    watched = replace(record, is_debug=is_debug)
    watched.note(LoopEvent(LoopEventKind.TURN, "tool_use", 1))
    await watched.write(Entry())
    lines = await rows(database, "agent_logs")
    assert [line.level for line in lines] == [LogLevel.DEBUG] * count


async def test_every_kind_of_event_has_its_level(record: JobRecord, database: Database) -> None:
    watched = replace(record, is_debug=True)
    for kind in LoopEventKind:
        watched.note(LoopEvent(kind, "x", 1))
    await watched.write(Entry())
    assert len(await rows(database, "agent_logs")) == len(LoopEventKind)


async def test_characters_that_no_database_keeps_are_replaced(record: JobRecord, database: Database) -> None:
    await record.log(LogLevel.INFO, "a\0b", {"k": "\0"})
    (line,) = await rows(database, "agent_logs")
    assert (line.message, line.data) == ("a\ufffdb", {"k": "\ufffd"})


async def until(is_so: Callable[[], Awaitable[object]]) -> None:
    """Look again and again, until something is so."""
    async with asyncio.timeout(60):
        while not await is_so():
            continue


async def test_what_is_due_soon_is_one_transaction_with_what_comes_next(
    record: JobRecord, database: Database, turns: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    reservation = await record.write(Entry(need=Need(900, 1_000)))
    assert reservation is not None
    transactions = []

    async def counted(action: Any) -> Any:
        transactions.append(action)
        return await Database.transact(database, action)

    monkeypatch.setattr(record, "database", SimpleNamespace(transact=counted))
    await record.soon(Entry(rows=(TURN,), bill=Bill(reservation, Usage(1, 2, 3, 4), 100)))
    assert (transactions, turns) == ([], [])
    # The bill counts before the next call is: 100 and 900 are within 1,000, 900 and 900 are not.
    answer = StepRow(1, StepKind.TOOLS, {})
    assert await record.hear(lambda _: Entry(rows=(answer,), need=Need(900, 1_000)))
    assert (len(transactions), turns) == (1, ["turn"])
    assert [step.kind for step in await rows(database, "job_steps")] == [StepKind.TURN, StepKind.TOOLS]
    assert [paid.is_settled for paid in await rows(database, "ledger")] == [True, False]


async def test_what_is_due_soon_is_durable_while_a_slow_tool_runs(
    record: JobRecord, database: Database, turns: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_record, "LAG_SECONDS", 0)
    await record.soon(Entry(rows=(TURN,)))
    await until(lambda: rows(database, "job_steps"))
    record.note(LoopEvent(LoopEventKind.TOOL, "run_command", 1))
    await record.write(Entry(rows=(StepRow(1, StepKind.TOOLS, {}),)))
    assert turns == ["turn"]
    assert len(await rows(database, "job_steps")) == 2
    assert [line.message for line in await rows(database, "agent_logs")] == ["tool: run_command"]


async def test_what_goes_wrong_beside_a_tool_is_told_by_the_next_call(
    record: JobRecord, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runner_record, "LAG_SECONDS", 0)
    late = replace(record, job=replace(record.job, fence=record.job.fence - 1))
    await late.soon(Entry(rows=(TURN,)))

    async def is_over() -> bool:
        await asyncio.sleep(0)
        return late._flushing is not None and late._flushing.done()

    await until(is_over)
    for call in (late.write(Entry()), late.hear(lambda _: Entry()), late.soon(Entry())):
        with pytest.raises(LeaseLost):
            await call
    await late.close()
    assert await rows(database, "job_steps") == []


async def test_the_end_of_a_record_writes_what_is_due(record: JobRecord, database: Database) -> None:
    await record.soon(Entry(rows=(TURN,)))
    await record.close()
    await record.close()
    assert len(await rows(database, "job_steps")) == 1


async def test_a_record_whose_lease_is_lost_ends_in_silence(record: JobRecord, database: Database) -> None:
    late = replace(record, job=replace(record.job, fence=record.job.fence - 1))
    await late.soon(Entry(rows=(TURN,)))
    await late.close()
    assert await rows(database, "job_steps") == []

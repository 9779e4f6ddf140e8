"""The judge of a change: what is tried, how often, and what goes back to the agent."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError

from bot.db.database import Database
from bot.db.tables import verifications
from bot.domain.effects import LoopResult, Proposal, Stop
from bot.domain.enums import Tier, When
from bot.domain.past import Past, PastStep, Segment
from bot.domain.values import CommandRecord, FileChange, Json, RepositoryConfig, ToolResult
from bot.errors import LeaseLost
from bot.runner.verifying import HOLLOW, Desk, Verifier, told_before
from tests.db.rows import make_tenant, start_job
from tests.fakes import ManualClock
from tests.runner.test_last_look import OLD, change

DONE = LoopResult(Stop.FINISHED, Proposal("t", "b"), None, "done", 3, 0.1)
OLD_FAILURE = (1, "FAILED tests/test_a.py::test_two - assert 0")
NEW_FAILURE = (1, "FAILED tests/test_a.py::test_one - assert 0")
PASSES = (0, "ok")


@dataclass
class Host:
    """A tool host whose commands end as they are told; keeps what was run."""

    base: tuple[int | None, str] = PASSES
    outcomes: list[tuple[int, str]] = field(default_factory=list)
    restored: tuple[int, str] = PASSES
    prepared: tuple[int, str] = PASSES
    shown: tuple[int, str] = PASSES
    now: list[FileChange] = field(default_factory=lambda: [change("a.py", "x = 1\n", "x = 2\n")])
    ran: list[str] = field(default_factory=list)

    async def call(self, name: str, arguments: Json, *, timeout_seconds: float) -> ToolResult:
        raise AssertionError("the judge uses no tool")

    async def changes(self) -> list[FileChange]:
        return self.now

    async def survey(self, max_chars: int) -> str:
        return ""

    async def prepare(self, commands: Sequence[str], *, timeout_seconds: float) -> list[CommandRecord]:
        self.ran.append("prepare")
        return [CommandRecord(command, *self._parts(self.prepared)) for command in commands]

    async def verify(
        self,
        command: str,
        *,
        timeout_seconds: float,
        at_base: bool = False,
        as_before: Sequence[str] = (),
        as_shown: bool = False,
    ) -> CommandRecord:
        assert timeout_seconds == 60
        self.ran.append("base" if at_base else f"change -{','.join(as_before)}" if as_before else "change")
        if self.prepared[0]:
            return CommandRecord(command, None, 0, "", Tier.NONE, "`prepare` failed: npm ci")
        if at_base:
            return CommandRecord(command, *self._parts(self.base))
        if as_shown:
            self.ran[-1] = "shown"
            return CommandRecord(command, *self._parts(self.shown))
        found = self.restored if as_before else self.outcomes.pop(0)
        return CommandRecord(command, *self._parts(found))

    async def close(self) -> None:
        raise AssertionError("the judge closes nothing")

    @staticmethod
    def _parts(outcome: tuple[int | None, str]) -> tuple[int | None, int, str, Tier]:
        return outcome[0], 5, outcome[1], Tier.SANDBOX


class Notes(Desk):
    """What was written down."""

    def __init__(self) -> None:
        object.__setattr__(self, "rows", [])

    rows: list[tuple[When, int, str, int | None]]

    async def write(self, when: When, records: Sequence[CommandRecord], position: int) -> None:
        self.rows.extend([(when, position + n, r.command, r.exit_code) for n, r in enumerate(records)])


def rows(judge: Verifier) -> list[tuple[When, int, str, int | None]]:
    """What the judge has written down."""
    assert isinstance(judge.desk, Notes)
    return judge.desk.rows


def verifier(host: Host, **config: tuple[str, ...]) -> Verifier:
    """A judge of one command."""
    return Verifier(host, RepositoryConfig(**{"verify": ("t",), **config}), Notes(), 60)


def edit(host: Host, text: str) -> None:
    """The agent changes its mind."""
    host.now = [change("a.py", "x = 1\n", f"x = {text}\n")]


async def test_a_change_that_passes_stands_and_is_tried_once() -> None:
    host = Host(outcomes=[PASSES])
    judge = verifier(host)
    assert await judge.judge(DONE) is None
    assert await judge.judge(DONE) is None
    assert [record.exit_code for record in await judge.after(host.now)] == [0]
    assert host.ran == ["base", "change"]
    assert rows(judge) == [(When.BEFORE, 0, "t", 0), (When.AFTER, 0, "t", 0)]


@pytest.mark.parametrize(
    "result",
    [
        LoopResult(Stop.STEPS, Proposal("t", "b"), None, "", 3, 0.1),
        LoopResult(Stop.FINISHED, None, "an answer", "", 3, 0.1),
    ],
)
async def test_what_is_not_proposed_is_not_tried(result: LoopResult) -> None:
    host = Host()
    assert await verifier(host).judge(result) is None
    assert host.ran == []


async def test_a_new_failure_goes_back_as_often_as_the_loop_asks() -> None:
    host = Host(outcomes=[(1, f"bad {word}") for word in ("one", "two", "three", "four")])
    judge = verifier(host)
    for number in range(4):
        edit(host, f"{number}0")
        words = await judge.judge(DONE)
        assert words is not None
        assert "$ t\nended with exit code 1 after 0.0 s\nbad" in words
    assert [record.output for record in await judge.after(host.now)] == ["bad four"]
    assert [row[1] for row in rows(judge)] == [0, 0, 1, 2, 3]


@pytest.mark.parametrize("base", [PASSES, OLD_FAILURE])
async def test_of_a_repository_that_keeps_files_back_only_what_is_said_without_them_is_told(
    base: tuple[int, str],
) -> None:
    outcome = (1, f"{base[1] if base[0] else 'bad'}\npassword = canary")
    host = Host(
        base=(base[0], outcome[1] if base[0] else "ok"), outcomes=[outcome], shown=(2, "no vault.txt")
    )
    words = await verifier(host, exclude=("vault.txt",)).judge(DONE)
    assert words is not None
    assert "canary" not in words
    assert "ended with exit code 1 after 0.0 s\nRun once more without" in words
    assert words.endswith("\nno vault.txt")
    assert host.ran[-1] == "shown"


async def test_what_fails_only_beside_files_that_are_kept_back_is_not_told() -> None:
    host = Host(outcomes=[(1, "password = canary")], shown=PASSES)
    words = await verifier(host, exclude=("vault.txt",)).judge(DONE)
    assert words is not None
    assert "canary" not in words
    assert "so its output is not shown" in words


async def test_the_same_change_proposed_again_is_not_tried_again() -> None:
    host = Host(outcomes=[(1, "bad")])
    judge = verifier(host)
    assert await judge.judge(DONE) == await judge.judge(DONE) is not None
    assert host.ran == ["base", "change"]


async def test_a_failure_that_was_there_before_is_asked_about_once_and_then_accepted() -> None:
    host = Host(base=OLD_FAILURE, outcomes=[OLD_FAILURE])
    judge = verifier(host)
    assert "nothing that failed then passes now" in (await judge.judge(DONE) or "")
    assert await judge.judge(DONE) is None
    assert await judge.objection(host.now) is None


async def test_where_something_got_better_an_old_failure_is_no_question() -> None:
    host = Host(base=(1, f"{OLD_FAILURE[1]}\n{NEW_FAILURE[1]}"), outcomes=[OLD_FAILURE])
    assert await verifier(host).judge(DONE) is None


async def test_a_failure_that_ends_with_the_tests_that_showed_it_goes_back() -> None:
    host = Host(base=OLD_FAILURE, outcomes=[PASSES], restored=OLD_FAILURE)
    host.now = [change("tests/test_a.py", OLD, OLD[: OLD.index("\n\n\n")] + "\n")]
    judge = verifier(host)
    words = await judge.judge(DONE) or ""
    assert "tests/test_a.py:4: takes the test 'test_two' away" in words
    assert "with these tests as they were before the change: tests/test_a.py" in words
    assert [record.exit_code for record in await judge.after(host.now)] == [1]
    assert host.ran == ["base", "change", "change -tests/test_a.py"]


async def test_a_test_that_passed_before_may_be_taken_away_after_one_question() -> None:
    host = Host(outcomes=[PASSES], restored=OLD_FAILURE)
    host.now = [change("tests/test_a.py", OLD, OLD[: OLD.index("\n\n\n")] + "\n")]
    judge = verifier(host)
    assert "takes the test" in (await judge.judge(DONE) or "")
    assert await judge.judge(DONE) is None
    assert host.ran == ["base", "change"]


async def test_a_renamed_test_that_the_fix_mends_is_believed() -> None:
    host = Host(base=OLD_FAILURE, outcomes=[PASSES], restored=PASSES)
    host.now = [change("tests/test_a.py", OLD, OLD.replace("test_two", "test_second"))]
    judge = verifier(host)
    assert "takes the test 'test_two' away" in (await judge.judge(DONE) or "")
    assert await judge.judge(DONE) is None


async def test_what_is_found_at_the_last_look_goes_back_once_together_with_a_failure() -> None:
    host = Host(outcomes=[(1, "bad"), PASSES])
    edit(host, "2\nbreakpoint()")
    judge = verifier(host)
    words = await judge.judge(DONE) or ""
    assert "- a.py:2: looks like a trace of debugging" in words
    assert "$ t\n" in words
    edit(host, "3\nbreakpoint()")
    assert await judge.judge(DONE) is None


async def test_comments_alone_mend_nothing_that_failed() -> None:
    host = Host(base=OLD_FAILURE, outcomes=[OLD_FAILURE])
    host.now = [change("a.py", "x = 1\n", "# mended\nx = 1\n")]
    assert await verifier(host).objection(host.now) == HOLLOW
    better = Host(base=OLD_FAILURE, outcomes=[PASSES], now=host.now)
    assert await verifier(better).objection(better.now) is None


async def test_a_missing_toolchain_is_no_failure_and_is_not_looked_for_twice() -> None:
    host = Host(base=(127, "/bin/sh: 1: npm: not found"))
    judge = verifier(host)
    assert await judge.judge(DONE) is None
    (record,) = await judge.after(host.now)
    assert (record.exit_code, record.reason) == (None, "toolchain missing: npm is not in the sandbox")
    assert host.ran == ["base"]


async def test_a_program_that_only_the_change_asks_for_is_a_failure() -> None:
    host = Host(outcomes=[(127, "/bin/sh: 1: npm: not found")])
    assert "exit code 127" in (await verifier(host).judge(DONE) or "")


async def test_a_prepare_that_fails_is_written_down_and_nothing_is_verified() -> None:
    host = Host(prepared=(1, "no network"))
    judge = verifier(host, prepare=("npm ci",))
    (record,) = await judge.before()
    assert (record.exit_code, record.tier) == (None, Tier.NONE)
    assert rows(judge) == [(When.BEFORE, 0, "npm ci", 1), (When.BEFORE, 1, "t", None)]
    assert await judge.judge(DONE) is None


async def test_without_a_verify_command_the_base_is_prepared_for_the_agents_own_commands() -> None:
    host = Host()
    judge = verifier(host, verify=(), prepare=("npm ci",))
    await judge.before()
    assert await judge.judge(DONE) is None
    assert (host.ran, await judge.after(host.now)) == (["prepare"], [])


async def test_comments_alone_are_all_that_documentation_may_be() -> None:
    host = Host(base=OLD_FAILURE, outcomes=[OLD_FAILURE])
    host.now = [change("a.py", "x = 1\n", "# what it is\nx = 1\n")]
    judge = Verifier(host, RepositoryConfig(verify=("t",)), Notes(), 60, agent_type="docs.write")
    assert await judge.objection(host.now) is None


async def test_a_doctest_that_is_edited_goes_back_and_is_never_proposed() -> None:
    doc = '"""\n>>> f(1)\n2\n"""\n'
    host = Host(base=OLD_FAILURE, outcomes=[PASSES])
    host.now = [change("a.py", doc, doc.replace("f(1)", "f(2)"))]
    judge = verifier(host)
    assert "beside the code expect (a.py:2)" in (await judge.judge(DONE) or "")
    assert "beside the code expect (a.py:2)" in (await judge.objection(host.now) or "")


async def test_what_an_earlier_attempt_was_told_once_is_not_told_again() -> None:
    host = Host(base=OLD_FAILURE, outcomes=[OLD_FAILURE])
    edit(host, "2\nbreakpoint()")
    words = await verifier(host).judge(DONE)
    blocks = [{"type": "tool_result", "content": "nothing"}, {"type": "text", "text": words}]
    own = Segment({}, (PastStep(1, {}, {"content": blocks}), PastStep(2, {}, None)))
    later = Host(base=OLD_FAILURE, outcomes=[OLD_FAILURE], now=host.now)
    told = told_before(Past(own=own))
    judge = Verifier(later, RepositoryConfig(verify=("t",)), Notes(), 60, told=told)
    assert await judge.judge(DONE) is None
    echoed = Segment({}, (PastStep(1, {}, {"content": [{"type": "tool_result", "content": words}]}),))
    assert told_before(Past(own=echoed)) == told_before(Past()) == ""


async def test_a_resumed_job_tries_its_change_again_and_gets_no_further_rounds_of_its_own() -> None:
    host = Host(outcomes=[(1, "bad"), (1, "bad")])
    first, second = verifier(host), verifier(host)
    assert await first.judge(DONE) == await second.judge(DONE) is not None
    assert host.ran == ["base", "change"] * 2


async def test_long_output_goes_back_with_its_head_and_its_tail() -> None:
    whole = "".join(hashlib.sha256(str(n).encode()).hexdigest() + "\n" for n in range(1000))
    words = await verifier(Host(outcomes=[(1, whole)])).judge(DONE) or ""
    assert whole[:2000] in words
    assert whole[-6000:].rstrip("\n") in words
    assert len(words) < 9000


async def test_rounds_are_rows_one_after_the_other_and_another_owner_begins_anew(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    desk = Desk(database, job, ManualClock(), "c0ffee")
    record = CommandRecord("t", 1, 5, "bad", Tier.SANDBOX)
    await desk.write(When.BEFORE, [record], 0)
    await desk.write(When.AFTER, [record, record], 0)
    await desk.write(When.AFTER, [record], 2)
    async with database.read() as connection:
        found = (await connection.execute(select(verifications).order_by(verifications.c.id))).all()
    assert [(row.when, row.position) for row in found] == [
        (When.BEFORE, 0),
        (When.AFTER, 0),
        (When.AFTER, 1),
        (When.AFTER, 2),
    ]
    with pytest.raises(IntegrityError):
        await desk.write(When.AFTER, [record], 2)
    with pytest.raises(LeaseLost):
        await replace(desk, job=replace(job, fence=job.fence + 1)).write(When.AFTER, [record], 3)

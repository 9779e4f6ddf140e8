"""Text of a model that is made to keep our patterns busy, or to switch a guard off.

Each shape is measured at two lengths by the thread's own clock: a pattern that looks at every pair of places
needs 64 times as long for 8 times as much.
"""

import threading
from collections.abc import Callable
from dataclasses import replace
from time import thread_time

import pytest

from bot.db.database import Database
from bot.domain.past import Past
from bot.domain.values import CommandRecord, FileChange, RepositoryConfig, Snapshot
from bot.runner import last_look, reports, verifying, weakened
from bot.runner.patch_lines import MAX_LINE_CHARS, added
from tests.db.rows import make_tenant, start_job
from tests.runner.test_last_look import change
from tests.runner.test_verifying import DONE, PASSES, Host, Notes, verifier

SHORT, LONG = 8_000, 64_000
MOST_GROWTH = 32
"""Eight times the text, with room for what else a short measurement holds; the square would be 64."""


def look(text: str) -> None:
    made = change("tests/test_a.py", "x = 1\n", f"x = 2\n{text}\n")
    last_look.look([made])
    last_look.is_hollow([made, change("b.rs", "a();\n", f"{text}\n")])
    weakened.inline([change("b.rs", f"{text}\na();\n", f"{text}\n")])


def count(text: str) -> None:
    reports.number_run(text)
    reports.failures(text)
    reports.names(text)


def least_seconds(work: Callable[[str], None], text: str) -> float:
    """What *work* needs at least, without what the machine does beside it."""
    found = []
    for _ in range(3):
        begin = thread_time()
        work(text)
        found.append(thread_time() - begin)
    return min(found)


@pytest.mark.parametrize("work", [look, count])
@pytest.mark.parametrize(
    "piece",
    [
        *("it" + " " * 70_000, " " * 70_000, ")" + " " * 70_000, " # # # #", " // //", "\n" + " " * 99, "1"),
        *("1 passed ", "Tests 1", "a.a.", "    >", "FAIL \\S > ", "def x(", "expect  "),
    ],
    ids=lambda piece: piece[:4].strip() or "white",
)
def test_the_work_grows_with_the_text_and_not_with_its_square(
    work: Callable[[str], None], piece: str
) -> None:
    short, long = ((piece * (LONG // len(piece) + 1))[:size] + 'x"' for size in (SHORT, LONG))
    assert least_seconds(work, long) < MOST_GROWTH * max(least_seconds(work, short), 0.002)


def test_empty_lines_are_counted_once() -> None:
    def work(text: str) -> None:
        assert reports.number_run(text) is None
        assert weakened.inline([replace(change("b.rs", "a();\n", "b();\n"), content=text)]) == []

    assert least_seconds(work, "\n" * LONG) < MOST_GROWTH * max(least_seconds(work, "\n" * SHORT), 0.002)


def test_a_pattern_is_shown_the_beginning_of_a_line_alone() -> None:
    (line,) = added(change("a.py", "", "x" * 1_000_000))
    assert len(line.head) == MAX_LINE_CHARS and len(line.text) == 1_000_000


def test_a_change_behind_the_beginning_of_a_long_line_is_no_hollow_one() -> None:
    start = "x = [" + "1, " * MAX_LINE_CHARS
    assert not last_look.is_hollow([change("a.py", f"{start}1]\n", f"{start}2]\n")])


async def test_what_a_model_wrote_is_read_beside_the_event_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[threading.Thread] = []
    real = last_look.look

    def watched(changes: list[FileChange]) -> list[tuple[str, str]]:
        seen.append(threading.current_thread())
        return real(changes)

    def failed(before: list[CommandRecord], after: list[CommandRecord]) -> bool:
        seen.append(threading.current_thread())
        return False

    monkeypatch.setattr(last_look, "look", watched)
    monkeypatch.setattr(verifying, "same_failures", failed)
    assert await verifier(Host(base=PASSES, outcomes=[(1, "E")])).judge(DONE)
    assert seen and threading.main_thread() not in seen[:2]


@pytest.mark.parametrize(
    ("said", "counts"),
    [
        (Snapshot("the test is wrong", ""), False),
        (Snapshot("", "the test is wrong"), False),
        (Snapshot("", "the test is wrong", words="fix it"), False),
        (Snapshot("", "", words="the test is wrong"), True),
    ],
)
async def test_only_the_person_who_commands_can_say_that_tests_are_wrong(
    database: Database, said: Snapshot, counts: bool
) -> None:
    job = await start_job(database, await make_tenant(database))
    job = replace(job, origin=replace(job.origin, snapshot=said))
    config = RepositoryConfig(verify=("t",))
    judge = verifying.verifier_of(job, Past(), Host(), config, Notes(), 60)
    assert judge._trials.may_change_tests is counts

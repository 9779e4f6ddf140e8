"""Which failures speak against a change."""

import pytest

from bot.domain.enums import Tier
from bot.domain.values import CommandRecord
from bot.runner.failures import (
    as_related,
    as_unsteady,
    fails,
    got_better,
    hides_failures,
    is_independent,
    is_unsteady,
    same_failures,
    with_fewer_tests,
    with_missing_toolchain,
    with_old_tests,
)


def record(
    exit_code: int | None, output: str = "", command: str = "make test", reason: str = ""
) -> CommandRecord:
    """What a command did."""
    tier = Tier.NONE if exit_code is None else Tier.SANDBOX
    return CommandRecord(command, exit_code, 5, output, tier, reason)


PYTEST_TWO = (
    "F.F\nFAILED tests/test_a.py::test_one - assert 1\nFAILED tests/test_a.py::test_two\n2 failed in 0.11s"
)
PYTEST_ONE = "..F\nFAILED tests/test_a.py::test_two\n1 failed in 0.09s"
UNITTEST = """======================================================================
FAIL: test_one (tests.test_a.A.test_one)
----------------------------------------------------------------------
Traceback (most recent call last):
  File "/work/tests/test_a.py", line 6, in test_one
    self.assertEqual(6, total())
AssertionError: 6 != 1

----------------------------------------------------------------------
Ran 3 tests in 0.001s

FAILED (failures=1)
"""
GO = "--- FAIL: TestOne (0.00s)\nFAIL\nexit status 1"


def test_only_a_command_that_ran_can_fail() -> None:
    assert not fails([record(0), record(None)])
    assert fails([record(0), record(1)])


@pytest.mark.parametrize(
    ("before", "after", "is_same"),
    [
        ("x in 0.1s at 0xdead", "x in 9 s at 0xbeef", True),
        ("x", "y", False),
        (PYTEST_TWO, PYTEST_ONE, True),
        (PYTEST_ONE, PYTEST_TWO, False),
        (PYTEST_TWO, "ERROR tests/test_a.py::test_one - SyntaxError", False),
        (PYTEST_TWO, "SyntaxError: invalid syntax", False),
        (UNITTEST, UNITTEST.replace("6 != 1", "6 != 21"), False),
        (UNITTEST, UNITTEST.replace("test_one", "test_two"), False),
        (GO, GO.replace("0.00s", "0.02s") + "\nmore", True),
        ("● math › adds\n", "● math › adds\nother", True),
        ("not ok 3 - adds\nx", "not ok 3 - adds\ny", True),
        ("test a::b ... FAILED\n", "test a::c ... FAILED\n", False),
    ],
)
def test_a_failure_is_old_when_nothing_fails_that_did_not_fail_before(
    before: str, after: str, is_same: bool
) -> None:
    assert same_failures([record(1, before)], [record(1, after)]) is is_same


def test_another_exit_code_or_another_command_is_a_new_failure() -> None:
    assert not same_failures([record(1, PYTEST_TWO)], [record(2, PYTEST_ONE)])
    assert not same_failures([record(1, "x", "a")], [record(1, "x", "b")])
    assert not same_failures([record(0)], [record(1)])
    assert same_failures([record(1)], [record(0)])


def test_a_command_that_is_too_slow_before_and_after_is_an_old_failure() -> None:
    slow = "stopped after 600 seconds"
    assert same_failures([record(124, "a", reason=slow)], [record(124, "b", reason=slow)])
    assert not same_failures([record(124, "a", reason=slow)], [record(124, "b")])


def test_a_failure_that_only_the_old_tests_show_is_never_an_old_one() -> None:
    after = with_old_tests(record(1, UNITTEST), ("tests/test_a.py",))
    assert after.reason.endswith(": tests/test_a.py")
    assert hides_failures([after]) and not hides_failures([record(1, UNITTEST)])
    assert not same_failures([record(1, UNITTEST)], [after])


def test_a_failure_that_changes_its_words_is_a_new_one_and_one_less_is_none() -> None:
    two = UNITTEST.replace("Ran 3", "FAIL: test_two (tests.test_a.A.test_two)\nAssertionError: no\nRan 3")
    assert same_failures([record(1, two)], [record(1, UNITTEST)])
    assert not same_failures([record(1, two)], [record(1, UNITTEST.replace("6 != 1", "6 != 21"))])
    assert not same_failures([record(1, UNITTEST)], [record(1, two)])


def test_words_that_differ_without_the_change_too_are_no_new_failure() -> None:
    def now(one: str, two: str) -> CommandRecord:
        lines = f"FAILED tests/test_a.py::test_one - {one}\nFAILED tests/test_a.py::test_two - {two}\n"
        return record(1, lines)

    old, again = now("1 != 2", "port 4711"), now("1 != 2", "port 4712")
    assert is_unsteady(old, again, now("1 != 2", "port 4713"))
    assert not is_unsteady(old, again, now("1 != 3", "port 4713"))
    assert not is_unsteady(old, old, now("1 != 2", "port 4713"))
    assert not is_unsteady(old, record(2, again.output), now("1 != 2", "port 4713"))
    assert not is_unsteady(now("1", "{a, b}"), now("1", "{b, a}"), now("1", "{b, c}"))
    assert is_unsteady(now("1", "{a, b, c}"), now("1", "{b, a, c}"), now("1", "{c, b, a}"))
    unsteady = as_unsteady(now("1 != 2", "port 4713"))
    assert same_failures([old], [unsteady])
    assert is_independent(unsteady, again)


def test_an_old_failure_that_needs_the_changed_files_speaks_against_the_change() -> None:
    old = record(1, UNITTEST)
    assert is_independent(old, record(1, UNITTEST + "ERROR: tests.test_b (loader)\nImportError\n"))
    assert not is_independent(old, record(1, "ERROR: tests.test_a (loader)\nImportError\n"))
    assert not same_failures([old], [as_related(old, ["a.py"])])
    assert as_related(old, ["a.py"]).reason.endswith(": a.py")


def test_a_run_that_is_green_for_want_of_tests_has_failed() -> None:
    old, green = record(1, UNITTEST), record(0, "Ran 2 tests in 0.1s\n\nOK\n")
    fewer = with_fewer_tests(old, green)
    assert fewer.reason == "fewer tests ran than before the change: 2 of 3"
    assert fails([fewer])
    assert not same_failures([old], [fewer])
    assert not got_better([old], [fewer])
    assert with_fewer_tests(old, record(0)).reason.endswith("0 of 3")
    same = record(0, "Ran 3 tests in 0.1s\n\nOK\n")
    assert with_fewer_tests(old, same) is same
    assert with_fewer_tests(record(0, UNITTEST), green) is green
    assert with_fewer_tests(record(1, "boom"), green) is green


def test_it_got_better_when_something_that_failed_passes_now() -> None:
    assert got_better([record(1, "x")], [record(0)])
    assert got_better([record(1, PYTEST_TWO)], [record(1, PYTEST_ONE)])
    assert not got_better([record(1, PYTEST_ONE)], [record(1, PYTEST_ONE)])
    assert not got_better([record(0)], [record(0)])
    assert not got_better([record(1, "x", "a")], [record(0, "", "b")])


@pytest.mark.parametrize(
    ("output", "missing"),
    [
        ("/bin/sh: 1: npm: not found\n", "npm"),
        ("sh: line 1: cargo: command not found", "cargo"),
        ("make: go: not found", "go"),
        ("/bin/sh: 1: ./gradlew: not found\n", None),
        ("env: 'node': No such file or directory", None),
        ("", None),
    ],
)
def test_a_program_that_is_not_there_is_no_failure(output: str, missing: str | None) -> None:
    found = with_missing_toolchain(record(127, output))
    if missing is None:
        assert (found.exit_code, found.tier) == (127, Tier.SANDBOX)
        return
    assert (found.exit_code, found.tier) == (None, Tier.NONE)
    assert found.reason == f"toolchain missing: {missing} is not in the sandbox"


def test_only_the_shells_own_word_counts_as_missing() -> None:
    assert with_missing_toolchain(record(1, "sh: 1: npm: not found")).exit_code == 1

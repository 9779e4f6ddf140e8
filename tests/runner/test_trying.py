"""A verify command on a change: what is run once more, in which way, and what then counts."""

from dataclasses import dataclass, field

import pytest

from bot.domain.enums import Tier
from bot.domain.values import CommandRecord, FileChange
from bot.runner.failures import fails, same_failures
from bot.runner.trying import Trials
from tests.runner.test_last_look import change
from tests.runner.test_verifying import Host

ONE = "FAILED tests/test_a.py::test_one - assert 1 == 2\n"
OTHER = "FAILED tests/test_b.py::test_other - no sensor at port {}\n"
CODE = change("a.py", "x = 1\n", "x = 2\n")
TEST = change("tests/test_a.py", "x = 1\n", "x = 2\n")


@dataclass
class Runs(Host):
    """A host that answers by what it is asked to run; `broken`: the base without the changed code."""

    at_base: list[tuple[int, str]] = field(default_factory=list)
    changed: tuple[int, str] = (0, "")
    old_tests: tuple[int, str] = (0, "")
    broken: tuple[int, str] = (2, "")
    commands: list[str] = field(default_factory=list)

    async def verify(
        self,
        command: str,
        *,
        timeout_seconds: float,
        at_base: bool = False,
        as_before: object = (),
        as_shown: bool = False,
    ) -> CommandRecord:
        self.commands.append(command)
        if command != "t":
            found = self.broken
        elif at_base:
            found = self.at_base.pop(0)
        else:
            found = self.old_tests if as_before else self.changed
        return CommandRecord(command, found[0], 5, found[1], Tier.SANDBOX)


async def tried(host: Runs, *changes: FileChange, **options: bool) -> tuple[bool, str]:
    """Whether the change may be proposed, and what the record says of it."""
    trials = Trials(host, ["t"], 60, **options)
    before = await trials.base()
    (record,) = after = await trials.change(before, changes)
    return not fails(after) or same_failures(before, after), record.reason


async def test_a_change_that_passes_without_touching_tests_is_run_once() -> None:
    host = Runs(at_base=[(1, ONE)])
    assert await tried(host, CODE, must_mend=True) == (True, "")
    assert host.commands == ["t", "t"]


@pytest.mark.parametrize(
    ("old_tests", "is_fine"),
    [((0, "ok"), True), ((1, ONE), False), ((1, "FAILED tests/test_a.py::test_two - assert 3"), False)],
)
async def test_a_change_that_touches_tests_has_to_pass_the_old_ones(
    old_tests: tuple[int, str], is_fine: bool
) -> None:
    host = Runs(at_base=[(1, ONE)], old_tests=old_tests)
    assert (await tried(host, CODE, TEST))[0] is is_fine


async def test_where_the_request_says_that_tests_are_wrong_the_new_ones_count() -> None:
    host = Runs(at_base=[(1, ONE)], old_tests=(1, ONE))
    assert await tried(host, TEST, may_change_tests=True) == (True, "")


async def test_one_of_two_failures_that_ends_with_its_test_has_not_ended() -> None:
    both = ONE + OTHER.format(1)
    host = Runs(at_base=[(1, both)], changed=(1, OTHER.format(1)), old_tests=(1, both))
    assert await tried(host, TEST) == (
        False,
        "with these tests as they were before the change: tests/test_a.py",
    )
    fair = Runs(at_base=[(1, both)], changed=(1, OTHER.format(1)), old_tests=(1, OTHER.format(1)))
    assert (await tried(fair, TEST))[0]


async def test_code_that_makes_tests_disappear_has_not_mended_them() -> None:
    host = Runs(at_base=[(1, f"{ONE}1 failed, 2 passed in 0.1s\n")], changed=(0, "2 passed in 0.1s\n"))
    assert await tried(host, CODE) == (False, "fewer tests ran than before the change: 2 of 3")


async def test_a_failure_that_stays_is_old_where_it_does_not_need_what_is_changed() -> None:
    both, left = ONE + OTHER.format(1), OTHER.format(1)
    host = Runs(
        at_base=[(1, both)], changed=(1, left), broken=(1, f"{left}ERROR tests/test_a.py - ImportError\n")
    )
    assert await tried(host, CODE, must_mend=True) == (True, "")
    assert host.commands[-1].startswith("rm -f -- a.py\n") and host.commands[-1].endswith("\nt")


async def test_a_failure_that_stays_in_what_is_changed_is_not_mended() -> None:
    both, left = ONE + OTHER.format(1), OTHER.format(1)
    host = Runs(at_base=[(1, both)], changed=(1, left), broken=(1, "ERROR tests/test_b.py - ImportError\n"))
    found = await tried(host, CODE, must_mend=True)
    assert found == (False, "what fails still depends on files that are changed: a.py")


async def test_only_a_bug_has_to_be_mended_and_only_code_that_was_there_is_taken_away() -> None:
    for changes, must_mend in (([CODE], False), ([TEST], True), ([change("b.py", None, "x\n")], True)):
        host = Runs(at_base=[(1, ONE)], changed=(1, ONE))
        assert await tried(host, *changes, must_mend=must_mend) == (True, "")
        assert host.commands == ["t", "t"]


async def test_a_path_is_no_part_of_the_shells_language() -> None:
    host = Runs(at_base=[(1, ONE)], changed=(1, ONE), broken=(1, ONE))
    assert (await tried(host, change("a; $(b) 'c'.py", "x\n", "y\n"), must_mend=True))[0]
    assert host.commands[-1].startswith("""rm -f -- 'a; $(b) '"'"'c'"'"'.py'\n""")


@pytest.mark.parametrize(("second", "is_fine"), [("port 8", True), ("port 7", False)])
async def test_words_that_differ_are_looked_at_on_the_base_once_more(second: str, is_fine: bool) -> None:
    head = "FAILED tests/test_a.py::test_one - "
    host = Runs(at_base=[(1, f"{head}port 7"), (1, head + second)], changed=(1, f"{head}port 9"))
    found, reason = await tried(host, CODE)
    assert found is is_fine
    assert ("differ from run to run" in reason) is is_fine

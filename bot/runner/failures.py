"""When a failing verification speaks against a change, and when it says nothing about it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bot.domain.enums import Tier
from bot.domain.values import CommandRecord
from bot.runner.reports import Measure, failures, names, number_run

_OLD_TESTS: Final = "with these tests as they were before the change: "
_UNSTEADY: Final = "fails as before; without the change too its words differ from run to run"
_FEWER: Final = "fewer tests ran than before the change: "
_MISSING_TOOL: Final = "toolchain missing: "
_RELATED: Final = "what fails still depends on files that are changed: "
NOT_FOUND: Final = 127
"""What a shell ends with when a program is not there."""

_MISSING: Final = re.compile(r"(?:^|: )(?:line )?(?:\d+: )?([\w.+-]+): (?:command )?not found$", re.MULTILINE)


def fails(records: Sequence[CommandRecord]) -> bool:
    """Whether any command ran and did not end with 0, or was green for want of tests."""
    return any(record.exit_code not in (0, None) or record.reason.startswith(_FEWER) for record in records)


def same_failures(before: Sequence[CommandRecord], after: Sequence[CommandRecord]) -> bool:
    """Whether each command that fails after the change failed so before it.

    The exit code must be the same, and each failure that the test runner names must have been there before
    with the same error text, noise apart (`bot.runner.reports`); where it names none, the whole output.
    """
    return all(any(is_known(old, record) for old in before) for record in after if fails([record]))


def got_better(before: Sequence[CommandRecord], after: Sequence[CommandRecord]) -> bool:
    """Whether anything that failed before the change passes after it."""
    return any(
        old.command == new.command and _is_better(old, new) for old in before for new in after if fails([old])
    )


def is_known(old: CommandRecord, new: CommandRecord, measure: Measure = Measure.TEXT) -> bool:
    """Whether the failure *new* is nothing but failures of *old*, compared as closely as *measure* says."""
    if new.reason.startswith((_OLD_TESTS, _FEWER, _RELATED)) or not _are_alike(old, new):
        return False
    if new.reason and new.reason in (old.reason, _UNSTEADY):
        return True
    return failures(new.output, measure) <= failures(old.output, measure)


def is_unsteady(old: CommandRecord, again: CommandRecord, new: CommandRecord) -> bool:
    """Whether *new* differs from *old* in nothing but what differs from *old* to *again*, of the same files.

    Failure by failure: one whose words are steady without the change must have the same words with it.
    """
    if not (_are_alike(old, again) and is_known(old, new, Measure.NAME)):
        return False
    for measure in (Measure.TEXT, Measure.WORDS):
        first, second = failures(old.output, measure), failures(again.output, measure)
        shaky = {name for name, _ in (first - second) | (second - first)}
        if any(name not in shaky for name, _ in failures(new.output, measure) - first):
            return False
    return True


def is_independent(record: CommandRecord, without: CommandRecord) -> bool:
    """Whether each failure of *record* is the same in *without*, a run in which some files were not there."""
    measure = Measure.NAME if record.reason == _UNSTEADY else Measure.TEXT
    return failures(record.output, measure) <= failures(without.output, measure)


def with_missing_toolchain(record: CommandRecord) -> CommandRecord:
    """*record*, or where a program is not in the sandbox: that it did not run, and which one is missing.

    For a run on the base alone: after a change, a change could have made up the missing program.
    """
    missing = _MISSING.findall(record.output) if record.exit_code == NOT_FOUND else []
    if not missing:
        return record
    reason = f"{_MISSING_TOOL}{missing[-1]} is not in the sandbox"
    return replace(record, exit_code=None, tier=Tier.NONE, reason=reason)


def did_not_run(record: CommandRecord) -> bool:
    """Whether a program that *record*'s command needs was not in the sandbox (`with_missing_toolchain`)."""
    return record.tier is Tier.NONE and record.reason.startswith(_MISSING_TOOL)


def with_old_tests(record: CommandRecord, paths: Sequence[str]) -> CommandRecord:
    """*record* of a failing run, with a change, of the tests at *paths* as they were before it.

    Such a failure is never an old one: it was hidden by changing the tests that showed it.
    """
    return replace(record, reason=f"{_OLD_TESTS}{', '.join(paths)}")


def as_unsteady(record: CommandRecord) -> CommandRecord:
    """*record* of a failure whose words differ from run to run on the base too: it counts as an old one."""
    return replace(record, reason=_UNSTEADY)


def as_related(record: CommandRecord, paths: Sequence[str]) -> CommandRecord:
    """*record* of an old failure that needs the files at *paths*, which were changed and did not mend it."""
    return replace(record, reason=f"{_RELATED}{', '.join(paths)}")


def with_fewer_tests(old: CommandRecord, new: CommandRecord) -> CommandRecord:
    """*new*; where it ran fewer tests than *old*, which failed, that it has failed for that.

    For a run of the tests as they were before the change, by which they must not become fewer.
    """
    before, after = number_run(old.output), number_run(new.output)
    if not before or not fails([old]) or (after or 0) >= before:
        return new
    return replace(new, reason=f"{_FEWER}{after or 0} of {before}")


def hides_failures(records: Sequence[CommandRecord]) -> bool:
    """Whether a failure shows with the old tests alone."""
    return any(record.reason.startswith(_OLD_TESTS) for record in records)


def _are_alike(old: CommandRecord, new: CommandRecord) -> bool:
    return (old.command, old.exit_code) == (new.command, new.exit_code)


def _is_better(old: CommandRecord, new: CommandRecord) -> bool:
    if not fails([new]):
        return new.passed
    before, after = names(old.output), names(new.output)
    return bool(after) and after < before

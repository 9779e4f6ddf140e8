"""When a failing verification speaks against a change, and when it says nothing about it."""

import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bot.domain.enums import Tier
from bot.domain.values import CommandRecord

_OLD_TESTS: Final = "with these tests as they were before the change: "
NOT_FOUND: Final = 127
"""What a shell ends with when a program is not there."""

# What differs between two equal test runs: times, addresses, process ids in temporary names.
_NOISE: Final = re.compile(r"\d+(\.\d+)? ?(s|ms|seconds?)\b|0x[0-9a-f]+|/tmp/[^\s:\"']+")
# How test runners name one failure: pytest, unittest, Go, Cargo, Jest and Vitest, TAP, JUnit, RSpec.
_FAILURES: Final = re.compile(
    r"^(?:(?:FAILED|ERROR) \S+::\S+|(?:FAIL|ERROR): \S+ \(\S+\)|\s*--- FAIL: \S+|test \S+ \.\.\. FAILED"
    r"|\s*● .+|\s*[✕✗\xd7] .+|not ok \d+ .+|\[ERROR\]\s+\S+[.:#]\S+.*|rspec \S+:\d+.*)",
    re.MULTILINE,
)
_MISSING: Final = re.compile(r"(?:^|: )(?:line )?(?:\d+: )?([\w.+-]+): (?:command )?not found$", re.MULTILINE)


def fails(records: Sequence[CommandRecord]) -> bool:
    """Whether any command ran and did not end with 0."""
    return any(record.exit_code not in (0, None) for record in records)


def same_failures(before: Sequence[CommandRecord], after: Sequence[CommandRecord]) -> bool:
    """Whether each command that fails after the change failed so before it.

    The exit code must be the same, and either the whole output (noise apart), or where the test runner
    names what failed: nothing fails that did not fail before.
    """
    return all(any(_is_known(old, record) for old in before) for record in after if fails([record]))


def got_better(before: Sequence[CommandRecord], after: Sequence[CommandRecord]) -> bool:
    """Whether anything that failed before the change passes after it."""
    return any(
        old.command == new.command and (new.passed or _named(new) < _named(old))
        for old in before
        for new in after
        if fails([old])
    )


def with_missing_toolchain(record: CommandRecord) -> CommandRecord:
    """*record*, or where a program is not in the sandbox: that it did not run, and which one is missing.

    For a run on the base alone: after a change, a change could have made up the missing program.
    """
    missing = _MISSING.findall(record.output) if record.exit_code == NOT_FOUND else []
    if not missing:
        return record
    reason = f"toolchain missing: {missing[-1]} is not in the sandbox"
    return replace(record, exit_code=None, tier=Tier.NONE, reason=reason)


def with_old_tests(record: CommandRecord, paths: Sequence[str]) -> CommandRecord:
    """*record* of a failing run, with a change, of the tests at *paths* as they were before it.

    Such a failure is never an old one: it was hidden by taking away the tests that showed it.
    """
    return replace(record, reason=f"{_OLD_TESTS}{', '.join(paths)}")


def _is_known(old: CommandRecord, new: CommandRecord) -> bool:
    if new.reason.startswith(_OLD_TESTS) or (old.command, old.exit_code) != (new.command, new.exit_code):
        return False
    if old.reason and old.reason == new.reason:
        return True
    named = _named(new)
    return _shape(old) == _shape(new) or (bool(named) and named <= _named(old))


def _named(record: CommandRecord) -> frozenset[str]:
    """What the test runner says has failed, noise apart."""
    return frozenset(_NOISE.sub("", found).strip() for found in _FAILURES.findall(record.output))


def _shape(record: CommandRecord) -> str:
    return _NOISE.sub("", record.output)

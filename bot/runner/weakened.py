"""What a change does to the tests of a repository: taken away, skipped, or left with fewer assertions."""

import re
from collections.abc import Sequence
from typing import Final

from bot.domain.values import FileChange
from bot.runner import patch_lines
from bot.runner.patch_lines import Line

_TEST_PATH: Final = re.compile(
    r"(^|/)(tests?|specs?|__tests__)/|(^|/)test_[^/]*\.py$|_test\.(py|go|rb|exs|cc|cpp|dart)$"
    r"|[._-](test|spec)\.[cm]?[jt]sx?$|_spec\.rb$|Tests?\.(java|kt|cs|php|scala)$",
)
_DEFINITION: Final = re.compile(
    r"(?:def (test\w*)|func (Test\w+)|(?:public |private )?(?:async )?(?:void|Task|function|fun) (test\w+)"
    r"|\b(?:it|test|specify|scenario)\s*\(?\s*[\"'`](.+?)[\"'`]|fn (test_\w+|\w+_test)\b)"
)
_SKIP: Final = re.compile(
    r"@(?:pytest\.mark\.|unittest\.)?(?:skip\w*|xfail|expectedFailure)\b|\b(?:pytest|self)\.(?:skip|skipTest|xfail)\("
    r"|@(?:Disabled|Ignore)\b|\b(?:xit|xdescribe|xtest|xcontext)\s*\(|\b(?:it|test|describe)\.(?:skip|only|todo)\b"
    r"|\bt\.Skip|#\[ignore|^\s*(?:pending|skip)\b"
)
_ASSERTION: Final = re.compile(
    r"\bassert\w*\b|\bexpect\s*\(|\.should\b|\bt\.(?:Error|Fatal)f?\(|\brequire\.\w+\("
)


def is_test(path: str) -> bool:
    """Whether the file at *path* is one of the tests, by the usual names."""
    return _TEST_PATH.search(path) is not None


def findings(changes: Sequence[FileChange]) -> list[tuple[str, str]]:
    """Where and how the change weakens the tests: `path:line` and what is wrong there."""
    now = _names([line for change in changes for line in patch_lines.added(change)])
    return [found for change in changes if is_test(change.path) for found in _in_file(change, now)]


def weakened(changes: Sequence[FileChange]) -> tuple[str, ...]:
    """The test files of the base that the change takes tests or assertions away from."""
    now = _names([line for change in changes for line in patch_lines.added(change)])
    known = (change for change in changes if is_test(change.path) and not change.is_new)
    return tuple(change.path for change in known if _in_file(change, now))


def _in_file(change: FileChange, now: frozenset[str]) -> list[tuple[str, str]]:
    """The findings in one file of tests; *now* are the names that the whole change defines."""
    gone = patch_lines.removed(change)
    lost = [(line, name) for line in gone for name in _names([line]) - now]
    if change.content is None:
        return [(change.path, "deletes this file of tests")] if lost or not _names(gone) else []
    found = [(_at(change, line), f"takes the test {name!r} away") for line, name in lost]
    added = patch_lines.added(change)
    found += [(_at(change, line), "skips a test, or all others") for line in added if _SKIP.search(line.text)]
    before, after = _assertions(gone), _assertions(added)
    if not found and after < before:
        place = gone[0] if gone else Line(1, "")
        found.append((_at(change, place), f"leaves {before - after} assertions fewer than there were"))
    return found


def _names(lines: Sequence[Line]) -> frozenset[str]:
    matches = (_DEFINITION.search(line.text) for line in lines)
    return frozenset(next(filter(None, match.groups())) for match in matches if match)


def _assertions(lines: Sequence[Line]) -> int:
    return sum(_ASSERTION.search(line.text) is not None for line in lines)


def _at(change: FileChange, line: Line) -> str:
    return f"{change.path}:{line.number}"

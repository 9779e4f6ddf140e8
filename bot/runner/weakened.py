"""What a change does to the tests of a repository: taken away, skipped, weakened, or no longer collected."""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from bot.domain.values import FileChange
from bot.runner import patch_lines
from bot.runner.patch_lines import Line

_TEST_PATH: Final = re.compile(
    r"(^|/)(tests?|specs?|__tests__)/|(^|/)test_[^/]*\.py$|_test\.(py|go|rb|exs|cc|cpp|dart)$"
    r"|[._-](test|spec)\.[cm]?[jt]sx?$|_spec\.rb$|Tests?\.(java|kt|cs|php|scala)$",
)
# What a test expects, and what decides which tests are found and run; manifests are protected anyway.
_BESIDE_TESTS: Final = re.compile(
    r"(^|/)(testdata|fixtures?|golden|expected|(__)?snapshots(__)?)/|\.(snap|golden)$"
    r"|(^|/)(conftest\.py|pytest\.ini|tox\.ini|noxfile\.py|(site|user)customize\.py|[^/]+\.pth|[^/]+\.mk"
    r"|(jest|vitest|karma|ava|playwright|cypress)\.[^/]+|\.mocharc[^/]*|phpunit\.xml[^/]*|\.rspec"
    r"|(gnu)?makefile|justfile|taskfile\.ya?ml|rakefile)$"
    # Modules of these names are found before the test runner's own.
    r"|(^|/)(unittest|_?pytest|doctest|nose2?)(\.py$|/)",
    re.IGNORECASE,
)
_CHECKS: Final = re.compile(r"test|spec|check|verif|lint", re.IGNORECASE)
_DOCTEST: Final = re.compile(r"^\s*>>> ")
_RUST_TESTS: Final = re.compile(r"^[ \t]*#\[(?:cfg\()?test", re.MULTILINE)
_NOUN: Final = (
    r"(?:unit |failing |old )?(?:tests?|specs?|expectations?|assertions?|expected values?|snapshots?)\b"
    r"(?! (?:results?|outputs?|runs?|errors?|messages?|data))"
)
_ADJECTIVE: Final = r"(?:wrong|outdated|out of date|stale|obsolete|incorrect|mistaken|flaky)\b"
_ABOUT_TESTS: Final = re.compile(
    rf"\b{_ADJECTIVE} {_NOUN}"
    rf"|\b{_NOUN}(?: \S+)?(?: itself| themselves)? (?:is|are|was|were) (?:itself |now )?{_ADJECTIVE}"
    r"|(?<!not )(?<!n['\u2019]t )(?<!never )"
    r"\b(?:update|correct|adapt|rewrite|change|remove|delete|skip|disable) "
    rf"(?:the |that |this )?(?:{_ADJECTIVE} )?{_NOUN}",
    re.IGNORECASE,
)
_DEFINITION: Final = re.compile(
    r"(?:def (test\w*)|func (Test\w+)|(?:public |private )?(?:async )?(?:void|Task|function|fun) (test\w+)"
    r"|\b(?:it|test|specify|scenario)\s*(?:\(\s*)?[\"'`](.+?)[\"'`]|fn (test_\w+|\w+_test)\b)"
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


def deciding(changes: Sequence[FileChange], commands: Sequence[str]) -> tuple[str, ...]:
    """The changed files that decide what the tests say: tests, what they expect, how they are found and run.

    New and deleted ones too, and a file that one of *commands* runs when its name says that it checks.
    """
    run = [word for command in commands for word in _run_by(command)]
    paths = (change.path for change in changes)
    return tuple(path for path in paths if is_test(path) or _BESIDE_TESTS.search(path) or _is_run(path, run))


def changed(changes: Sequence[FileChange]) -> tuple[str, ...]:
    """The files of tests that were there before and are different now, or gone."""
    known = (change.path for change in changes if not change.is_new)
    return tuple(path for path in known if is_test(path) or _BESIDE_TESTS.search(path))


def inline(changes: Sequence[FileChange]) -> list[str]:
    """Where the change takes away what tests in the code's own files expect (doctests, Rust)."""
    return [
        _at(change, line)
        for change in changes
        if not is_test(change.path)
        for line in _expected_inline(change)
    ]


def _expected_inline(change: FileChange) -> list[Line]:
    """The removed lines of *change* that claim something within tests."""
    kept = {line.text.strip() for line in patch_lines.added(change)}
    gone = [line for line in patch_lines.removed(change) if line.text.strip() not in kept]
    if not change.path.endswith(".rs"):
        return [line for line in gone if _DOCTEST.search(line.head)]
    tests = _RUST_TESTS.search(change.content or "")
    first = (change.content or "")[: tests.start()].count("\n") + 1 if tests else 0
    return [line for line in gone if line.number > first and _ASSERTION.search(line.head)]


def is_asked_for(request: str) -> bool:
    """Whether *request* says in so many words that tests are wrong, or that they are to be changed."""
    return _ABOUT_TESTS.search(" ".join(request.split())) is not None


def _run_by(command: str) -> list[str]:
    """What may be paths of the repository in *command*, `-m package.module` among them; those that check."""
    words = re.split(r"[\s;&|()<>\"']+", command)
    modules = [word.replace(".", "/") for flag, word in pairwise(words) if flag == "-m"]
    paths = [word.removeprefix("./").rstrip("/") for word in words]
    checks = [path for path in paths if path.endswith(".sh") or _CHECKS.search(path.rsplit("/", 1)[-1])]
    return [*checks, *(f"{each}.py" for each in modules if _CHECKS.search(each.rsplit("/", 1)[-1])), *modules]


def _is_run(path: str, run: Sequence[str]) -> bool:
    return any(path == each or (_CHECKS.search(each) and path.startswith(f"{each}/")) for each in run if each)


def _in_file(change: FileChange, now: frozenset[str]) -> list[tuple[str, str]]:
    """The findings in one file of tests; *now* are the names that the whole change defines."""
    gone = patch_lines.removed(change)
    lost = [(line, name) for line in gone for name in _names([line]) - now]
    if change.content is None:
        return [(change.path, "deletes this file of tests")] if lost or not _names(gone) else []
    found = [(_at(change, line), f"takes the test {name!r} away") for line, name in lost]
    added = patch_lines.added(change)
    found += [(_at(change, line), "skips a test, or all others") for line in added if _SKIP.search(line.head)]
    before, after = _assertions(gone), _assertions(added)
    if not found and after < before:
        place = gone[0] if gone else Line(1, "")
        found.append((_at(change, place), f"leaves {before - after} assertions fewer than there were"))
    return found


def _names(lines: Sequence[Line]) -> frozenset[str]:
    matches = (_DEFINITION.search(line.head) for line in lines)
    return frozenset(next(filter(None, match.groups())) for match in matches if match)


def _assertions(lines: Sequence[Line]) -> int:
    return sum(_ASSERTION.search(line.head) is not None for line in lines)


def _at(change: FileChange, line: Line) -> str:
    return f"{change.path}:{line.number}"

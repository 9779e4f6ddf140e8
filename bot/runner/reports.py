"""What the output of a test run says has failed, and how: each failure's name and its error text.

The text is what the test runner says is wrong, without the way there (frames, source lines, line numbers) and
without what differs between two equal runs: times, addresses, temporary names. Where no runner's report is
found, the whole output is one failure without a name.
"""

import hashlib
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Final, TypeAlias

MAX_LINE_CHARS: Final = 2_000
"""What is beyond it in a line is compared by its digest."""

Failures: TypeAlias = Counter[tuple[str, str]]
"""Each failure as its name and its text, and how often it is reported."""


class Measure(IntEnum):
    """How closely two failures are compared: the finest first."""

    TEXT = 0
    WORDS = 1
    NAME = 2


class _Reach(IntEnum):
    """Which lines below its head belong to a failure: none, those further in, or all until the next part."""

    LINE = 0
    INDENTED = 1
    SECTION = 2


def _forms(reach: _Reach, *patterns: str) -> list[tuple[re.Pattern[str], _Reach]]:
    return [(re.compile(pattern), reach) for pattern in patterns]


# The heads of a failure: its name; of one that is a single line, its name and its text.
_SECTIONS: Final = _forms(
    _Reach.SECTION,
    r"((?:FAIL|ERROR|UNEXPECTED SUCCESS): \S.*)$",  # unittest
    r"(_{3,} .+?) _{3,}$",  # pytest
    r"(---- \S+ stdout ----)$",  # cargo test
    r"\s*(FAIL\s+\S+ > .+)$",  # Vitest
    r"\d+(\) \w\S*::\w.*)$",  # PHPUnit
)
_FORMS: Final = [
    *_SECTIONS,
    *_forms(
        _Reach.LINE,
        r"((?:FAILED|ERROR) \S+\.\w+(?:::.*?)?)(?: - (.*))?$",  # pytest
        r"(test \S+ \.\.\. FAILED)()$",  # cargo test
        r"(panic:) (.*)$",  # Go
        r"(error(?:\[\w+\])?:) (.*)$",  # rustc, and many others
        r"(\[ERROR\]\s+[\w$]+(?:\.[\w$]+)+)(?::\d+)?(\s.*)?$",  # Maven
        r"(rspec \S+?):\d+(.*)$",
        # Compilers and linters.
        r"([\w./\\@-]*\.\w+)(?:\(\d+,\d+\)|:\d+(?::\d+)?):? (?!\w*[Ww]arning|note)(\S.*)$",
    ),
    *_forms(
        _Reach.INDENTED,
        r"\s*(--- FAIL: \S+)",  # Go
        r"\s*(not ok) \d+(.*)$",  # TAP, node:test
        r"\s*([✖✕✗×] .+)$",  # node:test, Jest, Vitest  # noqa: RUF001 (their own signs)
        r"\s*(● .+)$",  # Jest
        r"\s+\d+(\) .+)$",  # Mocha, RSpec
    ),
]
_ENDS: Final = re.compile(
    r"={3,}(?: .* ={3,})?$|Ran \d+ tests? in |failures:$|test result: |⎯{3,}|(?:FAILURES|ERRORS)!$"
)
# In Go's long form the words of a test stand above its verdict.
_RUNS: Final = re.compile(r"=== (?:RUN|CONT|NAME)\s+(\S+)|\s*--- (?:PASS|SKIP): ")
_GO: Final = "--- FAIL: "

_FRAME: Final = re.compile(
    r"^\s*at .+:\d+:\d+\)?$|[\w/]\.\w+:\d+:\d+\)?$|node:internal/\S+$|^\s*\u276f |^\s*# \S+:\d+:in |"
    r"^\s*(?:>\s*)?\d+ \|"
    r"|^\s*\| *\^+$|^\s*[~^]+\s*$|^-{20,}$|^\s*(?:duration_ms|location): |^\[?Process exited"
)
_CONTROL: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~])?|\r")
_NOISE: Final = (
    (re.compile(r"\bat 0x[0-9a-fA-F]+|\b0x[0-9a-f]{9,16}\b"), "at 0x?"),
    (re.compile(r"/tmp/pytest-of-\w+/pytest-\d+"), "/tmp/?"),  # noqa: S108 (a name in an output)
    (re.compile(r"/tmp/[^\s/:\"'?]+"), "/tmp/?"),  # noqa: S108
    (re.compile(r"(\.\w+\"?), line \d+"), r"\1, line ?"),
    (re.compile(r"^(\s*(?:thread .* panicked at )?[\w./\\@-]*\.\w+):\d+(?::\d+)?"), r"\1:?"),
    (re.compile(r"(\.rs):\d+:\d+"), r"\1:?"),
    (re.compile(r"^(thread '[^']*') \(\d+\)"), r"\1"),
    (re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d[.,]\d+"), "????-??-??"),
    (re.compile(r"\b\d+\.\d{3,} ?(?:s|ms|µs|ns|seconds?|milliseconds?)\b"), "? s"),
    (re.compile(r"\b(?:in|after) \d+(?:\.\d+)? ?m?s(?:econds?)?(?= =*$|$)"), "in ? s"),
    (re.compile(r"\b\d+ (subtests? failed)"), r"? \1"),
    (re.compile(r"\b(seed)([=: ]+)\d+", re.IGNORECASE), r"\1\2?"),
)
_LENGTH: Final = re.compile(r"\b\d+(?:\.\d+)? ?(?:s|ms|µs|ns|seconds?|milliseconds?)\b")
_CLAIM: Final = re.compile(r"expect|assert|error|want|\bgot\b|actual|[!=]=", re.IGNORECASE)
_NAME_TAIL: Final = re.compile(r"(?<!\s)\s*\(?(?:\b\d+(?:\.\d+)?|\?) ?m?s\)?$")

# How many tests a runner has run, and how many of these it has skipped.
_NUMBER: Final = r"(?<!\d)(\d{1,9})"
_COUNTS: Final = (
    (r"(?m)^Ran (\d+) tests? in ", r"(?m)^(?:OK|FAILED) \(.*?skipped=(\d+)"),
    (rf"(?m){_NUMBER} (?:passed|failed|errors?|xpassed)\b(?=.* in [\d.]+s)", r"(?!)"),
    (r"(?m)^test result: \w+\. (\d+) passed", r"(?!)"),
    (r"(?m)^test result: .*?; (\d+) failed", r"(?!)"),
    (r"(?m)^(?:#|ℹ) tests (\d+)", r"(?m)^(?:#|ℹ) (?:skipped|todo) (\d+)"),  # noqa: RUF001
    (rf"(?m)^[ \t]*Tests:? .*?{_NUMBER} passed", r"(?!)"),
    (rf"(?m)^[ \t]*Tests:? .*?{_NUMBER} failed", r"(?!)"),
)


@dataclass(slots=True)
class _Found:
    """A failure that is being read."""

    name: str
    reach: _Reach
    indent: int
    lines: list[str] = field(default_factory=list)


def failures(output: str, measure: Measure = Measure.TEXT) -> Failures:
    """Every failure that *output* names; its whole text as one without a name where it names none."""
    lines = _lines(output)
    found = list(_read(lines))
    if not found:
        text = "\n".join(_unnamed(line) for line in _essence(lines))
        return Counter([("", _measured(text, min(measure, Measure.WORDS)))])
    return Counter((_name(each.name), _measured(plain(each.lines), measure)) for each in found)


def names(output: str) -> Counter[str]:
    """The names alone; empty where no runner's report is found."""
    return Counter(name for name, _ in failures(output, Measure.NAME).elements() if name)


def plain(lines: Iterable[str]) -> str:
    """The error text in *lines*, noise apart; a second time nothing is left to take out."""
    return "\n".join(_essence(lines))


def number_run(output: str) -> int | None:
    """How many tests were run and not skipped, as the runner counts them; None: it does not say."""
    text = "\n".join(_lines(output))
    counts = [
        sum(int(number) for number in re.findall(more, text))
        - sum(int(number) for number in re.findall(less, text))
        for more, less in _COUNTS
        if re.search(more, text)
    ]
    return sum(counts) if counts else None


def _lines(output: str) -> list[str]:
    return [_clipped(line) for line in _CONTROL.sub("", output).split("\n")]


def _read(lines: Iterable[str]) -> Iterator[_Found]:
    found: _Found | None = None
    said: dict[str, list[str]] = {}
    running: list[str] = []
    for line in lines:
        head = _head(line, _SECTIONS if found and found.reach is _Reach.SECTION else _FORMS)
        run = _RUNS.match(line)
        if head is not None:
            if found is not None:
                yield found
            found = head
            found.lines += said.pop(head.name.removeprefix(_GO), [])
        elif found is not None and _is_over(found, line):
            yield found
            found = None
        elif found is not None:
            found.lines.append(line)
        else:
            running.append(line)
        if run is not None or head is not None:
            running = said.setdefault(run[1] or "", []) if run is not None else []
    if found is not None:
        yield found


def _head(line: str, forms: Iterable[tuple[re.Pattern[str], _Reach]]) -> _Found | None:
    for pattern, reach in forms:
        match = pattern.match(line)
        if match is not None:
            parts = [part or "" for part in match.groups()]
            name, lines = (parts[0], parts[1:]) if reach is _Reach.LINE else ("".join(parts), [])
            return _Found(name, reach, len(line) - len(line.lstrip()), lines)
    return None


def _is_over(found: _Found, line: str) -> bool:
    if found.reach is _Reach.SECTION:
        return _ENDS.match(line) is not None
    is_inside = not line.strip() or len(line) - len(line.lstrip()) > found.indent
    return found.reach is _Reach.LINE or not is_inside


def _essence(lines: Iterable[str]) -> Iterator[str]:
    """What is wrong, line by line: of pytest's sections what it marks, of others all but the frames."""
    kept = list(lines)
    marked = [line[1:] for line in kept if re.match(r"E(\s|$)", line)]
    is_frame = False
    for line in marked or kept:
        if line.startswith("Traceback (most recent call last)"):
            is_frame = True
        elif not (is_frame and (line.startswith(" ") or not line)):
            is_frame = False
            bare = _without_noise(line)
            if bare and not _FRAME.search(line):
                yield bare


def _without_noise(line: str) -> str:
    line = line.strip()
    for pattern, instead in _NOISE:
        line = pattern.sub(instead, line)
    return line


def _unnamed(line: str) -> str:
    """A line of an output that is no report: a length of time in it is noise unless it claims something."""
    return line if _CLAIM.search(line) else _LENGTH.sub("? s", line)


def _name(head: str) -> str:
    return _NAME_TAIL.sub("", _without_noise(head))


def _measured(text: str, measure: Measure) -> str:
    if measure is Measure.TEXT:
        return text
    return " ".join(sorted(re.findall(r"\w+", text))) if measure is Measure.WORDS else ""


def _clipped(line: str) -> str:
    if len(line) <= MAX_LINE_CHARS:
        return line
    rest = hashlib.sha256(line[MAX_LINE_CHARS:].encode("utf-8", "replace")).hexdigest()
    return f"{line[:MAX_LINE_CHARS]} {rest}"

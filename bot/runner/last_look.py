"""A last look at a change before it is proposed, by rules alone: what an author would be ashamed of."""

import re
from collections.abc import Callable, Iterator, Sequence
from typing import Final, TypeAlias

from bot.domain.paths import protected_reason
from bot.domain.values import FileChange
from bot.runner import patch_lines, weakened
from bot.runner.outcome import MAX_CHANGED_LINES, MAX_FILES, changed_lines, is_too_large
from bot.runner.patch_lines import MAX_LINE_CHARS, Hunk, Line

MAX_FINDINGS: Final = 20
MAX_NEW_FILE_CHARS: Final = 100_000
MIN_COMMENTED_LINES: Final = 3

Found: TypeAlias = tuple[str, str]
"""Where (`path` or `path:line`), and what is wrong there."""
_Rule: TypeAlias = Callable[[FileChange], Iterator[Found]]

_SCRATCH: Final = re.compile(
    r"(^|/)(?:(scratch|te?mp|debug|repro(duce)?|playground|delete_?me|untitled)([_-][^/]*)?\.\w+"
    r"|[^/]*(\.(orig|rej|bak|log|swp|pyc|tmp)|~)|\.DS_Store)$",
    re.IGNORECASE,
)
_CODE: Final = re.compile(
    r"\.(py|[cm]?[jt]sx?|go|rs|rb|php|java|kts?|cs|c|cc|cpp|h|hpp|swift|scala|ex|exs|lua|sh|vue|svelte)$"
)
_DEBUG: Final = re.compile(
    r"\bbreakpoint\(\)|\bi?pdb\b|^\s*debugger\b|\bdbg!\(|\bbinding\.(pry|irb)\b|\bbyebug\b|\bvar_dump\(|\bdd\("
    r"|\b(?:print|println|console\.\w+|log)\(\s*f?[\"'`](?:debug|here|xxx|>>>|===|\*\*\*|---)",
    re.IGNORECASE,
)
_PRINT: Final = re.compile(
    r"^\s*(print\(|console\.(log|debug)\(|System\.(out|err)\.print|fmt\.Print|println!\(|puts |eprintln!\()"
)
_PRINTS_BY_TRADE: Final = re.compile(
    r"(^|/)(cli|scripts?|bin|tools?|examples?|__main__)(/|\.)|(^|/)main\.\w+$"
)
_LATER: Final = re.compile(r"\b(TODO|FIXME|XXX|HACK)\b")
_CONFLICT: Final = re.compile(r"^(<{7} |={7}$|>{7} )")
_COMMENT: Final = re.compile(r"^\s*(#(?!!)|//|--|/?\*|;;)")
# The sign of a comment behind code, and the quotation marks behind which it may be none.
_BEHIND_HASH: Final = (re.compile(r"\s#"), "\"'")
_BEHIND_SLASHES: Final = (re.compile(r"\s//"), "\"'`")
_HASH_COMMENTS: Final = (".py", ".rb", ".sh", ".ex", ".exs")
_INDENTED: Final = (".py", ".yml", ".yaml", ".md", ".haml", ".pug", ".nim", "Makefile")
_CODE_LIKE: Final = re.compile(
    r"[;{}]\s*$|\)\s*(?::\s*)?$|\w\s*[-+*/|]?=\s*\S|^\W*(def|return|import|from|func|let|const)\b.*\S$"
)


def look(changes: Sequence[FileChange]) -> list[Found]:
    """Everything that is wrong with *changes*, the gravest kind first, `MAX_FINDINGS` at most."""
    found = [*_sizes(changes), *_by(_protected, changes), *weakened.findings(changes)]
    for rule in _RULES:
        found += _by(rule, changes)
    return found[:MAX_FINDINGS]


def is_hollow(changes: Sequence[FileChange]) -> bool:
    """Whether nothing of code is changed but comments, blank lines and white space."""
    code = [change for change in changes if _CODE.search(change.path)]
    return bool(code) and len(code) == len(changes) and all(_is_hollow(change) for change in code)


def _by(rule: _Rule, changes: Sequence[FileChange]) -> list[Found]:
    return [each for change in changes for each in rule(change)]


def _sizes(changes: Sequence[FileChange]) -> Iterator[Found]:
    if is_too_large(changes):
        most = f"at most {MAX_FILES} files and {MAX_CHANGED_LINES} lines are proposed at once"
        yield "the whole change", f"touches {len(changes)} files and {changed_lines(changes)} lines; {most}"


def _protected(change: FileChange) -> Iterator[Found]:
    if protected_reason(change.path) is not None:
        yield change.path, "is protected: only a person may change it, so the change cannot be proposed"


def _conflicts(change: FileChange) -> Iterator[Found]:
    yield from _each(change, _CONFLICT, "holds a conflict marker")


def _scratch(change: FileChange) -> Iterator[Found]:
    if change.is_new and _SCRATCH.search(change.path) and not weakened.is_test(change.path):
        yield change.path, "looks like a file that you made for yourself"


def _too_long(change: FileChange) -> Iterator[Found]:
    if change.is_new and len(change.content or "") > MAX_NEW_FILE_CHARS:
        yield change.path, f"is a new file of {len(change.content or '')} characters"
    for line in patch_lines.added(change):
        if len(line.text) > MAX_LINE_CHARS:
            yield f"{change.path}:{line.number}", f"is a line of {len(line.text)} characters"
            return


def _debugging(change: FileChange) -> Iterator[Found]:
    if not _CODE.search(change.path):
        return
    yield from _each(change, _DEBUG, "looks like a trace of debugging")
    prints = [line for line in _own(change) if _PRINT.search(line.head) and not _DEBUG.search(line.head)]
    everywhere = sum(
        _PRINT.search(text[:MAX_LINE_CHARS]) is not None for text in (change.content or "").split("\n")
    )
    is_usual = everywhere > len(prints) or change.is_new or _PRINTS_BY_TRADE.search(change.path)
    if not is_usual and not weakened.is_test(change.path):
        for line in prints:
            yield f"{change.path}:{line.number}", "prints, which nothing else in this file does"


def _put_off(change: FileChange) -> Iterator[Found]:
    yield from _each(change, _LATER, "puts work off")


def _commented_out(change: FileChange) -> Iterator[Found]:
    if not _CODE.search(change.path):
        return
    for hunk in patch_lines.hunks(change):
        for run in _runs(hunk.added):
            code = sum(_CODE_LIKE.search(_COMMENT.sub("", line.head)) is not None for line in run)
            if len(run) >= MIN_COMMENTED_LINES and code >= MIN_COMMENTED_LINES and 3 * code >= 2 * len(run):
                yield f"{change.path}:{run[0].number}", f"adds {len(run)} lines of commented-out code"


def _reformatted(change: FileChange) -> Iterator[Found]:
    if change.is_new or change.content is None:
        return
    for hunk in patch_lines.hunks(change):
        if hunk.added and hunk.removed and _is_white(change.path, hunk):
            line = hunk.added[0].number
            yield (
                f"{change.path}:{line}",
                "changes white space only; leave alone what need not change",
            )


_RULES: Final[tuple[_Rule, ...]] = (
    _conflicts,
    _scratch,
    _too_long,
    _debugging,
    _put_off,
    _commented_out,
    _reformatted,
)


def _each(change: FileChange, pattern: re.Pattern[str], words: str) -> Iterator[Found]:
    for line in _own(change):
        if pattern.search(line.head):
            yield f"{change.path}:{line.number}", words


def _own(change: FileChange) -> list[Line]:
    """The added lines that were not only moved."""
    gone = {line.text.strip() for line in patch_lines.removed(change)}
    return [line for line in patch_lines.added(change) if line.text.strip() not in gone]


def _runs(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Comment lines that follow each other."""
    run: list[Line] = []
    for line in lines:
        if _COMMENT.match(line.head) and (not run or line.number == run[-1].number + 1):
            run.append(line)
            continue
        if run:
            yield run
        run = [line] if _COMMENT.match(line.head) else []
    if run:
        yield run


def _is_white(path: str, hunk: Hunk) -> bool:
    """Whether a hunk changes nothing but white space; where indentation is meaning, only at line ends."""
    old, new = ([line.text for line in lines] for lines in (hunk.removed, hunk.added))
    if path.endswith(_INDENTED):
        return [text.rstrip() for text in old] == [text.rstrip() for text in new]
    return "".join("".join(old).split()) == "".join("".join(new).split())


def _is_hollow(change: FileChange) -> bool:
    if change.is_new or change.content is None:
        return False
    return all(
        _bare(change.path, hunk.added) == _bare(change.path, hunk.removed)
        for hunk in patch_lines.hunks(change)
    )


def _bare(path: str, lines: Sequence[Line]) -> list[str]:
    """What is left of *lines* without comments, white space that means nothing, and blank lines."""
    kept = [line.text for line in lines if line.text.strip() and not _COMMENT.match(line.head)]
    sign, quotes = _BEHIND_HASH if path.endswith(_HASH_COMMENTS) else _BEHIND_SLASHES
    bare = [_without_comment(text, sign, quotes) for text in kept]
    return bare if path.endswith(_INDENTED) else ["".join("".join(bare).split())]


def _without_comment(text: str, sign: re.Pattern[str], quotes: str) -> str:
    """*text* without the comment behind its last quotation mark; in time linear in its length."""
    found = sign.search(text, max(text.rfind(quote) for quote in quotes) + 1)
    return (text[: found.start()] if found else text).rstrip()

"""The tool search_code: its arguments, its pages, its lines of context."""

from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from typing import Final

from bot.domain.paths import split
from bot.workspace.toolhost.beneath import MAX_FILE_BYTES, Tree, Trouble
from bot.workspace.toolhost.corpus import Corpus, Member, Parts, below
from bot.workspace.toolhost.globs import glob_pattern
from bot.workspace.toolhost.patterns import compiled
from bot.workspace.toolhost.reading import check_numbers, shown
from bot.workspace.toolhost.reply import MAX_REPLY_CHARS, clip_around
from bot.workspace.toolhost.search import Hit, Wanted, hits, shown_lines

MAX_HITS: Final = 500
MAX_CONTEXT_LINES: Final = 10
MAX_LINE_CHARS: Final = 400
_NAMED_LARGE_FILES: Final = 3
_MARKS_CHARS: Final = 60
"""What clipping adds to a line at most."""


class Finder:
    """Searches the text of one tree."""

    def __init__(self, tree: Tree, corpus: Corpus) -> None:
        """Search *tree* as *corpus* holds it."""
        self._tree = tree
        self._corpus = corpus

    def search_code(
        self,
        pattern: str,
        regex: bool = False,  # noqa: FBT001, FBT002 - it comes by its name, from JSON
        path: str = ".",
        limit: int = 100,
        ignore_case: bool = False,  # noqa: FBT001, FBT002 - it comes by its name, from JSON
        glob: str = "",
        context: int = 0,
        skip: int = 0,
    ) -> str:
        """The lines that hold *pattern*, literally or as a regular expression, after the first *skip*."""
        check_numbers(limit=limit, skip=skip + 1, context=context + 1)
        wanted = _wanted(glob)
        sought = compiled(pattern, is_regex=regex, ignores_case=ignore_case)
        parts = split(path)
        members = self._members(parts)
        found = hits(self._corpus, parts, sought, wanted)
        skipped = sum(1 for _ in islice(found, skip))
        page = _Page(min(limit, MAX_HITS), min(context, MAX_CONTEXT_LINES))
        rest = next((hit for hit in found if not page.takes(hit)), None)
        lines = page.lines()
        if rest is not None:
            last = skip + page.count
            lines.append(f"[hits {skip + 1}-{last}; there are more: go on with skip={last}]")
            return "\n".join(lines)
        lines += _unsearched(member for member in members if wanted(member))
        if page.count == 0:
            nothing = f"Only {skipped} lines match; nothing is left after skip={skip}."
            lines.insert(0, nothing if skipped else "No line matches.")
        return "\n".join(lines)

    def _members(self, parts: Parts) -> list[Member]:
        """The files at or below *parts*, all as they are now.

        Raises:
            RefusedPath, Trouble: *parts* is neither a directory nor a text file that the tools may open.
        """
        members = self._corpus.refresh()
        places = below(members, parts)
        found = members[places.start : places.stop]
        if not found or found[0].parts == parts:
            self._check_there(parts)
        return found

    def _check_there(self, parts: Parts) -> None:
        try:
            with self._tree.directory(parts):
                return
        except Trouble:
            self._tree.read(parts)


class _Page:
    """The hits of one answer: as many as were asked for and fit."""

    def __init__(self, limit: int, context: int) -> None:
        self.count = 0
        self._limit = limit
        self._context = context
        self._room = MAX_REPLY_CHARS
        self._hits: list[Hit] = []

    def takes(self, hit: Hit) -> bool:
        """Add *hit*, unless the page is full."""
        line_chars = len(hit.member.path) + 12 + min(len(hit.line), MAX_LINE_CHARS + _MARKS_CHARS)
        size = line_chars * (1 + 2 * self._context)
        if self.count == self._limit or (self.count and size > self._room):
            return False
        self._room -= size
        self.count += 1
        self._hits.append(hit)
        return True

    def lines(self) -> list[str]:
        """What is shown: `path:line: text`, and `path-line- text` for lines of context."""
        if not self._context:
            return [_shown_hit(hit) for hit in self._hits]
        groups = (list(group) for _, group in groupby(self._hits, lambda hit: hit.member))
        return [line for group in groups for line in _with_context(group, self._context)]


def _wanted(glob: str) -> Wanted:
    if not glob:
        return lambda _member: True
    matches = glob_pattern(glob).fullmatch
    return lambda member: matches(member.path) is not None


def _shown_hit(hit: Hit) -> str:
    line = clip_around(hit.line, hit.column, MAX_LINE_CHARS)
    return shown(f"{hit.member.path}:{hit.number}: {line}")


def _with_context(group: list[Hit], context: int) -> Iterator[str]:
    """The hits of one file among their neighbours; `--` stands where lines are left out."""
    lines = shown_lines(group[0].block, group[0].place)
    by_number = {hit.number: hit for hit in group}
    shown_to = 0
    for hit in group:
        first = max(shown_to + 1, hit.number - context)
        if first > shown_to + 1 or not shown_to:
            yield "--"
        last = min(len(lines), hit.number + context)
        for number in range(first, last + 1):
            known = by_number.get(number)
            plain = clip_around(lines[number - 1], 0, MAX_LINE_CHARS)
            yield _shown_hit(known) if known else shown(f"{hit.member.path}-{number}- {plain}")
        shown_to = max(shown_to, last)


def _unsearched(members: Iterable[Member]) -> list[str]:
    large = [member.path for member in members if member.stamp[1] > MAX_FILE_BYTES]
    if not large:
        return []
    names = ", ".join(large[:_NAMED_LARGE_FILES]) + (", …" if len(large) > _NAMED_LARGE_FILES else "")
    return [shown(f"[not searched, above {MAX_FILE_BYTES} bytes: {names}]")]

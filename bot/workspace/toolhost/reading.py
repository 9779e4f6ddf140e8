"""The tools that only look: read_file, list_directory, search_files, search_code."""

import re
from collections.abc import Callable, Iterator

from bot.domain.paths import RefusedPath, split
from bot.workspace.toolhost.beneath import Tree, Trouble
from bot.workspace.toolhost.reply import MAX_REPLY_CHARS, clip
from bot.workspace.toolhost.walk import Entry, entries, glob_pattern

MAX_LINES = 2_000
MAX_LISTED = 1_000
MAX_DEPTH = 10
MAX_FOUND = 500
MAX_LINE_CHARS = 400


def decoded(content: bytes) -> str:
    """*content* as text.

    Raises:
        Trouble: It holds a NUL byte or is not UTF-8.
    """
    if b"\0" in content:
        raise Trouble("This is a binary file; the tools handle text only.")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        raise Trouble("This file is not UTF-8 text; the tools handle UTF-8 only.") from None


def shown(text: str) -> str:
    """*text* fit for JSON and eyes: names with undecodable bytes keep a replacement sign."""
    return text.encode("utf-8", "replace").decode("utf-8")


class Looker:
    """The tools that only look, on one tree."""

    def __init__(self, tree: Tree) -> None:
        """Look at *tree*."""
        self._tree = tree

    def read_file(self, path: str, offset_line: int = 1, limit_lines: int = MAX_LINES) -> str:
        """The numbered lines of a file from *offset_line* on, and where to go on reading."""
        _check_at_least_one(offset_line=offset_line, limit_lines=limit_lines)
        content, _ = self._tree.read(split(path))
        lines = decoded(content).split("\n")
        if lines[-1] == "":
            lines.pop()
        if not lines:
            return f"{path} is empty."
        if offset_line > len(lines):
            raise Trouble(f"{path} has {len(lines)} lines; there is no line {offset_line}.")
        page = _page(lines[offset_line - 1 :][: min(limit_lines, MAX_LINES)], offset_line)
        last = offset_line + len(page) - 1
        more = "" if last == len(lines) else f" (go on with offset_line={last + 1})"
        ends = ", lines end with CRLF" if b"\r\n" in content else ""
        return f"{path}, lines {offset_line}-{last} of {len(lines)}{ends}{more}\n" + "\n".join(page)

    def list_directory(self, path: str = ".", depth: int = 1) -> str:
        """The entries of a directory, down to *depth* levels."""
        _check_at_least_one(depth=depth)
        listed = entries(self._tree, split(path), min(depth, MAX_DEPTH))
        return _report(listed, MAX_LISTED, "The directory is empty.")

    def search_files(self, pattern: str, path: str = ".") -> str:
        """The paths that match a glob."""
        glob = glob_pattern(pattern)
        below = entries(self._tree, split(path))
        found = (entry for entry in below if not entry.is_directory and _matches(glob, entry))
        return _report(found, MAX_FOUND, "No file matches.")

    def search_code(
        self,
        pattern: str,
        regex: bool = False,  # noqa: FBT001, FBT002 - it comes by its name, from JSON
        path: str = ".",
        limit: int = 100,
    ) -> str:
        """The lines that hold *pattern*, literally or as a regular expression."""
        _check_at_least_one(limit=limit)
        search = _searcher(pattern, is_regex=regex)
        limit = min(limit, MAX_FOUND)
        hits: list[str] = []
        for parts in _text_files(self._tree, split(path)):
            hits += _hits(self._tree, parts, search, limit + 1 - len(hits))
            if len(hits) > limit:
                hits[limit:] = [f"[the first {limit} hits; narrow the search with path]"]
                break
        return clip(shown("\n".join(hits))) or "No line matches."


def _hits(tree: Tree, parts: tuple[str, ...], search: Callable[[str], object], limit: int) -> list[str]:
    try:
        text = decoded(tree.read(parts)[0])
    except (Trouble, RefusedPath):
        return []
    path = "/".join(parts)
    numbered = enumerate(text.replace("\r\n", "\n").split("\n"), start=1)
    found = (f"{path}:{number}: {clip(line, MAX_LINE_CHARS)}" for number, line in numbered if search(line))
    return [hit for hit, _ in zip(found, range(limit), strict=False)]


def _searcher(pattern: str, *, is_regex: bool) -> Callable[[str], object]:
    if not pattern:
        raise Trouble("The pattern is empty.")
    if not is_regex:
        return lambda line: pattern in line
    try:
        return re.compile(pattern).search
    except (re.error, OverflowError, RecursionError) as error:
        raise Trouble(f"The regular expression is not well formed: {error}.") from None


def _text_files(tree: Tree, parts: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """The plain files below *parts*, or *parts* itself when it is one."""
    try:
        below = list(entries(tree, parts))
    except Trouble:
        tree.read(parts)
        yield parts
        return
    yield from (entry.parts for entry in below if entry.is_file)


def _matches(glob: re.Pattern[str], entry: Entry) -> bool:
    return glob.fullmatch("/".join(entry.parts)) is not None


def _page(lines: list[str], offset_line: int) -> list[str]:
    """As many numbered lines as fit, at least one."""
    page: list[str] = []
    room = MAX_REPLY_CHARS
    for number, line in enumerate(lines, start=offset_line):
        text = f"{number:6}\t{clip(line.removesuffix(chr(13)))}"
        room -= len(text) + 1
        if page and room < 0:
            break
        page.append(text)
    return page


def _report(found: Iterator[Entry], limit: int, nothing: str) -> str:
    """The labels of the first *limit* entries, and whether there are more."""
    labels = [entry.label for entry, _ in zip(found, range(limit + 1), strict=False)]
    if len(labels) > limit:
        labels[limit:] = [f"[the first {limit}; narrow it with path]"]
    return clip(shown("\n".join(labels))) or nothing


def _check_at_least_one(**numbers: int) -> None:
    for name, value in numbers.items():
        if value < 1:
            raise Trouble(f"{name} must be at least 1.")

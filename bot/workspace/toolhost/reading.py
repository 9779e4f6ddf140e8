"""The tools that only look at files and names: read_file, list_directory, search_files."""

import re

from bot.domain import masks
from bot.domain.paths import split
from bot.workspace.toolhost.beneath import Tree, Trouble
from bot.workspace.toolhost.globs import glob_pattern
from bot.workspace.toolhost.reply import MAX_REPLY_CHARS, clip, paged
from bot.workspace.toolhost.walk import Entry, entries

MAX_LINES = 2_000
MAX_LISTED = 1_000
MAX_DEPTH = 10
MAX_FOUND = 500


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
        check_numbers(offset_line=offset_line, limit_lines=limit_lines)
        parts = split(path)
        content, _ = self._tree.read(parts)
        text, _ = masks.mask_file(parts[-1], decoded(content))
        lines = text.split("\n")
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

    def list_directory(self, path: str = ".", depth: int = 1, skip: int = 0) -> str:
        """The entries of a directory, down to *depth* levels, after the first *skip*."""
        check_numbers(depth=depth, skip=skip + 1)
        listed = entries(self._tree, split(path), min(depth, MAX_DEPTH))
        labels = (shown(entry.label) for entry in listed)
        return paged(labels, skip=skip, limit=MAX_LISTED, nothing="The directory is empty.")

    def search_files(self, pattern: str, path: str = ".", skip: int = 0) -> str:
        """The paths that match a glob, after the first *skip*."""
        check_numbers(skip=skip + 1)
        glob = glob_pattern(pattern)
        below = entries(self._tree, split(path))
        found = (entry for entry in below if not entry.is_directory and _matches(glob, entry))
        labels = (shown(entry.label) for entry in found)
        return paged(labels, skip=skip, limit=MAX_FOUND, nothing="No file matches.")


def check_numbers(**numbers: int) -> None:
    """Let *numbers* pass when each is at least 1; a `skip` is given one more than it is.

    Raises:
        Trouble: One is too small.
    """
    for name, value in numbers.items():
        if value < 1:
            raise Trouble(f"{name} must be at least {0 if name == 'skip' else 1}.")


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

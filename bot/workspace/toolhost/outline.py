"""The tool outline: the definitions of a file or a directory, with their line numbers."""

import ast
from collections.abc import Iterator
from typing import Final

from bot.domain import masks
from bot.domain.paths import split
from bot.workspace.toolhost.beneath import Tree, Trouble
from bot.workspace.toolhost.corpus import Corpus, Parts
from bot.workspace.toolhost.languages import definitions_of, numbered, suffix_of
from bot.workspace.toolhost.reading import check_numbers, decoded, shown
from bot.workspace.toolhost.reply import clip_around, paged
from bot.workspace.toolhost.search import shown_lines

MAX_DEFINITIONS: Final = 400
MAX_PARSED_CHARS: Final = 300_000
"""A longer Python file is read by its lines alone: its tree would take too long and too much memory."""
_MAX_SHOWN_CHARS: Final = 160


class Outliner:
    """Outlines of the files of one tree."""

    def __init__(self, tree: Tree, corpus: Corpus) -> None:
        """Outline *tree*, whole directories of it as *corpus* holds them."""
        self._tree = tree
        self._corpus = corpus

    def outline(self, path: str = ".", skip: int = 0) -> str:
        """The definitions of the file or below the directory *path*, after the first *skip* lines."""
        check_numbers(skip=skip + 1)
        parts = split(path)
        try:
            with self._tree.directory(parts):
                found = self._of_directory(parts)
        except Trouble:
            found = self._of_file(parts)
        return paged(found, skip=skip, limit=MAX_DEFINITIONS, nothing="No definition is known here.")

    def _of_file(self, parts: Parts) -> Iterator[str]:
        content, _ = self._tree.read(parts)
        text = decoded(content).replace("\r\n", "\n")
        lines = masks.mask_file(parts[-1], text)[0].split("\n")
        for number in definition_lines(parts[-1], text):
            yield _shown_line(number, lines)

    def _of_directory(self, parts: Parts) -> Iterator[str]:
        """A line for each file, and one for each definition that is not within another."""
        self._corpus.refresh()
        for block, indexes in self._corpus.blocks(parts):
            for index in indexes:
                member = block.members[index]
                if definitions_of(member.parts[-1]) is None:
                    continue
                lines = shown_lines(block, index)
                numbers = _by_lines(member.parts[-1], "\n".join(lines))
                outer = [n for n in numbers if not lines[n - 1][:1].isspace()]
                if outer:
                    yield shown(f"{member.path}:")
                    yield from (_shown_line(number, lines) for number in outer)


def definition_lines(name: str, text: str) -> list[int]:
    """The numbers of the lines of *text* where something is defined, in the language of the file *name*."""
    # Python ends a line at a carriage return too: its numbers would not be those of our lines.
    if suffix_of(name) in {"py", "pyi"} and len(text) <= MAX_PARSED_CHARS and "\r" not in text:
        try:
            return _by_syntax(text)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return _by_lines(name, text)
    return _by_lines(name, text)


def _by_syntax(text: str) -> list[int]:
    """The definitions of a Python text, also those inside of conditions; no expression is entered."""
    found: list[int] = []
    waiting: list[ast.AST] = [ast.parse(text)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.append(node.lineno)
        waiting += [
            child
            for field in ("body", "orelse", "finalbody", "handlers", "cases")
            for child in getattr(node, field, ())
            if isinstance(getattr(node, field), list)
        ]
    return sorted(found)


def _by_lines(name: str, text: str) -> list[int]:
    return [number for number, _ in numbered(name, text)]


def _shown_line(number: int, lines: list[str]) -> str:
    return shown(f"{number:6}\t{clip_around(lines[number - 1].rstrip(), 0, _MAX_SHOWN_CHARS)}")

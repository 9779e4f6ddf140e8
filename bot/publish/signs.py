"""The signs of our own record: whatever a model claims to have run, its words carry none of them.

A heading of its is below ours, a table of its has not the head of ours, and the marks of what passed, failed
or did not run are other marks there. What stands in a block of code stays as it is.
"""

import re
from collections.abc import Iterator, Sequence
from typing import Final

from markdown_it.token import Token

from bot.publish.surface import parsed

RECORD_HEAD: Final = ("Command", "Before the change", "After the change")
PASSED, FAILED, NOT_RUN = "✅", "❌", "⚪"
LEAST_LEVEL: Final = 4
"""The level of headings in a model's words; ours are of the one above."""

_MARKS: Final = str.maketrans({PASSED: "✓", FAILED: "✗", NOT_RUN: "○"})
_MAY_HAVE: Final = re.compile(rf"[#|{PASSED}{FAILED}{NOT_RUN}]|^[ \t>*+-]*(?:=+|-+)[ \t]*$", re.MULTILINE)
_LEVEL: Final = re.compile(r"#{1,6}")


def unsigned(markdown: str) -> str:
    """*markdown* without the signs of our record; the second time nothing changes."""
    if not _MAY_HAVE.search(markdown):
        return markdown
    tokens = parsed(markdown)
    lines = markdown.split("\n")
    for number in set(range(len(lines))) - set(_code_lines(tokens)):
        lines[number] = lines[number].translate(_MARKS)
    for place, token in enumerate(tokens):
        if token.type == "heading_open" and int(token.tag[1:]) < LEAST_LEVEL:
            _lower(lines, token)
        elif token.type == "table_open" and _head(tokens[place:]) == [_plain(cell) for cell in RECORD_HEAD]:
            # Without the line below its head a table is none.
            lines[_lines_of(token).start + 1] = ""
    return "\n".join(lines).rstrip("\n")


def _code_lines(tokens: Sequence[Token]) -> Iterator[int]:
    for token in tokens:
        if token.type in {"fence", "code_block"}:
            yield from _lines_of(token)


def _lower(lines: list[str], heading: Token) -> None:
    """Bring one heading down; one that is underlined becomes a paragraph."""
    where = _lines_of(heading)
    if heading.markup.startswith("#"):
        lines[where.start] = _LEVEL.sub("#" * LEAST_LEVEL, lines[where.start], count=1)
    else:
        lines[where.stop - 1] = ""


def _head(tokens: Sequence[Token]) -> list[str]:
    """The words in the head of the table that *tokens* begin with."""
    end = next(place for place, token in enumerate(tokens) if token.type == "thead_close")
    return [_plain(token.content) for token in tokens[:end] if token.type == "inline"]


def _plain(cell: str) -> str:
    """A cell's letters."""
    return "".join(filter(str.isalnum, cell)).casefold()


def _lines_of(token: Token) -> range:
    first, last = token.map or (0, 0)
    return range(first, last)

"""search_code: which lines of the tree match, by one pass over the text that is held in memory.

No other program is started: ripgrep and git grep read configuration from the tree and can be told to run
commands, so they would need the file server's confinement opened. `plain_hits` says line by line what a
search means; `hits` finds the same lines quickly (a property test holds them together).
"""

import re
from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from bot.domain import masks
from bot.workspace.toolhost.corpus import Block, Corpus, Member, Parts
from bot.workspace.toolhost.patterns import Pattern

_HIDDEN: Final = re.compile(r"\0[^\0]*\0")
"""A secret in a text that is being searched: no text holds a NUL, and no pattern is tried on it."""

Wanted = Callable[[Member], bool]


class Hit(NamedTuple):
    """A line that matches: its number from 1, where the match begins, and all lines of its file."""

    member: Member
    number: int
    column: int
    line: str
    block: Block
    place: int


def hits(corpus: Corpus, parts: Parts, pattern: Pattern, wanted: Wanted) -> Iterator[Hit]:
    """The matching lines of the files at or below *parts*, by path and then by number."""
    rarest: tuple[bytes, ...] | None = None
    for block, indexes in corpus.blocks(parts):
        if rarest is None and pattern.needles and block.data:
            rarest = min(pattern.needles, key=lambda words: _count(block, words, pattern))
        if rarest:
            yield from _by_needles(block, indexes, pattern, rarest, wanted)
        else:
            yield from _by_text(block, indexes, pattern, wanted)


def plain_hits(corpus: Corpus, parts: Parts, pattern: Pattern, wanted: Wanted) -> Iterator[Hit]:
    """As `hits`, by trying every line of every file."""
    for block, indexes in corpus.blocks(parts):
        for index in indexes:
            if wanted(block.members[index]):
                yield from _line_by_line(block, index, pattern)


def shown_lines(block: Block, index: int) -> list[str]:
    """The lines of one file as a model may read them."""
    return [_shown(line) for line in _lines(block, index)]


def _by_needles(
    block: Block, indexes: range, pattern: Pattern, words: tuple[bytes, ...], wanted: Wanted
) -> Iterator[Hit]:
    """Try the lines that hold one of *words*; in a file with a secret, every line."""
    places = _places(block, indexes, pattern, words)
    position = next(places, -1)
    while position >= 0:
        index = bisect_right(block.starts, position) - 1
        end = block.end(index)
        here: list[int] = []
        while 0 <= position < end:
            here.append(position)
            position = next(places, -1)
        if not wanted(block.members[index]):
            continue
        if block.may_hold_secret(index):
            yield from _line_by_line(block, index, pattern)
        else:
            yield from _at_places(block, index, here, pattern)


def _at_places(block: Block, index: int, places: list[int], pattern: Pattern) -> Iterator[Hit]:
    data, member = block.data, block.members[index]
    number, counted_to = 1, block.starts[index]
    for place in places:
        start = data.rfind(b"\n", counted_to, place) + 1 or counted_to
        line = _decoded(data[start : data.find(b"\n", place)])
        column = pattern.find(line)
        number += data.count(b"\n", counted_to, start)
        counted_to = start
        if column >= 0:
            yield Hit(member, number, column, line, block, index)


def _places(block: Block, indexes: range, pattern: Pattern, words: tuple[bytes, ...]) -> Iterator[int]:
    """Where in the *block* a word stands, rising; at most one place a line."""
    data = block.lowered() if pattern.ignores_case else block.data
    first, last = block.starts[indexes.start], block.end(indexes.stop - 1)
    if pattern.ignores_case and not block.is_ascii:
        words += pattern.strangers
    following = {word: data.find(word, first, last) for word in words}
    while following := {word: place for word, place in following.items() if place >= 0}:
        place = min(following.values())
        yield place
        line_end = data.find(b"\n", place, last)
        following = {
            word: known if known > line_end else data.find(word, line_end, last)
            for word, known in following.items()
        }


def _by_text(block: Block, indexes: range, pattern: Pattern, wanted: Wanted) -> Iterator[Hit]:
    """Try whole files where a match stays in its line, else each line."""
    for index in indexes:
        if not wanted(block.members[index]):
            continue
        if pattern.whole is None or block.may_hold_secret(index):
            yield from _line_by_line(block, index, pattern)
        else:
            yield from _in_whole(block, index, pattern.whole)


def _in_whole(block: Block, index: int, whole: re.Pattern[str]) -> Iterator[Hit]:
    text = _normal(block.text(index))
    number, counted_to = 1, 0
    match = whole.search(text) if text else None
    while match and match.start() < len(text):
        start = text.rfind("\n", 0, match.start()) + 1
        end = text.find("\n", match.start())
        number += text.count("\n", counted_to, start)
        counted_to = start
        line = text[start:end]
        yield Hit(block.members[index], number, match.start() - start, line, block, index)
        match = whole.search(text, end + 1) if end + 1 < len(text) else None


def _line_by_line(block: Block, index: int, pattern: Pattern) -> Iterator[Hit]:
    for number, line in enumerate(_lines(block, index), start=1):
        column = _visible_match(line, pattern)
        if column >= 0:
            yield Hit(block.members[index], number, column, _shown(line), block, index)


def _visible_match(line: str, pattern: Pattern) -> int:
    """Where a match begins that needs nothing of a hidden secret, so that a search cannot spell one out."""
    if "\0" not in line:
        return pattern.find(line)
    pieces = _HIDDEN.split(line)
    return next((0 for piece in pieces if pattern.find(piece) >= 0), -1)


def _lines(block: Block, index: int) -> list[str]:
    """The lines of a file, its secrets hidden."""
    text = _normal(block.text(index))
    if block.may_hold_secret(index):
        text, _ = masks.mask_file(block.members[index].parts[-1], text, lambda kind: f"\0{kind}\0")
    lines = text.split("\n")
    return lines[:-1]


def _shown(line: str) -> str:
    return _HIDDEN.sub(lambda match: masks.shown_mask(match[0][1:-1]), line)


def _normal(data: bytes) -> str:
    """*data* as text, lines ended by a line feed alone; what is no UTF-8 has a replacement sign."""
    return data.decode("utf-8", "replace").replace("\r\n", "\n")


def _decoded(data: bytes) -> str:
    return data.decode("utf-8", "replace").removesuffix("\r")


def _count(block: Block, words: tuple[bytes, ...], pattern: Pattern) -> int:
    data = block.lowered() if pattern.ignores_case else block.data
    return sum(data.count(word) for word in words)

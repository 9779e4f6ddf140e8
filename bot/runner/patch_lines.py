"""The lines of a patch of ours with their numbers, hunk by hunk.

Lines are read below the first hunk's head, so that a file's `+++` is no addition; only a line feed ends one.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from bot.domain.values import FileChange

MAX_LINE_CHARS: Final = 2_000
"""What a pattern is shown of one line: the lines are the model's, and our patterns run in our own process."""

_HUNK: Final = re.compile(r"@@ -\d+(?:,\d+)? \+(\d+)(?:,(\d+))? @@")


@dataclass(frozen=True, slots=True)
class Line:
    """One line: its number in the new file (of the next line there, where it was removed), and its text."""

    number: int
    text: str

    @property
    def head(self) -> str:
        """The beginning of the text, for patterns; `text` is for what compares."""
        return self.text[:MAX_LINE_CHARS]


@dataclass(frozen=True, slots=True)
class Hunk:
    """One piece of a change."""

    added: list[Line] = field(default_factory=list)
    removed: list[Line] = field(default_factory=list)


def hunks(change: FileChange) -> list[Hunk]:
    """The pieces of *change*, in order."""
    return list(_hunks(change.patch))


def added(change: FileChange) -> list[Line]:
    """Every line that *change* adds."""
    return [line for hunk in hunks(change) for line in hunk.added]


def removed(change: FileChange) -> list[Line]:
    """Every line that *change* takes away."""
    return [line for hunk in hunks(change) for line in hunk.removed]


def _hunks(patch: str) -> Iterator[Hunk]:
    hunk, number = None, 0
    for text in patch.split("\n"):
        head = _HUNK.match(text) if text.startswith("@@ ") else None
        if head is not None:
            if hunk is not None:
                yield hunk
            hunk, number = Hunk(), int(head[1]) + (head[2] == "0")
        elif hunk is None:
            continue
        elif text.startswith("+"):
            hunk.added.append(Line(number, text[1:]))
            number += 1
        elif text.startswith("-"):
            hunk.removed.append(Line(number, text[1:]))
        elif text.startswith(" "):
            number += 1
    if hunk is not None:
        yield hunk

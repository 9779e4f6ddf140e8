"""The shape of what a tool answers, and how long text is cut without hiding that it was cut."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

MAX_REPLY_CHARS = 30_000


@dataclass(frozen=True, slots=True)
class Reply:
    """What one tool call answered; the fields of `bot.domain.values.ToolResult`."""

    text: str
    is_error: bool = False
    refused: bool = False


def clip(text: str, max_chars: int = MAX_REPLY_CHARS) -> str:
    """*text* whole, or its head and its tail with the count of what is missing between them."""
    if len(text) <= max_chars:
        return text
    half = max_chars // 2
    missing = len(text) - 2 * half
    return f"{text[:half]}\n[… {missing} characters left out …]\n{text[-half:]}"


def clip_around(line: str, column: int, max_chars: int) -> str:
    """*line* whole, or *max_chars* of it around *column*, with the counts of what is missing."""
    if len(line) <= max_chars:
        return line
    start = max(0, min(column - max_chars // 4, len(line) - max_chars))
    after = len(line) - start - max_chars
    before = f"[… {start} characters …]" if start else ""
    return before + line[start : start + max_chars] + (f"[… {after} characters …]" if after else "")


def paged(entries: Iterable[str], *, skip: int, limit: int, nothing: str) -> str:
    """The entries after the first *skip*, at most *limit* and no more than fit, and how to go on."""
    remaining = iter(entries)
    skipped = sum(1 for _ in islice(remaining, skip))
    page: list[str] = []
    room = MAX_REPLY_CHARS
    for entry in remaining:
        room -= len(entry) + 1
        if page and (len(page) == limit or room < 0):
            page.append(
                f"[{skip + 1}-{skip + len(page)}; there are more: go on with skip={skip + len(page)}]"
            )
            break
        page.append(clip(entry))
    if page:
        return "\n".join(page)
    return f"There are only {skipped}; nothing is left after skip={skip}." if skipped else nothing

"""Text from people and from GitHub, made harmless for a terminal: only what shows, in its own place."""

import json
import unicodedata
from typing import Any, Final

from bot.domain.text import strip_invisible

ELLIPSIS: Final = "…"
_MAX_MARKS: Final = 2
"""Accents on one letter; more of them climb into other lines."""
_MAX_LINE_CHARS: Final = 1_000


def one_line(text: str, *, max_chars: int = _MAX_LINE_CHARS) -> str:
    """*text* in one line without anything that moves the cursor, colours, hides or turns round.

    The second time nothing changes.
    """
    # Twice as much is enough to find what is left after the invisible is gone, however long the text.
    shown = " ".join(_settled(text[: 4 * max_chars]).split())
    return shown if len(shown) <= max_chars else shown[: max_chars - 1].rstrip() + ELLIPSIS


def pretty_json(value: Any) -> str:
    """*value* as indented JSON in which every character that does not show stands as its escape."""
    text = json.dumps(value, ensure_ascii=False, indent=2)
    return "".join(char if _shows(char) else _escape(char) for char in text)


def _settled(text: str) -> str:
    """Without invisible characters, and without piles of accents."""
    while (shown := _without_piles(strip_invisible(text)[0])) != text:
        text = shown
    return shown


def _without_piles(text: str) -> str:
    """*text* with at most _MAX_MARKS combining marks in a row; one without a letter before it goes, too."""
    kept: list[str] = []
    marks = _MAX_MARKS
    for char in text:
        is_mark = unicodedata.category(char) in {"Mn", "Me"}
        marks = marks + 1 if is_mark else 0 if not char.isspace() else _MAX_MARKS
        if marks <= _MAX_MARKS or not is_mark:
            kept.append(char)
    return "".join(kept)


def _shows(char: str) -> bool:
    return char == "\n" or char.isprintable()


def _escape(char: str) -> str:
    """A character of a JSON string as JSON writes it in ASCII (two surrogates beyond the first plane)."""
    return json.dumps(char)[1:-1]

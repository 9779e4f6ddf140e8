"""What can be seen of a text: hidden characters and hidden comments out, everything legible kept.

Invisible characters carry instructions past the eyes of people (tag block, variation selectors,
zero width, bidi overrides); HTML comments do the same. What scripts and emoji need stays:
joiners inside words of scripts that join, emoji sequences, and the three flags made of tags.
"""

import re
import unicodedata
from dataclasses import dataclass
from typing import Final

_OPEN_COMMENT: Final = re.compile(r"^[ ]{0,3}<!--", re.MULTILINE)
# `[//]: # (words)`: a link definition that nothing can use, a well-known way to hide a line.
_HIDDEN_DEFINITION: Final = re.compile(
    r"^[ ]{0,3}\[[^\]\n]+\]:[ \t]*(?:<>|#)[ \t]*(?:\([^)\n]*\)|\"[^\"\n]*\"|'[^'\n]*')[ \t]*(?:\n|\Z)",
    re.MULTILINE,
)
_TERMINAL: Final = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)?)?")
_LINE_END: Final = re.compile("\r\n?|[\u2028\u2029\u0085\x0b\x0c]")
# England, Scotland, Wales: the only tag sequences that Unicode recommends
# (https://unicode.org/Public/emoji/latest/emoji-sequences.txt).
_FLAG: Final = re.compile(
    "\U0001f3f4\U000e0067\U000e0062(?:{})\U000e007f".format(
        "|".join("".join(chr(0xE0000 + ord(letter)) for letter in name) for name in ("eng", "sct", "wls"))
    )
)

_ZWNJ: Final = "\u200c"
_ZWJ: Final = "\u200d"
_EMOJI_STYLE: Final = frozenset("\ufe0e\ufe0f")
# Format characters that have a shape of their own (Prepended_Concatenation_Mark).
_VISIBLE_FORMAT: Final = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)
# Letters and marks that show nothing (Default_Ignorable_Code_Point beside Cf).
_BLANK_LETTERS: Final = frozenset("\u034f\u115f\u1160\u17b4\u17b5\u180b\u180c\u180d\u180f\u3164\uffa0")
# Punctuation with an emoji form, beside the symbols.
_EMOJI_PUNCTUATION: Final = frozenset("\u203c\u2049\u3030")
_DROPPED_CATEGORIES: Final = frozenset({"Cc", "Cf", "Cs", "Co"})
# Scripts in which a joiner between two letters is spelling: Arabic to Sinhala, Myanmar, Khmer, Mongolian.
_JOINING_SCRIPTS: Final = ((0x0600, 0x0DFF), (0x1000, 0x109F), (0x1780, 0x18AF))
# Where code points younger than this Python's tables are pictures or ideographs.
_YOUNG_BLOCKS: Final = ((0x1F000, 0x1FAFF), (0x20000, 0x3FFFD))
_VIRAMA_CLASS: Final = 9


@dataclass(frozen=True, slots=True)
class Normalised:
    """A text as people see it, and how many characters and hidden passages were taken out."""

    text: str
    removed: int


def normalise(text: str) -> Normalised:
    """*text* in NFC with LF line ends, without invisible characters and hidden comments.

    Comments go wherever they stand, also in code; one that is never closed goes to the end of the
    text when it begins a line, as on GitHub. The second time nothing changes.
    """
    removed = 0
    while True:
        shown, invisible = strip_invisible(text)
        shown, comments = _without_comments(shown)
        shown, definitions = _HIDDEN_DEFINITION.subn("", shown)
        removed += invisible + comments + definitions
        if shown == text:
            return Normalised(text, removed)
        text = shown


def strip_invisible(text: str) -> tuple[str, int]:
    """*text* in NFC with LF line ends and without invisible characters, and how many those were.

    Terminal sequences count as one. The second time nothing changes.
    """
    text, removed = _TERMINAL.subn("", _LINE_END.sub("\n", text))
    while True:
        text = unicodedata.normalize("NFC", text)
        if text.isascii() and text.replace("\n", "").replace("\t", "").isprintable():
            return text, removed
        kept = _kept(text)
        if len(kept) == len(text):
            return text, removed
        removed += len(text) - len(kept)
        text = kept


def _kept(text: str) -> str:
    """*text* without the characters that `_stays` drops."""
    kept: list[str] = []
    position = 0
    while position < len(text):
        flag = _FLAG.match(text, position)
        if flag is not None:
            kept.append(flag[0])
            position = flag.end()
            continue
        before = kept[-1][-1] if kept else ""
        if _stays(text[position], before, text[position + 1 : position + 2]):
            kept.append(text[position])
        position += 1
    return "".join(kept)


def _stays(char: str, before: str, after: str) -> bool:
    """Whether *char* is kept between what was kept *before* it and what comes *after*."""
    if char in "\n\t" or _is_solid(char):
        return True
    if char in _EMOJI_STYLE:
        is_keycap = before in set("0123456789#*") and after == "\u20e3"
        return is_keycap or (before != "" and _takes_style(before))
    if char in (_ZWJ, _ZWNJ):
        return _joins(char, before, after)
    return False


def _is_solid(char: str) -> bool:
    """Whether *char* shows something wherever it stands."""
    point, category = ord(char), unicodedata.category(char)
    if char in _BLANK_LETTERS or 0xFE00 <= point <= 0xFE0F or 0xE0000 <= point <= 0xE0FFF:
        return False
    if category == "Cn":
        return _within(point, _YOUNG_BLOCKS)
    return category not in _DROPPED_CATEGORIES or char in _VISIBLE_FORMAT


def _takes_style(char: str) -> bool:
    """Whether *char* may have an emoji and a text form."""
    category = unicodedata.category(char)
    return category == "So" or (category == "Sm" and char >= "\u2190") or char in _EMOJI_PUNCTUATION


def _joins(joiner: str, before: str, after: str) -> bool:
    """Whether a joiner is spelling here: in an emoji sequence, or within a word of a joining script."""
    if not before:
        return False
    if joiner == _ZWJ and after and _takes_style(after):
        return before in _EMOJI_STYLE or "\U0001f3fb" <= before <= "\U0001f3ff" or _takes_style(before)
    if unicodedata.combining(before) == _VIRAMA_CLASS:
        return True
    return bool(after) and all(
        _within(ord(char), _JOINING_SCRIPTS) and unicodedata.category(char)[0] in "LM" and _is_solid(char)
        for char in (before, after)
    )


def _within(point: int, blocks: tuple[tuple[int, int], ...]) -> bool:
    """Whether *point* lies in one of *blocks* (first and last code point)."""
    return any(first <= point <= last for first, last in blocks)


def _without_comments(text: str) -> tuple[str, int]:
    """*text* without HTML comments, and how many there were; in one pass, however many begin."""
    kept, position = "", 0
    count = 0
    while (start := text.find("<!--", position)) != -1 and (end := text.find("-->", start + 4)) != -1:
        kept += text[position:start] + _gap(text, start, end + 3)
        position = end + 3
        count += 1
    unclosed = _OPEN_COMMENT.search(text, position)
    if unclosed is None:
        return kept + text[position:], count
    return kept + text[position : unclosed.start()], count + 1


def _gap(text: str, start: int, end: int) -> str:
    """What stands for a comment: nothing at a line's edge, else a space, so that nothing joins up anew."""
    return "" if text[start - 1 : start] in {"", "\n"} or text[end : end + 1] in {"", "\n"} else " "

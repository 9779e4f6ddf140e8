"""Markdown rewritten so that nothing in it acts: what would act is shown as code.

Blocks of code are found by a CommonMark parser; in every other line the spans of code are matched
within the line and any other backtick is escaped, so that every reader finds the same code.
"""

import re
from collections.abc import Iterator
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token

from bot.publish.surface import ACTIVE, Allowed, is_active

# Languages that GitHub draws instead of showing: https://docs.github.com/en/get-started/writing-on-github
_DRAWN: Final = frozenset({"mermaid", "geojson", "topojson", "stl", "math"})
_PUNCTUATION: Final = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~")
_LEADING_SLASH: Final = re.compile(r"(?:[\s>]|[-*+][ \t]|\d{1,9}[.)][ \t])*(\\*/[A-Za-z][^\s`|]*)")
_LINK: Final = re.compile(
    r"(?P<picture>!?)\[(?P<label>[^\[\]\\`<>\n|]*)\]\([ \t]*(?P<place>[^\s()<>`|\\]+)(?:[ \t]+[^()`|\\]*)?\)"
)
# Bots that read the text itself, not its Markdown, obey such a line in a block of code too:
# https://github.com/bors-ng/bors-ng/issues/173, https://github.com/cncf/prow-github-actions/pull/139
_RAW_COMMAND: Final = re.compile(
    r"(?i)/[a-z][a-z-]*(?:\s|\Z)|bors\b|@(?:bors|dependabot|homu|mergify(?:io)?|renovate|rustbot)\b"
)
_PLAIN_LABEL: Final = re.compile(r"[^\W_][\w .,:;/+()='\"-]*")
_SYNTAX: Final = re.compile(
    r"(?P<html><(?=[A-Za-z/!?]))|(?P<entity>&(?=#?\w{1,40};)(?!(?:amp|lt|gt|quot);))|\](?P<link>[(:\[])"
)
_MARKUP: Final = re.compile(f"(?P<anchor>{_LINK.pattern})|{ACTIVE.pattern}|{_SYNTAX.pattern}")
_BLOCKS: Final = MarkdownIt("commonmark", {"html": False}).enable("table")
_BLOCKS.core.ruler.disable("inline")


def inert(text: str, allowed: Allowed) -> str:
    """One pass over *text*; the caller repeats it until nothing changes."""
    lines = text.split("\n")
    is_code = [False] * len(lines)
    for token in _BLOCKS.parse(text):
        if token.type not in {"fence", "code_block"} or token.map is None:
            continue
        first, end = token.map
        is_code[first:end] = [True] * (end - first)
        if token.type == "fence":
            lines[first] = _undrawn(lines[first], token.info)
            if _is_open(lines, token):
                lines.append(token.markup)
                is_code.append(True)
    return "\n".join(
        indented(line) if code else _line(line, allowed) for line, code in zip(lines, is_code, strict=True)
    )


def indented(line: str) -> str:
    """A line of code; one that a bot would take for a command does not stand at the line's start."""
    return f" {line}" if _RAW_COMMAND.match(line) else line


def _line(line: str, allowed: Allowed) -> str:
    """One line of prose: a command at its start, then its spans of code and what stands between them."""
    out = _Out()
    slash = _LEADING_SLASH.match(line)
    if slash is not None:
        out.text(line[: slash.start(1)])
        out.code(slash[1].lstrip("\\"))
        line = line[slash.end() :]
    for is_code, part in _spans(line):
        if is_code:
            out.span(part)
        else:
            _prose(part, allowed, out)
    return "".join(out.parts)


def _prose(text: str, allowed: Allowed, out: "_Out") -> None:
    """A stretch without code: each thing that acts as code, each sign that begins a link or HTML escaped."""
    position = 0
    for found in _MARKUP.finditer(text):
        out.text(text[position : found.start()])
        position = found.end()
        kind = found.lastgroup
        if kind == "anchor":
            _anchor(found, allowed, out)
        elif kind == "html":
            out.text("&lt;")
        elif kind == "entity":
            out.text("&amp;")
        elif kind == "link":
            out.text("]\\" + found["link"])
        elif is_active(found, allowed):
            out.code(found[0] if kind == "url" else found[0].replace("\\", ""))
        else:
            out.text(found[0])
    out.text(text[position:])


def _anchor(found: re.Match[str], allowed: Allowed, out: "_Out") -> None:
    """A link or a picture: kept when it is an allowed link, else its words and its target as code."""
    label, place = found["label"], found["place"]
    has_active = any(is_active(part, allowed) for part in ACTIVE.finditer(label))
    if not found["picture"] and allowed.link(place) and _PLAIN_LABEL.fullmatch(label) and not has_active:
        out.text(f"[{label}]({place})")
        return
    _prose(label, allowed, out)
    out.text(" (" if label.strip() else "(")
    out.code(place)
    out.text(")")


def _spans(line: str) -> Iterator[tuple[bool, str]]:
    """The spans of code of one line and the text between them, in which every other backtick is escaped."""
    text, position = "", 0
    while position < len(line):
        char = line[position]
        if char == "\\" and line[position + 1 : position + 2] in _PUNCTUATION:
            text += line[position : position + 2]
            position += 2
        elif char == "`":
            run = len(line) - position - len(line[position:].lstrip("`"))
            end = _closing(line, position + run, run)
            if end is None:
                text += "\\`" * run
                position += run
            else:
                yield False, text
                yield True, line[position:end]
                text, position = "", end
        else:
            text += char
            position += 1
    yield False, text


def _closing(line: str, start: int, run: int) -> int | None:
    """Where the next run of exactly *run* backticks ends, or None."""
    for found in re.finditer("`+", line[start:]):
        if len(found[0]) == run:
            return start + found.end()
    return None


def _undrawn(line: str, info: str) -> str:
    """The first line of a fence; a language that GitHub would draw becomes plain text."""
    language = info.strip().split(" ", 1)[0].lower()
    is_disguised = "&" in language or "\\" in language
    return line.replace(info.strip(), "text") if language in _DRAWN or is_disguised else line


def _is_open(lines: list[str], token: Token) -> bool:
    """Whether a fence has no end; only the last one of a text can lack it, outside of any list or quote."""
    first, end = token.map or (0, 0)
    last = lines[end - 1].strip() if end - 1 > first else ""
    return token.level == 0 and not (last.startswith(token.markup) and not last.strip(token.markup[0]))


class _Out:
    """A line as it is put together: keeps spans of code apart from whatever would join them."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self._last = ""

    def text(self, words: str) -> None:
        """Add *words* as they are."""
        if words:
            self.parts.append(words)
            self._last = words[-1]

    def code(self, words: str) -> None:
        """Add *words* (no backtick in them) as a span of code."""
        self.span(f"`{words}`")

    def span(self, written: str) -> None:
        """Add a span of code as it is written, a space before it where it would join with a sign."""
        is_glued = self._last == "`" or self._odd_backslashes()
        self.text(f" {written}" if is_glued else written)

    def _odd_backslashes(self) -> bool:
        """Whether what stands before would escape a backtick."""
        before = self.parts[-1] if self.parts else ""
        return (len(before) - len(before.rstrip("\\"))) % 2 == 1

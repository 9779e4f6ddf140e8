"""What GitHub would act on in a Markdown text, recognised word by word and in the parsed whole."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from markdown_it import MarkdownIt
from markdown_it.token import Token


@dataclass(frozen=True, slots=True)
class Allowed:
    """What may act: lower-case logins, URL prefixes ending in `/`, the thread's own number."""

    mentions: frozenset[str] = frozenset()
    links: tuple[str, ...] = ()
    thread_number: int | None = None

    def link(self, url: str) -> bool:
        """Whether *url* is beneath an allowed prefix, plain in form, and refers to no thread."""
        for prefix in self.links:
            rest = url.removeprefix(prefix)
            if url.startswith(prefix) and _PLAIN_REST.fullmatch(rest) and not _THREAD.match(rest):
                return ".." not in rest
        return False


_PLAIN_REST: Final = re.compile(r"[A-Za-z0-9_./~#=-]*")
_THREAD: Final = re.compile(r"(?i)(?:issues?|pulls?|discussions?|security|advisories)(?:/|$|#)")

# One alternative for each thing that acts. Backslashes before a sign vanish in
# Markdown, so they belong to it; the wide forms of `@` and `#` are read like the plain ones.
_PARTS: Final = {
    "url": r"(?i:[a-z][a-z0-9+.-]{0,30}:/{1,2}|(?:mailto|xmpp|javascript|vbscript|data|file):|www\.)"
    r"[^\s<>`|\"]*[^\s<>`|\"*_~.,:;!?'()\[\]{}\\]",
    "email": r"[A-Za-z0-9._%+-]{1,64}\\{0,4}@[A-Za-z0-9-]{1,63}(?:\.[A-Za-z0-9-]{1,63}){1,5}",
    "mention": r"\\{0,4}[@\uff20\ufe6b](?=[A-Za-z0-9])[A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9._-]{1,100})?",
    "reference": r"(?:(?<![A-Za-z0-9_.-])[A-Za-z0-9_-]{1,64}(?:/[A-Za-z0-9._-]{1,100})?)?\\{0,4}[#\uff03]\d+"
    r"|(?i:\bGH)\\{0,4}-\d+",
    "command": r"(?i:\bbors:?[ \t]+(?:r|d|p|try|merge|delegate|retry|ping|cancel|single|treeclosed)\b"
    r"[+=-]?[^\s`|]{0,80}|\b(?:ok to test|(?:re)?test this please|add to allowlist)\b)",
}
ACTIVE: Final = re.compile("|".join(f"(?P<{name}>{part})" for name, part in _PARTS.items()))
_CLOSING: Final = re.compile(r"(?i)\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\W*\Z")
# The thread's own number stands free in a line: something before it, and a space or a bracket between.
_OPEN: Final = re.compile(r"[^\s>*+_~-][^\w./-]*[ (][*_~]*\Z")
_LEADING_SLASH: Final = re.compile(r"[ \t]*\\*/[A-Za-z]")

_READER: Final = MarkdownIt("commonmark").enable(["table", "strikethrough"])


def is_active(found: re.Match[str], allowed: Allowed) -> bool:
    """Whether what `ACTIVE` *found* would act and may not."""
    kind, word = found.lastgroup, found[0].lstrip("\\")
    if kind == "url":
        return not allowed.link(word)
    if kind == "mention":
        return word[1:].lower() not in allowed.mentions
    if kind == "reference":
        before = found.string[max(0, found.start() - 24) : found.start()]
        is_own = allowed.thread_number is not None and word == f"#{allowed.thread_number}"
        return not is_own or _OPEN.search(before) is None or _CLOSING.search(before) is not None
    return True


def parsed(markdown: str) -> list[Token]:
    """*markdown* as GitHub reads it; a token's `map` holds its lines."""
    return _READER.parse(markdown)


def acts(markdown: str, allowed: Allowed) -> bool:
    """Whether *markdown*, read as GitHub reads it, holds HTML, a picture, a link or a word that acts."""
    tokens = parsed(markdown)
    if any(token.type == "html_block" for token in tokens):
        return True
    return any(_line_acts(token.children or (), allowed) for token in tokens if token.type == "inline")


def _line_acts(children: Sequence[Token], allowed: Allowed) -> bool:
    """Whether one block's inline content acts."""
    for child in children:
        if child.type in {"image", "html_inline"}:
            return True
        if child.type == "link_open" and not allowed.link(str(child.attrGet("href"))):
            return True
    return any(
        _LEADING_SLASH.match(text) is not None
        or any(is_active(found, allowed) for found in ACTIVE.finditer(text))
        for text in _texts(children)
    )


def _texts(children: Sequence[Token]) -> Iterator[str]:
    """The lines of one block as the reader sees them; a sign stands for markup and for code."""
    text = ""
    for child in children:
        if child.type in {"softbreak", "hardbreak"}:
            yield text
            text = ""
        elif child.type == "text":
            text += child.content
        else:
            text += "`" if child.type == "code_inline" else "*"
    yield text

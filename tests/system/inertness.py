"""What GitHub, or a bot that reads along, would act on in a text; a second opinion, written apart."""

import re
from html.parser import HTMLParser
from typing import Final

from markdown_it import MarkdownIt

_READER: Final = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
_OUR_TAGS: Final = frozenset({"sub", "details", "summary"})
_MENTION: Final = re.compile(r"(?<![\w`])@[A-Za-z0-9][\w-]*")
_REFERENCE: Final = re.compile(r"(?<!\w)(?:[\w.-]+/[\w.-]+)?#\d+|\bGH-\d+")
_ADDRESS: Final = re.compile(r"(?:https?|ftp|javascript|data|mailto):\S|www\.\S", re.IGNORECASE)
_COMMAND: Final = re.compile(r"^\s*(?:/[a-z]|bors\b|@\w)", re.IGNORECASE | re.MULTILINE)


class _Shown(HTMLParser):
    """Collects the words outside code, and the tags that do more than form text."""

    def __init__(self) -> None:
        super().__init__()
        self.words = ""
        self.acting: list[str] = []
        self._code_depth = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"code", "pre"}:
            self._code_depth += 1
        if tag in {"a", "img", "script", "iframe", "video", "svg", "picture", "style", "form", "input"}:
            self.acting.append(f"<{tag} {dict(attrs)}>")

    def handle_endtag(self, tag: str) -> None:
        if tag in {"code", "pre"}:
            self._code_depth -= 1
        if tag in {"p", "li", "td", "th", "h3", "summary", "blockquote"}:
            self.words += "\n"

    def handle_data(self, data: str) -> None:
        if not self._code_depth:
            self.words += data


def acting(markdown: str, allowed: frozenset[str] = frozenset()) -> list[str]:
    """Everything in *markdown* that would ping, close, link, load or command; *allowed* are our own words."""
    shown = _Shown()
    shown.feed(_READER.render(re.sub(r"<!-- issuewright:1:[0-9a-f]{32} -->", "", markdown)))
    shown.close()
    found = [
        match[0]
        for pattern in (_MENTION, _REFERENCE, _ADDRESS, _COMMAND)
        for match in pattern.finditer(shown.words)
    ]
    return [*shown.acting, *(word for word in found if word.strip() not in allowed)]


def commands_for_bots(text: str) -> list[str]:
    """Lines that bots which read the raw text (and not its Markdown) would obey."""
    return re.findall(r"(?mi)^(?:/(?:approve|lgtm|merge)\b.*|bors:? r.*|@dependabot .*)$", text)

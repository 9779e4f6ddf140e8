"""Which lines of a Markdown text are a person's own words, and begin with a given prefix."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from functools import lru_cache

from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token

_KIND = "command"
# Elements that GitHub renders (or drops with what is in them) and that stay open until their end tag.
# Other names (`List<String>`) are no HTML to a reader. https://github.com/gjtorikian/html-pipeline
_CONTAINER = re.compile(
    "a|abbr|b|bdo|blockquote|cite|code|del|details|dfn|div|dl|em|figure|h[1-6]|i|iframe|ins|kbd|mark|noscript|ol"
    "|picture|pre|q|ruby|s|samp|script|section|small|span|strike|strong|style|su[bp]|summary|svg|table|textarea"
    "|time|title|tt|ul|var|video"
)
_TAG = re.compile(r"<!--.*?(?:-->|\Z)|<(/?)([A-Za-z][A-Za-z0-9-]*)[^<>]*>", re.DOTALL)


def spoken_lines(lines: Sequence[str], prefix: str) -> Iterator[int]:
    """Yield the index of each line that begins with *prefix*, outside code, quotes, HTML and links.

    CommonMark decides: a lazy line below a quote belongs to the quote. Indentation before the prefix
    is allowed where it makes no code. Upper and lower case of the prefix are the same.
    """
    opening = _opening(prefix)
    if not any(opening.match(line.lstrip(" \t")) for line in lines):
        return
    quotes, html = 0, Counter[str]()
    for token in _markdown(prefix).parse("\n".join(lines)):
        if token.type in ("blockquote_open", "blockquote_close"):
            quotes += token.nesting
        elif token.type == "html_block":
            _count_tags(token.content, html)
        elif token.type == "inline" and not quotes:
            first = _first_line(token, lines)
            found = (first + offset for offset in _marked_lines(token, html))
            yield from (line for line in found if opening.match(lines[line].lstrip(" \t")))


def _first_line(token: Token, lines: Sequence[str]) -> int:
    """The line where a paragraph's content begins; markdown-it strips lines of, say, no-break spaces."""
    first, end = token.map or (0, 0)
    return next((line for line in range(first, end) if lines[line].strip()), first)


def _marked_lines(token: Token, html: Counter[str]) -> Iterator[int]:
    """The lines, counted from the content's first, on which our rule fired outside links and all HTML."""
    inside, links = Counter(html), 0
    for child in token.children or ():
        if child.type == "html_inline":
            _count_tags(child.content, inside)
        elif child.type in ("link_open", "link_close"):
            links += child.nesting
        elif child.type == _KIND and not links and not inside.total():
            yield int(child.meta["line"])


def _count_tags(html: str, still_open: Counter[str]) -> None:
    """Add what a piece of HTML opens to *still_open*, and take away what it closes."""
    for match in _TAG.finditer(html):
        slash, name = match.group(1), (match.group(2) or "").lower()
        if not _CONTAINER.fullmatch(name) or match.group().endswith("/>"):
            continue
        still_open[name] = max(0, still_open[name] + (-1 if slash else 1))


def _opening(prefix: str) -> re.Pattern[str]:
    """Matches the prefix when a space or the end of the line follows."""
    return re.compile(re.escape(prefix) + r"(?=\s|\Z)", re.IGNORECASE)


@lru_cache(maxsize=16)
def _markdown(prefix: str) -> MarkdownIt:
    """CommonMark with HTML, and one more inline rule: the prefix at the start of a line."""
    opening = _opening(prefix)

    def mark(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it calls it so
        match = opening.match(state.src, state.pos)
        if match is None or not _starts_line(state.src, state.pos):
            return False
        if not silent:
            state.push(_KIND, "", 0).meta = {"line": state.src.count("\n", 0, state.pos)}
        state.pos = match.end()
        return True

    markdown = MarkdownIt("commonmark", {"html": True})
    markdown.inline.ruler.before("text", _KIND, mark)
    return markdown


def _starts_line(source: str, position: int) -> bool:
    """Whether only spaces stand between *position* and the start of its line."""
    before = source.rfind("\n", 0, position) + 1
    return not source[before:position].strip(" \t")

"""The one pipeline that model text passes before it is published: nobody pinged, nothing closed or leaked.

Order (DESIGN §11): NFC and invisible characters out, then links, images and HTML, mentions, commands,
closing keywords and references made inert as code, the signs of our own record out, secrets block the
whole, fences balanced, clipped. Code that stands in the text keeps its content. The result is read back as
GitHub reads Markdown; if anything would still act, the whole text is published as one code block. The second
time nothing changes.
"""

from dataclasses import dataclass
from typing import Final

from bot.domain.secret_shapes import find_secrets
from bot.domain.text import strip_invisible
from bot.publish.inert import indented, inert
from bot.publish.plain import plain
from bot.publish.signs import unsigned
from bot.publish.surface import Allowed, acts

# GitHub refuses a body over 65,536 characters; the rest of it is left for markers and footers.
MAX_CHARS: Final = 60_000
# GitHub takes 256; below 70 a title is read whole in lists and in `git log`.
MAX_TITLE_CHARS: Final = 69
MAX_COMMIT_CHARS: Final = 5_000
MAX_ROUNDS: Final = 6
CLIPPED: Final = "*This text was clipped here; the job's artifact holds the whole of it.*"
WITHHELD: Final = "*This text was withheld: it held something that looks like a secret ({}).*"
WITHHELD_TITLE: Final = "Proposed change"


@dataclass(frozen=True, slots=True)
class Sanitized:
    """A text that may be published; `blocked` names the secrets for which its words were withheld."""

    text: str
    blocked: tuple[str, ...]
    clipped: bool


def sanitize(
    text: str,
    *,
    allowed_mentions: frozenset[str] = frozenset(),
    max_chars: int = MAX_CHARS,
    secrets: tuple[str, ...] = (),
    allowed_links: tuple[str, ...] = (),
    thread_number: int | None = None,
) -> Sanitized:
    """*text* as Markdown that is safe to post, at most *max_chars* (at least 200) long.

    *allowed_mentions* are logins that may be pinged, *allowed_links* URL prefixes that end in `/`
    (the repository's own), *thread_number* the only issue that may be referred to; *secrets* are
    known values that must not appear in any spelling.
    """
    allowed = Allowed(frozenset(name.lower() for name in allowed_mentions), allowed_links, thread_number)
    shown, _ = strip_invisible(text)
    blocked = find_secrets(shown, secrets)
    if blocked:
        return Sanitized(WITHHELD.format(", ".join(blocked)), blocked, clipped=False)
    safe = _settled(_cut(shown, max_chars).strip("\n"), allowed)
    blocked = find_secrets(safe, secrets)
    if blocked:
        return Sanitized(WITHHELD.format(", ".join(blocked)), blocked, clipped=False)
    if len(shown) <= max_chars and len(safe) <= max_chars:
        return Sanitized(safe, (), clipped=False)
    return Sanitized(_clip(safe, max_chars, allowed), (), clipped=True)


def sanitize_title(text: str, max_chars: int = MAX_TITLE_CHARS, *, secrets: tuple[str, ...] = ()) -> str:
    """*text* as one plain line of at most *max_chars*: no mention, reference, URL or CI directive.

    A title that holds a secret, or nothing at all, becomes "Proposed change".
    """
    shown, _ = strip_invisible(text)
    line = " ".join(plain(" ".join(shown.split())).split())
    if not line or find_secrets(shown, secrets):
        return WITHHELD_TITLE
    return _shortened(line, max_chars)


def sanitize_commit(text: str, *, max_chars: int = MAX_COMMIT_CHARS, secrets: tuple[str, ...] = ()) -> str:
    """*text* as a plain commit message: closes nothing, pings nobody, brings no trailer of its own.

    A message that holds a secret becomes "Proposed change".
    """
    shown, _ = strip_invisible(text)
    if not shown.strip() or find_secrets(shown, secrets):
        return WITHHELD_TITLE
    message = plain("\n".join(line.rstrip() for line in shown.strip().split("\n")))
    return _shortened(message, max_chars)


def _settled(text: str, allowed: Allowed) -> str:
    """*text* made inert until nothing changes; one block of code if that ends nowhere or still acts."""
    for _ in range(MAX_ROUNDS):
        safe, _ = strip_invisible(unsigned(inert(text, allowed)))
        if safe == text:
            return text if not acts(text, allowed) else _fenced(text)
        text = safe
    return _fenced(text)


def _fenced(text: str) -> str:
    """The whole of *text* as one block of code that nothing in it can end."""
    longest = max((len(run) for run in "".join(c if c == "`" else " " for c in text).split()), default=0)
    fence = "`" * max(3, longest + 1)
    lines = "\n".join(indented(line) for line in text.split("\n"))
    return f"{fence}text\n{lines}\n{fence}"


def _cut(text: str, max_chars: int) -> str:
    """The beginning of *text*; a sequence that is cut through loses its joiner."""
    return strip_invisible(text[:max_chars])[0]


def _shortened(text: str, max_chars: int) -> str:
    """*text*, or its beginning and an ellipsis."""
    return text if len(text) <= max_chars else _cut(text, max_chars - 1).rstrip() + "…"


def _clip(safe: str, max_chars: int, allowed: Allowed) -> str:
    """The beginning of *safe* with a sentence that says so, settled again, within *max_chars*."""
    room = max_chars - len(CLIPPED) - 2
    while True:
        cut = _cut(safe, room)
        line_end = cut.rfind("\n")
        part = _settled(cut[:line_end] if line_end > room * 3 // 4 else cut, allowed)
        clipped = _settled(f"{part.rstrip()}\n\n{CLIPPED}", allowed)
        if len(clipped) <= max_chars:
            return clipped
        room -= max(len(clipped) - max_chars, 1)

"""The parts of an answer that are more than prose: findings, labels, a duplicate, a question, a pointer.

Every text of the model goes through *say*, which makes it safe, and nothing is taken from it or folded after
that: what is left could act again. Names and numbers are escaped here.
"""

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

from bot.domain.effects import Duplicate, Finding, Review
from bot.publish.render import block, code

Say: TypeAlias = Callable[[str], str]

MAX_SHOWN: Final = 10
"""Findings that are shown in full; the others are named in one line each."""


def review(found: Review, say: Say) -> str:
    """A review as Markdown: its summary, then each finding with place, evidence and suggestion."""
    if not found.findings:
        return f"{say(found.summary)}\n\nNo findings."
    shown = [_finding(number, each, say) for number, each in enumerate(found.findings[:MAX_SHOWN], 1)]
    rest = [f"- {_place(each, say)} {say(_plain(each.title))}" for each in found.findings[MAX_SHOWN:]]
    more = f"**{len(rest)} more, of less weight**\n\n" + "\n".join(rest) if rest else ""
    return "\n\n".join(part for part in (say(found.summary), *shown, more) if part)


def labels(names: Sequence[str], say: Say) -> str:
    """Labels that are suggested; nothing has set them."""
    return say(f"Labels that would fit: {', '.join(code(name) for name in names)}.") if names else ""


def duplicate(found: Duplicate, say: Say) -> str:
    """Another issue that may be the same; named without a reference, so that no trace is left there."""
    return f"This may be the same as issue {int(found.number)}: {say(found.reason)}"


def question(text: str, say: Say) -> str:
    """The question, set apart so that nobody overlooks it."""
    # Its lines are made before it is made safe: none may begin anew after that.
    said = say("\n".join(text.splitlines()))
    return "\n".join(f"> {line}".rstrip() for line in said.split("\n"))


def pointer(address: str) -> str:
    """What a living comment becomes whose result is a comment of its own."""
    return f"Done: [the result is in a comment of its own]({address})."


def _finding(number: int, found: Finding, say: Say) -> str:
    head = (
        f"**{number}. {say(_plain(found.title))}** ({found.severity.value}, {found.confidence} % sure)"
        f"\n{_place(found, say)}"
    )
    parts = [head, say(found.evidence)]
    if found.suggestion is not None:
        # The block comes first: it is code, and only what acts or leaks even there is taken from it.
        parts.append(f"Suggested in place of it:\n\n{say(block(found.suggestion, 'text'))}")
    return "\n\n".join(parts)


def _place(found: Finding, say: Say) -> str:
    end = found.end_line
    lines = f"{found.line}-{end}" if end is not None and end > found.line else str(found.line)
    return say(code(f"{found.path}:{lines}"))


def _plain(text: str) -> str:
    """One line without emphasis that could end ours; before it is made safe, never after."""
    return " ".join(text.split()).replace("*", "")

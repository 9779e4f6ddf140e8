"""The grammar of `/agent <verb> [words]`: the first command of a text, or the place where it fails."""

import re
from dataclasses import dataclass
from difflib import get_close_matches

from bot.domain.agent_kinds import writes
from bot.domain.spoken import spoken_lines
from bot.domain.values import WORK
from bot.limits import BODY_MAX_CHARS

MAX_WORDS_CHARS = 1_000
_QUOTE_CHARS = 80
_VERB_CHARS = 32
_NEWLINE = re.compile(r"\r\n?")


@dataclass(frozen=True, slots=True)
class CommandSpec:
    """One verb: how to write it, what it does, who may use it, and one example (without the prefix)."""

    verb: str
    aliases: tuple[str, ...]
    usage: str
    meaning: str
    who: str
    example: str


COMMANDS: tuple[CommandSpec, ...] = (
    CommandSpec(
        verb="fix",
        aliases=("implement",),
        usage="fix [what to mind]",
        meaning="Change the code as the issue asks and open a draft pull request.",
        who="write access and above",
        example="fix keep the public functions as they are",
    ),
    CommandSpec(
        verb="ask",
        aliases=("analyze",),
        usage="ask [question]",
        meaning="Answer a question about the code, or say what is behind the issue.",
        who="write access and above",
        example="ask where is the total rounded?",
    ),
    CommandSpec(
        verb="plan",
        aliases=(),
        usage="plan [what to mind]",
        meaning="Plan the change: steps, files, risks and tests; nothing is changed.",
        who="write access and above",
        example="plan in steps that can be merged alone",
    ),
    CommandSpec(
        verb="retry",
        aliases=(),
        usage="retry [what to mind]",
        meaning="Do the last job of this thread again, from the start.",
        who="write access and above",
        example="retry",
    ),
    CommandSpec(
        verb="continue",
        aliases=(),
        usage="continue [words]",
        meaning="Go on where the last job of this thread ended, with all that it knows.",
        who="write access and above",
        example="continue keep the old name as an alias",
    ),
    CommandSpec(
        verb="cancel",
        aliases=("stop",),
        usage="cancel",
        meaning="End the jobs of this thread.",
        who="write access and above",
        example="cancel",
    ),
    CommandSpec(
        verb="help",
        aliases=(),
        usage="help",
        meaning="Show the commands.",
        who="read access and above",
        example="help",
    ),
)
ABOUT_A_JOB = frozenset({"retry", "continue", "cancel"})
"""Verbs about a job that there is, or was."""
_VERBS = {name: spec.verb for spec in COMMANDS for name in (spec.verb, *spec.aliases)}


@dataclass(frozen=True, slots=True)
class Command:
    """A command that we know: the canonical verb and the rest of its line (at most `MAX_WORDS_CHARS`)."""

    verb: str
    words: str


@dataclass(frozen=True, slots=True)
class CommandProblem:
    """A command that nobody knows.

    `line` and `column` count from 1; `quote` is the line with a caret under the failing place (two
    lines, printable characters only, no back-tick); `nearest` is the right form that comes closest.
    """

    line: int
    column: int
    quote: str
    nearest: str


def parse(text: str, prefix: str = "/agent") -> Command | CommandProblem | None:
    """Read the first command of *text*, or nothing.

    A command stands at the start of a line, in a paragraph: not in code, quotes, HTML or links.
    A text above `BODY_MAX_CHARS` holds none, for GitHub sends none. Never raises.
    """
    if len(text) > BODY_MAX_CHARS:
        return None
    lines = _NEWLINE.sub("\n", text).split("\n")
    number = next(iter(spoken_lines(lines, prefix)), None)
    return None if number is None else _read(lines[number], number + 1, prefix)


def command_for(verb: str, agent_type: str) -> str:
    """The verb that asks for a job's work again: its own or, where a label chose, the one that fits."""
    if verb != WORK:
        return verb
    return "fix" if writes(agent_type) else "ask"


def explain(problem: CommandProblem) -> str:
    """The words for the thread: where it fails, and the form to use instead (Markdown)."""
    return (
        f"Line {problem.line}, column {problem.column} is no command that I know:\n\n"
        f"```text\n{problem.quote}\n```\n\nThe nearest right form is `{problem.nearest}`."
    )


def _read(line: str, number: int, prefix: str) -> Command | CommandProblem:
    """The command on one line that is known to begin with the prefix."""
    start = len(line) - len(line.lstrip(" \t")) + len(prefix)
    parts = line[start:].split(maxsplit=1)
    written = parts[0] if parts else ""
    name = written.rstrip(".,:;!?").casefold()
    if name in _VERBS:
        return Command(_VERBS[name], " ".join(parts[1:]).strip()[:MAX_WORDS_CHARS])
    column = line.index(written, start) if written else len(line.rstrip()) + 1
    return CommandProblem(number, column + 1, _quote(line, column), f"{prefix} {_nearest(name)}")


def _nearest(name: str) -> str:
    """The canonical verb that is written most like *name*; `help` when none is."""
    letters = "".join(char for char in name[:_VERB_CHARS] if char.isalpha())
    close = get_close_matches(letters, _VERBS, n=1, cutoff=0.6)
    return _VERBS[close[0]] if close else "help"


def _quote(line: str, column: int) -> str:
    """The line around *column*, and below it a caret."""
    first = max(0, column - _QUOTE_CHARS // 2)
    window = line[first : first + _QUOTE_CHARS]
    shown = "".join(char if char.isprintable() and char != "`" else " " for char in window)
    return f"{shown.rstrip()}\n{' ' * (column - first)}^"

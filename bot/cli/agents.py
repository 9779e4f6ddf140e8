"""`issuewright agents list|show|check`: who works, with what, and whether a repository's own files fit."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from bot.agents import registry, repository
from bot.agents.definition import Definition
from bot.agents.tools import CATALOG
from bot.cli.desk import error_document
from bot.cli.document import as_document
from bot.cli.screen import Screen
from bot.cli.table import Cell, Column
from bot.cli.terminal import EXIT_FAILED, EXIT_OK, say
from bot.cli.visible import one_line
from bot.domain.values import Json
from bot.errors import UserError

_COLUMNS: Final = (
    Column("AGENT"),
    Column("MODEL", rank=3),
    Column("COST", rank=1, is_right=True),
    Column("MINUTES", rank=4, is_right=True),
    Column("STEPS", rank=5, is_right=True),
    Column("WHAT IT DOES", rank=2, min_width=20),
)


@dataclass(frozen=True, slots=True)
class Checked:
    """One file: the agent that it defines where it is right, else what is wrong with it."""

    path: str
    id: str | None
    is_new: bool
    problems: tuple[str, ...]


def run(arguments: argparse.Namespace) -> int:
    """Do what the sub-command says; needs no settings, no database and no network; returns the exit code.

    Raises:
        UserError: There is no such agent, a file cannot be read, or stdout cannot be written.
        Unread: Nobody reads stdout.
    """
    screen = Screen()
    works = {"list": _list, "show": _show, "check": _check}
    try:
        code = works[arguments.action](arguments, screen)
        screen.send()
    except UserError as error:
        if not arguments.json:
            raise
        say(error_document(str(error)))
        return EXIT_FAILED
    return code


def check(paths: Sequence[Path]) -> list[Checked]:
    """Each Markdown file among *paths*, and in the directories among them, as a repository's agent.

    Raises:
        UserError: One of them cannot be read, or there is none.
    """
    sources = {str(path): _content(path) for path in _files(paths)}
    if not sources:
        raise UserError("there is no Markdown file there; agents stand in files like code.fix.md")
    built_in = _built_in()
    told = set(repository.read(sources, built_in)[1])
    checked: list[Checked] = []
    for path, content in sources.items():
        found, problems = repository.read({path: content}, built_in)
        told -= set(problems)
        # What only the files together show is told with the one that it names.
        together = tuple(sorted(line for line in told if line.startswith(f"{path}: ")))
        told -= set(together)
        id_ = next(iter(found), None)
        checked.append(Checked(path, id_, id_ is not None and id_ not in built_in, problems + together))
    if told:
        checked.append(Checked(repository.FOLDER, None, is_new=False, problems=tuple(sorted(told))))
    return checked


def _list(arguments: argparse.Namespace, screen: Screen) -> int:
    agents = _built_in().values()
    if arguments.json:
        screen.document([_document(agent) for agent in agents])
    else:
        screen.table(_COLUMNS, [_row(agent) for agent in agents])
    return EXIT_OK


def _show(arguments: argparse.Namespace, screen: Screen) -> int:
    agents = _built_in()
    if arguments.id not in agents:
        asked = one_line(arguments.id, max_chars=80)
        raise UserError(f"no agent is called {asked!r}; there are: {', '.join(agents)}")
    agent = agents[arguments.id]
    if arguments.json:
        screen.document({**_document(agent), "prompt": agent.prompt})
        return EXIT_OK
    limits = agent.limits
    screen.line((agent.id, "bold"), ("  ", ""), (agent.summary, ""))
    screen.pairs(
        [
            ("model", (agent.model, "")),
            ("limits", (f"${limits.cost_usd:g}, {limits.seconds / 60:g} minutes, {limits.steps} steps", "")),
            ("tools", (", ".join(_ordered(agent.tools)), "")),
            ("effects", (", ".join(_ordered(agent.effects)), "")),
        ]
    )
    screen.heading("What it is told")
    for line in agent.prompt.splitlines():
        screen.line((line, ""))
    return EXIT_OK


def _check(arguments: argparse.Namespace, screen: Screen) -> int:
    found = check([Path(path) for path in arguments.paths])
    is_right = not any(each.problems for each in found)
    if arguments.json:
        screen.document(as_document(found))
        return EXIT_OK if is_right else EXIT_FAILED
    for each in found:
        shown = one_line(each.path, max_chars=200)
        what = "a new agent" if each.is_new else "in place of the built-in one"
        if not each.problems:
            screen.line((shown, "bold"), ("  ", ""), (f"{each.id}, {what}: right", "green"))
        for problem in each.problems:
            screen.line((one_line(problem, max_chars=400), "red"))
    return EXIT_OK if is_right else EXIT_FAILED


def _built_in() -> dict[str, Definition]:
    agents = registry.load()
    return {id_: agents.get(id_) for id_ in agents.ids}


def _files(paths: Sequence[Path]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        found += sorted(path.glob("*.md")) if path.is_dir() else [path]
    return list(dict.fromkeys(found))


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(repository.MAX_FILE_BYTES + 1)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}") from error


def _row(agent: Definition) -> list[Cell]:
    return [
        (agent.id, "bold"),
        (agent.model, ""),
        (f"${agent.limits.cost_usd:.2f}", ""),
        (f"{agent.limits.seconds / 60:g}", ""),
        (str(agent.limits.steps), ""),
        (agent.summary, "dim"),
    ]


def _document(agent: Definition) -> Json:
    document: Json = as_document(
        {
            "id": agent.id,
            "summary": agent.summary,
            "model": agent.model,
            "tools": _ordered(agent.tools),
            "effects": _ordered(agent.effects),
            "limits": agent.limits,
        }
    )
    return document


def _ordered(names: frozenset[str]) -> list[str]:
    return [name for name in CATALOG if name in names]

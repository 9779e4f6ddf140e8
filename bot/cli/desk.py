"""What the commands on a service share: its open database, and errors in the form that was asked for."""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from bot.cli.document import as_document
from bot.cli.screen import Screen
from bot.cli.table import Column, Row
from bot.cli.terminal import EXIT_FAILED, EXIT_MISUSED, EXIT_OK, say
from bot.cli.visible import one_line
from bot.config import Role, Settings, load
from bot.db.database import Database, is_sqlite
from bot.db.picked import MIN_PART_CHARS
from bot.db.readiness import check, unusable
from bot.domain.values import Json, Scope
from bot.errors import ConfigError, IssuewrightError, Problem, UserError
from bot.process import set_undumpable

AUTHORITY: Final = "operator:cli"
"""The authority of what is asked for here: whoever may run commands on the service's machine."""
SYSTEM: Final = Scope.system()
_SPINNER_AFTER_SECONDS: Final = 0.4
_LEAST_SILENCE_SECONDS: Final = 30.0


@dataclass(frozen=True, slots=True)
class Desk:
    """One command at work: `now` is one instant for everything that it says."""

    settings: Settings
    database: Database
    now: datetime
    screen: Screen
    is_json: bool

    @property
    def silent_before(self) -> datetime:
        """A worker that was not heard of since then counts as gone."""
        seconds = max(_LEAST_SILENCE_SECONDS, 3 * self.settings.heartbeat_seconds)
        return self.now - timedelta(seconds=seconds)


class HasId(Protocol):
    """A line of a list."""

    @property
    def id(self) -> str:
        """By which a later list goes on behind it."""


Line = TypeVar("Line", bound=HasId)
Work: TypeAlias = Callable[[Desk], Coroutine[Any, Any, int]]


def run(arguments: argparse.Namespace, work: Work) -> int:
    """Do *work* on the database of the settings; needs no key and no running service.

    With `--json` what goes wrong is one document on stderr too.

    Raises:
        ConfigError: The settings or the database cannot be used.
        UserError: What was asked for cannot be done, or it cannot be written to stdout.
        Unread: Nobody reads stdout.
    """
    set_undumpable()
    try:
        settings = load(os.environ, role=Role.MIGRATE, env_file=Path(".env"))
        screen = Screen()
        code = asyncio.run(_run(settings, work, screen, is_json=arguments.json))
        screen.send()
    except IssuewrightError as error:
        if not arguments.json:
            raise
        say(error_document(str(error)))
        return EXIT_MISUSED if isinstance(error, ConfigError) else EXIT_FAILED
    return code


def only(found: Sequence[str], part: str, command: str) -> str:
    """The one id among *found*, which is what *part* may mean.

    Raises:
        UserError: None, or several, which are named.
    """
    if len(found) == 1:
        return found[0]
    shown = one_line(part, max_chars=80)
    if not found and len(part) < MIN_PART_CHARS:
        raise UserError(f"{shown!r} is too little of an id; give {MIN_PART_CHARS} characters or more")
    if not found:
        raise UserError(f"nothing has the id {shown!r}; `issuewright {command} list` shows what there is")
    raise UserError(f"{shown!r} may mean each of these; give more of the id:\n  " + "\n  ".join(found))


def lists(
    desk: Desk,
    found: Sequence[Line],
    limit: int,
    *,
    columns: Sequence[Column],
    row: Callable[[Line, Desk], Row],
    command: str,
    one: str,
) -> int:
    """Show the first *limit* of *found*, each called *one*, and how *command* goes on behind them."""
    shown = found[:limit]
    if desk.is_json:
        desk.screen.document(as_document(shown))
    elif not shown:
        desk.screen.aside(f"No {one} was found.")
    else:
        desk.screen.table(columns, [row(line, desk) for line in shown])
    if len(found) > limit and not desk.is_json:
        more = f"issuewright {command} list --after {shown[-1].id}"
        desk.screen.aside(f"\nThere are more; they begin with: {more}")
    return EXIT_OK


def outcomes(desk: Desk, found: Sequence[Json], done: str) -> int:
    """Tell what became of each thing that was asked for; returns the exit code.

    One of which *done* is false could not be done: the others were, and the whole has failed.
    """
    undone = [each for each in found if not each[done]]
    if desk.is_json:
        desk.screen.document(found)
        if undone:
            error = "; ".join(f"{each['id']} {each['message']}" for each in undone)
            desk.screen.aside(error_document(error))
    for each in () if desk.is_json else found:
        style = "green" if each[done] else "red"
        desk.screen.line((each["id"], "bold"), ("  ", ""), (each["message"], style))
    return EXIT_FAILED if undone else EXIT_OK


def error_document(words: str) -> str:
    """What went wrong, for a program."""
    return json.dumps({"error": words})


async def _run(settings: Settings, work: Work, screen: Screen, *, is_json: bool) -> int:
    async with _opened(settings) as database:
        task = asyncio.create_task(work(Desk(settings, database, datetime.now(UTC), screen, is_json)))
        try:
            await asyncio.wait([task], timeout=_SPINNER_AFTER_SECONDS)
            with _spinner(is_shown=not task.done() and sys.stderr.isatty()):
                return await task
        finally:
            task.cancel()


def _spinner(*, is_shown: bool) -> AbstractContextManager[object]:
    """Something that moves while a slow database is waited for."""
    if not is_shown:
        return nullcontext()
    from rich.console import Console

    return Console(stderr=True).status("[dim]asking the database[/dim]")


def _has_file(url: str) -> bool:
    """Whether the SQLite file is there; opening it would make an empty one."""
    return Path(str(make_url(url).database)).is_file()


@asynccontextmanager
async def _opened(settings: Settings) -> AsyncIterator[Database]:
    """The database at our revision; it is never made or changed here.

    Raises:
        ConfigError: It is not there, not reachable, of another version, or fails while it is used.
    """
    url, key = settings.database_url, settings.database_key
    if is_sqlite(url) and not _has_file(url):
        wrong = f"there is no database {make_url(url).database}"
        remedy = "run this where the service runs, with its settings; `issuewright serve` makes the file"
        raise ConfigError(Problem(key, wrong, remedy))
    database = Database(url)
    try:
        await check(database, key)
        yield database
    except (SQLAlchemyError, OSError) as error:
        raise ConfigError(unusable(error, url, key)) from error
    finally:
        await database.close()

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
from bot.config import Role, Settings, load, masked_url
from bot.db import revision
from bot.db.database import Database, is_sqlite
from bot.db.picked import MIN_PART_CHARS
from bot.db.readiness import KEY, unusable
from bot.domain.values import Scope
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
        UserError: What was asked for cannot be done.
    """
    set_undumpable()
    try:
        settings = load(os.environ, role=Role.MIGRATE, env_file=Path(".env"))
        return asyncio.run(_run(settings, work, is_json=arguments.json))
    except IssuewrightError as error:
        if not arguments.json:
            raise
        print(json.dumps({"error": str(error)}), file=sys.stderr)
        return EXIT_MISUSED if isinstance(error, ConfigError) else EXIT_FAILED


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
        say(f"No {one} was found.")
    else:
        desk.screen.table(columns, [row(line, desk) for line in shown])
    if len(found) > limit and not desk.is_json:
        say(f"\nThere are more; they begin with: issuewright {command} list --after {shown[-1].id}")
    return EXIT_OK


async def _run(settings: Settings, work: Work, *, is_json: bool) -> int:
    async with _opened(settings) as database:
        task = asyncio.create_task(work(Desk(settings, database, datetime.now(UTC), Screen(), is_json)))
        try:
            await asyncio.wait([task], timeout=_SPINNER_AFTER_SECONDS)
            with _spinner(is_shown=not task.done() and sys.stderr.isatty()):
                return await task
        except (SQLAlchemyError, OSError) as error:
            raise ConfigError(unusable(error)) from error
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
        ConfigError: It is not there, not reachable, or of another version.
    """
    url = settings.database_url
    if is_sqlite(url) and not _has_file(url):
        wrong = f"there is no database at {masked_url(url)}"
        remedy = "run this where the service runs, with its settings; `issuewright serve` makes the file"
        raise ConfigError(Problem(KEY, wrong, remedy))
    database = Database(url)
    try:
        await _check(database)
        yield database
    finally:
        await database.close()


async def _check(database: Database) -> None:
    """Raise ConfigError where the database is of another version, or does not answer."""
    try:
        async with database.read() as connection:
            found, needed = await revision.current(connection), revision.newest()
    except (SQLAlchemyError, OSError) as error:
        raise ConfigError(unusable(error)) from error
    if found != needed:
        wrong = f"the database stands at revision {found or 'none'}, this version needs {needed}"
        raise ConfigError(Problem(KEY, wrong, "use the commands of the version that serves it"))

"""`issuewright pause` and `unpause`: no job is started of what is paused; what runs goes on to its end."""

import argparse
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.cli import desk as desks
from bot.cli import times
from bot.cli.desk import SYSTEM, Desk
from bot.cli.document import as_document
from bot.cli.table import Column
from bot.cli.terminal import EXIT_OK
from bot.cli.visible import one_line
from bot.db import pauses
from bot.db.pauses import PauseLine
from bot.domain.enums import PauseKind

_MAX_CHARS: Final = 200
_COLUMNS: Final = (
    Column("PAUSED"),
    Column("NAME", min_width=12),
    Column("SINCE", rank=1),
    Column("JOBS WAIT", is_right=True),
    Column("REASON", rank=2, min_width=12),
)


def run(arguments: argparse.Namespace) -> int:
    """Pause what the options name, then say what is paused; returns the exit code.

    Raises:
        ConfigError: The settings or the database cannot be used.
        UserError: Nothing is called so.
    """
    return desks.run(arguments, partial(_pause, arguments))


async def chosen(arguments: argparse.Namespace, connection: AsyncConnection) -> tuple[PauseKind, str]:
    """What the options name: an organization, a repository, or everything; raises UserError."""
    if arguments.organization is not None:
        kind, name = PauseKind.ORGANIZATION, arguments.organization
    elif arguments.repository is not None:
        kind, name = PauseKind.REPOSITORY, arguments.repository
    else:
        return PauseKind.EVERYTHING, ""
    return kind, await pauses.target_of(SYSTEM, connection, kind, one_line(name, max_chars=_MAX_CHARS))


def tell(desk: Desk, lines: list[PauseLine]) -> int:
    """What is paused now."""
    if desk.is_json:
        desk.screen.document(as_document(lines))
    elif lines:
        desk.screen.table(_COLUMNS, [_row(line, desk) for line in lines])
    else:
        desk.screen.aside("Nothing is paused.")
    return EXIT_OK


async def _pause(arguments: argparse.Namespace, desk: Desk) -> int:
    async with desk.database.write() as connection:
        if not arguments.list:
            kind, target = await chosen(arguments, connection)
            reason = one_line(arguments.reason, max_chars=_MAX_CHARS)
            await pauses.pause(SYSTEM, connection, kind, target, reason=reason, now=desk.now)
        lines = await pauses.listing(SYSTEM, connection)
    return tell(desk, lines)


def _row(line: PauseLine, desk: Desk) -> list[tuple[str, str]]:
    return [
        (line.kind.value, "yellow"),
        (one_line(line.name, max_chars=_MAX_CHARS), "bold"),
        (times.age(line.created_at, now=desk.now), "dim"),
        (str(line.waiting), ""),
        (one_line(line.reason, max_chars=_MAX_CHARS), "dim"),
    ]

"""`issuewright unpause`: what was paused is started again; other pauses stay."""

import argparse
from functools import partial

from bot.cli import desk as desks
from bot.cli.desk import SYSTEM, Desk
from bot.cli.pause import chosen, tell
from bot.db import pauses


def run(arguments: argparse.Namespace) -> int:
    """End the pause that the options name, then say what is still paused; returns the exit code.

    Raises:
        ConfigError: The settings or the database cannot be used.
        UserError: Nothing is called so.
    """
    return desks.run(arguments, partial(_unpause, arguments))


async def _unpause(arguments: argparse.Namespace, desk: Desk) -> int:
    async with desk.database.write() as connection:
        kind, target = await chosen(arguments, connection)
        if not await pauses.unpause(SYSTEM, connection, kind, target):
            desk.screen.aside("That was not paused.")
        lines = await pauses.listing(SYSTEM, connection)
    return tell(desk, lines)

"""`issuewright migrate`: brings the database to the revision of this version."""

import argparse
import asyncio
import os
from pathlib import Path

from bot.cli.terminal import EXIT_OK, result
from bot.config import Role, load, masked_url
from bot.errors import ConfigError, Problem
from bot.process import set_undumpable


def run(_arguments: argparse.Namespace) -> int:
    """Migrate, and say where the database stands; at the newest revision already, nothing happens.

    Raises:
        ConfigError: The database cannot be reached or used.
    """
    set_undumpable()
    settings = load(os.environ, role=Role.MIGRATE, env_file=Path(".env"))
    before, after = asyncio.run(_migrate(settings.database_url))
    database = masked_url(settings.database_url)
    moved = (
        f"was at {before or 'nothing'}, is at {after} now"
        if before != after
        else f"stands at {after} already"
    )
    result(f"{database} {moved}")
    return EXIT_OK


async def _migrate(url: str) -> tuple[str | None, str | None]:
    """The revisions before and after."""
    from sqlalchemy.exc import SQLAlchemyError

    from bot.db import migrate

    try:
        before = await migrate.current(url)
        await migrate.upgrade(url)
        return before, await migrate.current(url)
    except (SQLAlchemyError, OSError) as error:
        words = str(getattr(error, "orig", None) or error)
        problem = Problem(
            "DATABASE_URL", f"{masked_url(url)} cannot be used ({words})", "start it, or correct it"
        )
        raise ConfigError(problem) from error

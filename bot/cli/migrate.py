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
    revision = asyncio.run(_migrate(settings.database_url))
    result(f"{masked_url(settings.database_url)} stands at revision {revision}")
    return EXIT_OK


async def _migrate(url: str) -> str | None:
    """Bring *url* to the newest revision; returns where it stands then."""
    from sqlalchemy.exc import SQLAlchemyError

    from bot.db import migrate

    try:
        await migrate.upgrade(url)
        return await migrate.current(url)
    except (SQLAlchemyError, OSError) as error:
        words = str(getattr(error, "orig", None) or error)
        wrong = f"{masked_url(url)} cannot be used ({words})"
        raise ConfigError(
            Problem("DATABASE_URL", wrong, "start that database, or correct the address")
        ) from error

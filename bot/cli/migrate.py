"""`issuewright migrate`: brings the database to the revision of this version."""

import argparse
import asyncio
import os
from pathlib import Path

from bot.cli.terminal import EXIT_OK, result
from bot.config import Role, Settings, load, masked_url
from bot.errors import ConfigError, Problem
from bot.process import set_undumpable


def run(arguments: argparse.Namespace) -> int:
    """Migrate, and say where the database stands; where it stands right already, nothing happens.

    Raises:
        ConfigError: The database cannot be reached or used, or there is no such revision.
    """
    from bot.db import revision

    set_undumpable()
    if arguments.to is not None and arguments.to not in revision.known():
        wrong = f"{arguments.to!r} is no revision of this version"
        raise ConfigError(Problem("--to", wrong, f"name one of {', '.join(revision.known())}"))
    settings = load(os.environ, role=Role.MIGRATE, env_file=Path(".env"))
    stands_at = asyncio.run(_migrate(settings, arguments.to))
    result(f"{masked_url(settings.database_url)} stands at revision {stands_at}")
    return EXIT_OK


async def _migrate(settings: Settings, to: str | None) -> str | None:
    """Bring the database to the newest revision, or to the one that *to* names; returns where it stands."""
    from sqlalchemy.exc import SQLAlchemyError

    from bot.db import migrate, readiness

    url = settings.database_url
    try:
        found = await migrate.current(url) if to else None
        if to and found and to < found:
            await migrate.downgrade(url, to)
        else:
            await migrate.upgrade(url, to or "head")
        return await migrate.current(url)
    except (SQLAlchemyError, OSError) as error:
        raise ConfigError(readiness.unusable(error, url, settings.database_key)) from error

"""Whether the database is there and at our revision, in words for who starts the product."""

from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from bot.db import migrate
from bot.db.database import is_sqlite
from bot.errors import ConfigError, Problem

KEY: Final = "DATABASE_URL"


async def prepare(url: str) -> None:
    """Migrate SQLite; on Postgres only look whether somebody has.

    Raises:
        ConfigError: It cannot be reached, or it stands at another revision than ours.
    """
    try:
        if is_sqlite(url):
            await migrate.upgrade(url)
            return
        found = await migrate.current(url)
    except (SQLAlchemyError, OSError) as error:
        raise ConfigError(unreachable(error)) from error
    if found != migrate.head():
        wrong = f"the database stands at revision {found or 'none'}, this version needs {migrate.head()}"
        raise ConfigError(Problem(KEY, wrong, "run `issuewright migrate` once, then start again"))


def unreachable(error: Exception) -> Problem:
    """The problem of a database that does not answer; names the error's class, never the URL."""
    origin = getattr(error, "orig", None) or error
    return Problem(
        KEY,
        f"the database cannot be used ({type(origin).__name__})",
        "check that the server runs, that host, name and password are right, and that the file's folder "
        "can be written",
    )

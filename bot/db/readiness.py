"""Whether the database is there and at our revision, in words for who starts the product."""

import asyncio
from typing import Final

from sqlalchemy import make_url
from sqlalchemy.exc import SQLAlchemyError

from bot import logs
from bot.db import revision, trouble
from bot.db.database import Database, is_sqlite
from bot.domain.clock import Clock
from bot.errors import ConfigError, DatabaseAway, Problem

log = logs.get(__name__)

KEY: Final = "DATABASE_URL"
LOOK_SECONDS: Final = 5.0
AGAIN_SECONDS: Final = 1.0
SAY_AGAIN_SECONDS: Final = 60.0


async def prepare(url: str, key: str = KEY) -> None:
    """Migrate SQLite; on Postgres only look whether somebody has. *key* is the setting that told *url*.

    Raises:
        ConfigError: It refuses us, or it stands at another revision than ours.
        DatabaseAway: It does not answer, and may later; a file is never away.
    """
    try:
        if is_sqlite(url):
            from bot.db import migrate  # noqa: PLC0415 - Alembic, which only migrating needs

            await migrate.upgrade(url)
        else:
            async with asyncio.timeout(LOOK_SECONDS):
                await _check(url)
    except (SQLAlchemyError, OSError) as error:
        if trouble.is_passing(error) and not is_sqlite(url):
            raise DatabaseAway(trouble.words(error)) from error
        raise ConfigError(unusable(error, url, key)) from error


async def until_ready(url: str, clock: Clock) -> None:
    """Return when the database answers and stands at our revision; says now and then that it waits.

    A file is ready: whoever starts us has made it so.

    Raises:
        ConfigError: It refuses us, or it stands at another revision than ours.
    """
    if is_sqlite(url):
        return
    began, said = clock.monotonic(), float("-inf")
    while True:
        try:
            await prepare(url)
        except DatabaseAway as error:
            now = clock.monotonic()
            if now - said >= SAY_AGAIN_SECONDS:
                log.warning("database_away", why=str(error), waiting_seconds=round(now - began))
                said = now
            await clock.sleep(AGAIN_SECONDS)
        else:
            if said > float("-inf"):
                log.info("database_back", waited_seconds=round(clock.monotonic() - began))
            return


def unusable(error: Exception, url: str, key: str = KEY) -> Problem:
    """The problem of a database that refuses us, in its own words; names the file, but no password."""
    said = trouble.words(error)
    if is_sqlite(url):
        remedy = "see that this user can write the file and its folder, and that the disk has room"
        return Problem(key, f"the database {make_url(url).database} cannot be used ({said})", remedy)
    remedy = "check that host, name, user, password and certificates are right"
    return Problem(key, f"the database cannot be used ({said})", remedy)


async def check(database: Database, key: str = KEY) -> None:
    """Raise ConfigError where the revision is not ours; nothing is changed."""
    async with database.read() as connection:
        found = await revision.current(connection)
    needed = revision.newest()
    if found == needed:
        return
    if found is not None and found > needed:
        raise ConfigError(revision.too_new(found))
    wrong = f"the database stands at revision {found or 'none'}, this version needs {needed}"
    raise ConfigError(Problem(key, wrong, "run `issuewright migrate` once, then this again"))


async def _check(url: str) -> None:
    """Raise ConfigError where the revision is not ours."""
    database = Database(url)
    try:
        await check(database)
    finally:
        await database.close()

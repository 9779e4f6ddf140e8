"""The bell in the database: whoever commits work wakes the workers of every machine.

Only Postgres has one (https://www.postgresql.org/docs/current/sql-notify.html). On SQLite all processes
stand on one machine, where web rings the worker over a socket; everywhere polling catches what is missed.
"""

from typing import Final

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

CHANNEL: Final = "issuewright"
_RING: Final = text("SELECT pg_notify(:channel, '')").bindparams(channel=CHANNEL)


async def ring(connection: AsyncConnection) -> None:
    """Wake the workers when the caller's transaction commits; many rings in one count as one.

    Does nothing on SQLite. To be called last: it is the commit that takes the bell's lock.
    """
    if connection.dialect.name == "postgresql":
        await connection.execute(_RING)

"""One at a time, where two transactions could each be right alone and wrong together."""

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection


async def take_turn(connection: AsyncConnection, name: str) -> None:
    """Wait until no other write holds *name*; it is ours until the caller's transaction ends.

    SQLite has one writer at a time anyway. Take it before any row is locked.
    """
    if connection.dialect.name == "postgresql":
        lock = func.pg_advisory_xact_lock(func.hashtextextended(name, 0))
        await connection.execute(select(lock))

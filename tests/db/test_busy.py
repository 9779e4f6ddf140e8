"""Eight writers of one SQLite file at once, each with connections of its own, as processes have."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.db import pauses
from bot.db.database import Database
from bot.db.deliveries import PART_BYTES
from bot.db.tables import deliveries, delivery_parts
from bot.db.tables import pauses as pauses_table
from bot.domain.enums import PauseKind
from bot.intake.inbox import Inbox
from tests.db.rows import NOW, SYSTEM, count
from tests.db.test_deliveries import DELIVERY

WRITERS, EACH = 8, 15
WAIT_SECONDS = 60.0


async def take_in(database: Database, writer: int) -> int:
    """Store what only we have, and what all have; how many of it were new."""
    inbox = Inbox(database)
    mine = [replace(DELIVERY, guid=f"g-{writer}-{n}", digest=f"d-{writer}-{n}") for n in range(EACH)]
    mine[0] = replace(mine[0], payload=b"x" * 2 * PART_BYTES)
    shared = [replace(DELIVERY, guid=f"all-{n}", digest=f"all-{n}") for n in range(EACH)]
    new = 0
    for one, other in zip(mine, shared, strict=True):
        for accepted in await asyncio.gather(inbox.store(one), inbox.store(other)):
            new += accepted.is_new
    await inbox.close()
    return new


async def write(database: Database, writer: int) -> int:
    """Transactions of the worker's kind, each with a look before its write."""
    for number in range(EACH):
        async with database.write() as connection:
            await connection.execute(select(pauses_table))
            target = str(writer * 1_000 + number)
            await pauses.pause(SYSTEM, connection, PauseKind.REPOSITORY, target, reason="", now=NOW)
    return 0


async def test_eight_writers_at_once_lose_nothing_and_none_sees_an_error(database: Database) -> None:
    url = str(database.engine.url)
    together = threading.Barrier(WRITERS)

    async def work(writer: int) -> int:
        own = Database(url)
        try:
            together.wait(WAIT_SECONDS)
            return await (take_in if writer % 2 else write)(own, writer)
        finally:
            await own.close()

    loop = asyncio.get_running_loop()
    with ThreadPoolExecutor(WRITERS) as threads:
        running = [loop.run_in_executor(threads, asyncio.run, work(writer)) for writer in range(WRITERS)]
        new = sum(await asyncio.gather(*running))
    half = WRITERS // 2
    assert new == await count(database, deliveries) == half * EACH + EACH
    assert await count(database, delivery_parts) == half * 2
    assert await count(database, pauses_table) == half * EACH


@pytest.fixture
def database_url(migrated_file: Path, tmp_path: Path) -> str:
    """SQLite alone: Postgres takes writes beside each other."""
    file = tmp_path / "busy.db"
    file.write_bytes(migrated_file.read_bytes())
    return f"sqlite+aiosqlite:///{file}"

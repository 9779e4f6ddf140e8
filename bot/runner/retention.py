"""Retention: what has been kept long enough goes, in parts small enough to hold nobody up."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from bot import logs
from bot.db import deliveries, retention
from bot.db.database import Database
from bot.domain.clock import Clock
from bot.domain.values import Scope

log = logs.get(__name__)

BATCH: Final = 500
MAX_BATCHES: Final = 200
PARTS_AGE: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class Retention:
    """Drops bodies of webhooks, transcripts and logs by age, and bodies of whom the App left."""

    database: Database
    clock: Clock
    keep_payloads_days: int
    keep_steps_days: int
    keep_logs_days: int

    async def run_once(self) -> dict[str, int]:
        """Drop what is due, `MAX_BATCHES` parts of each kind; returns how much of each went."""
        scope, now = Scope.system(), self.clock.now()
        before = partial(_before, now)
        dropped = {
            "payloads": await self._all(
                partial(deliveries.purge_payloads, scope, before=before(self.keep_payloads_days), limit=BATCH)
            ),
            "payloads_of_left": await self._all(partial(retention.purge_left, scope, limit=BATCH)),
            "steps": await self._all(
                partial(retention.drop_steps, scope, before=before(self.keep_steps_days), limit=BATCH)
            ),
            "logs": await self._all(
                partial(retention.drop_logs, scope, before=before(self.keep_logs_days), limit=BATCH)
            ),
        }
        async with self.database.write() as connection:
            dropped["parts"] = await deliveries.drop_orphaned_parts(scope, connection, before=now - PARTS_AGE)
        if any(dropped.values()):
            log.info("retention", **dropped)
        return dropped

    async def _all(self, drop: Callable[[AsyncConnection], Awaitable[int]]) -> int:
        """*drop* in a transaction of its own each time, until a part is not full."""
        total = 0
        for _ in range(MAX_BATCHES):
            async with self.database.write() as connection:
                count = await drop(connection)
            total += count
            if count < BATCH:
                break
        return total


def _before(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days)

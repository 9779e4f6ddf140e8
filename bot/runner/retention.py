"""Retention: what has been kept long enough goes, in parts small enough to hold nobody up."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from bot import logs
from bot.db import retention
from bot.db.database import Database
from bot.db.retention import Due
from bot.domain.clock import Clock
from bot.domain.values import Scope

log = logs.get(__name__)

BATCH: Final = 500
MAX_BATCHES: Final = 1_000
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
        due = {
            "payloads": retention.old_bodies(scope, before=before(self.keep_payloads_days)),
            "payloads_of_left": retention.bodies_of_left(scope),
            "steps": retention.old_steps(scope, before=before(self.keep_steps_days)),
            "logs": retention.old_logs(scope, before=before(self.keep_logs_days)),
            "parts": retention.orphaned_parts(scope, before=now - PARTS_AGE),
        }
        dropped = {name: await self._all(kind) for name, kind in due.items()}
        if any(dropped.values()):
            log.info("retention", **dropped)
        return dropped

    async def _all(self, due: Due) -> int:
        """Drop in a transaction of its own each time, until nothing is found; how much."""
        total = 0
        for _ in range(MAX_BATCHES):
            async with self.database.read() as connection:
                ids = await due.find(connection, BATCH)
            if not ids:
                break
            async with self.database.write() as connection:
                total += await due.drop(connection, ids)
        return total


def _before(now: datetime, days: int) -> datetime:
    return now - timedelta(days=days)

"""What the database says of the rest of the product, for readiness and health."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from bot.db import chores, pauses, workers
from bot.db.database import Database
from bot.domain.clock import Clock
from bot.domain.values import Scope
from bot.web.deps import Facts, WorkerFacts

TIMEOUT_SECONDS: Final = 3.0
FAILED_WITHIN: Final = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """Asks the database, never longer than `timeout_seconds`."""

    database: Database
    clock: Clock
    worker_silence_seconds: float
    timeout_seconds: float = TIMEOUT_SECONDS

    async def is_ready(self) -> bool:
        """Whether the database answers; never raises."""
        try:
            async with asyncio.timeout(self.timeout_seconds), self.database.read() as connection:
                await connection.execute(text("SELECT 1"))
        except (SQLAlchemyError, OSError, TimeoutError):
            return False
        return True

    async def facts(self) -> Facts | None:
        """How things stand, or None when the database does not answer; never raises."""
        try:
            async with asyncio.timeout(self.timeout_seconds):
                return await self._facts()
        except (SQLAlchemyError, OSError, TimeoutError):
            return None

    async def _facts(self) -> Facts:
        now = self.clock.now()
        scope = Scope.system()
        async with self.database.read() as connection:
            alive = await workers.alive(
                scope, connection, since=now - timedelta(seconds=self.worker_silence_seconds)
            )
            numbers = await workers.queue_numbers(scope, connection, failed_since=now - FAILED_WITHIN)
            paused = await pauses.paused(scope, connection)
            found = await chores.facts(scope, connection)
        return Facts(
            workers=tuple(
                WorkerFacts(
                    version=worker.version,
                    heartbeat_at=worker.heartbeat_at,
                    sandbox_tier=worker.sandbox_tier,
                    sandbox_reason=worker.sandbox_reason,
                    model_word=worker.model_word,
                    github_word=worker.github_word,
                    queue_word=worker.queue_word,
                )
                for worker in alive
            ),
            pending=numbers.pending,
            running=numbers.running,
            failed_last_hour=numbers.failed_last_hour,
            queue={"admitted": numbers.admitted, "deliveries": numbers.waiting_deliveries},
            paused=tuple(one.kind for one in paused),
            chores=tuple(found),
        )

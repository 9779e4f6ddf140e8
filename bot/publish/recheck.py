"""Writes that may have landed twice: looked at once more, minutes later, when nothing is on its way."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bot import logs
from bot.db import operations
from bot.db.database import Database
from bot.db.operations import Operation
from bot.domain.clock import Clock
from bot.domain.values import Scope
from bot.errors import Permanent, RetryLater
from bot.github.app import GitHubApp
from bot.publish.operations import RECHECK_AFTER, Publisher
from bot.publish.writes import WRITES

log = logs.get(__name__)

BATCH: Final = 50


@dataclass(frozen=True, slots=True)
class Recheck:
    """Removes what stands twice; to be run now and then by one worker."""

    database: Database
    app: GitHubApp
    publisher: Publisher
    clock: Clock

    async def run_once(self) -> int:
        """Look at what is due; returns how many copies were removed."""
        async with self.database.read() as connection:
            due = await operations.to_recheck(Scope.system(), connection, now=self.clock.now(), limit=BATCH)
        return sum([await self._recheck(operation) for operation in due])

    async def _recheck(self, operation: Operation) -> int:
        """One operation; one that GitHub cannot show now is looked at again, a refusal ends it."""
        removed, again_in = 0, None
        try:
            removed = await self._remove(operation)
        except RetryLater as error:
            again_in = max(RECHECK_AFTER, timedelta(seconds=error.after_seconds or 0.0))
        except Permanent as error:
            log.warning("not_rechecked", key=operation.key, why=str(error))
        async with self.database.write() as connection:
            await operations.set_recheck(
                Scope(operation.organization_id),
                connection,
                operation.id,
                recheck_at=None if again_in is None else self.clock.now() + again_in,
            )
        return removed

    async def _remove(self, operation: Operation) -> int:
        name = await self.publisher.repository_of(operation)
        permissions = WRITES[operation.kind].permissions
        async with self.app.lend(operation.installation_id, operation.repository_id, permissions) as loan:
            api = self.app.repository(name, loan)
            return await self.publisher.remove_copies(operation, api)

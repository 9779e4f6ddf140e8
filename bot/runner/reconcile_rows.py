"""Our own rows, compared with each other: whatever no longer moves is brought to its end in words."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bot import logs
from bot.db import clocks, stranded
from bot.db.chores import CLOCK_SLACK
from bot.db.database import Database
from bot.domain.clock import Clock
from bot.domain.values import Scope

log = logs.get(__name__)

BATCH: Final = 100


@dataclass(frozen=True, slots=True)
class RowsCheck:
    """Finds issues that no job serves, writes that nobody will send, times from a wrong clock."""

    database: Database
    clock: Clock
    lease_seconds: float

    async def run_once(self) -> int:
        """Mend what is found, at most `BATCH` issues; returns how many rows were changed."""
        scope, now = Scope.system(), self.clock.now()
        async with self.database.write() as connection:
            revoked = await clocks.revoke_leave(scope, connection, now=now)
            ended = await clocks.end_waits(scope, connection, now=now)
        async with self.database.write() as connection:
            closed = await stranded.close_writes(scope, connection, now=now)
            trimmed = await stranded.trim_leases(
                scope, connection, now=now, lease=timedelta(seconds=self.lease_seconds), slack=CLOCK_SLACK
            )
        mended = {"closed_writes": closed, "trimmed_leases": trimmed}
        mended |= {"revoked_leave": revoked, "ended_waits": ended}
        if any(mended.values()):
            log.warning("rows_mended", **mended)
        async with self.database.read() as connection:
            found = await stranded.issue_ids(scope, connection, limit=BATCH)
        settled = [await self._settle(issue_id) for issue_id in found]
        return sum(mended.values()) + sum(settled)

    async def _settle(self, issue_id: str) -> bool:
        async with self.database.write() as connection:
            settled = await stranded.settle(Scope.system(), connection, issue_id, now=self.clock.now())
        if settled is None:
            return False
        log.warning("issue_settled", issue_id=issue_id, status=settled.status.value, why=settled.why)
        return True

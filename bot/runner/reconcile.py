"""What lost workers left behind: their jobs wait again."""

from dataclasses import dataclass

from bot import logs
from bot.db import schedule
from bot.db.database import Database
from bot.domain.clock import Clock
from bot.domain.values import Scope

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Reaper:
    """Takes expired leases away; run by every worker, at start and on a timer."""

    database: Database
    clock: Clock

    async def run_once(self) -> None:
        """Look for leases that ran out."""
        async with self.database.read() as connection:
            has_expired = await schedule.has_expired(Scope.system(), connection, now=self.clock.now())
        if not has_expired:
            return
        async with self.database.write() as connection:
            reaped = await schedule.reap(Scope.system(), connection, now=self.clock.now())
        for job in reaped:
            log.warning("lease_ran_out", job_id=job.job_id, is_quarantined=job.is_quarantined)

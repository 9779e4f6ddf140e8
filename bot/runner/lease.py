"""The right to work on a job: renewed beside the work, lost in time, ended by a wish to cancel."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final, TypeVar

from sqlalchemy.exc import SQLAlchemyError

from bot import logs
from bot.db import schedule
from bot.db.database import Database
from bot.domain.clock import Clock
from bot.domain.values import ClaimedJob, Scope
from bot.errors import IssuewrightError

log = logs.get(__name__)

MAX_TICK_SECONDS: Final = 2.0
Result = TypeVar("Result")


class CancelRequested(IssuewrightError):
    """Somebody wants this job to end; the text is their reason."""


@dataclass(frozen=True, slots=True)
class JobLease:
    """One owner's lease on one job."""

    database: Database
    job: ClaimedJob
    clock: Clock
    lease_seconds: float
    heartbeat_seconds: float

    @property
    def fence(self) -> int:
        """The fence that every write of this owner carries."""
        return self.job.fence

    async def renew(self) -> str | None:
        """Extend the lease from now; returns the reason when the job is to be cancelled.

        Raises:
            LeaseLost: Somebody else owns the job.
        """
        async with self.database.write() as connection:
            return await schedule.renew(
                Scope(self.job.organization_id),
                connection,
                self.job,
                now=self.clock.now(),
                lease=timedelta(seconds=self.lease_seconds),
            )

    async def hold(self, seconds: float) -> None:
        """Renew, so that the lease outlives a request of *seconds* (or is as long as leases are)."""
        lease = timedelta(seconds=max(self.lease_seconds, seconds))
        async with self.database.write() as connection:
            await schedule.renew(
                Scope(self.job.organization_id), connection, self.job, now=self.clock.now(), lease=lease
            )

    async def guard(self, work: Coroutine[Any, Any, Result], *, may_cancel: bool) -> Result:
        """Do *work* while the lease is renewed beside it; its result, or the error that ended it.

        Raises:
            LeaseLost: The lease was lost; the work was stopped.
            CancelRequested: Somebody asked for the end, and *may_cancel*; the work was stopped.
        """
        working = asyncio.create_task(work)
        keeping = asyncio.create_task(self._keep(may_cancel=may_cancel))
        try:
            await asyncio.wait({working, keeping}, return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                return working.result()
            raise keeping.exception() or CancelRequested("cancelled")
        finally:
            # The lease is kept until the work has put its things away.
            try:
                await _end(working)
            finally:
                await _end(keeping)

    async def _keep(self, *, may_cancel: bool) -> None:
        """Renew until something ends it: a lost lease, or a wish to cancel.

        A database that is away for a moment ends nothing: whatever the work writes needs it too.
        """
        tick_seconds = min(self.heartbeat_seconds, MAX_TICK_SECONDS)
        while True:
            reason = None
            try:
                reason = await self.renew()
            except (SQLAlchemyError, OSError) as error:
                log.warning("lease_not_renewed", why=type(error).__name__)
            if may_cancel and reason is not None:
                raise CancelRequested(reason)
            await self.clock.sleep(tick_seconds)


async def _end(*tasks: "asyncio.Task[Any]") -> None:
    """Cancel each task, once, and return when all are over, whatever happens to the caller meanwhile.

    A second cancel would reach the driver while it closes the connection of the first, and leave that
    behind half closed.
    """
    for task in tasks:
        task.cancel()
    await until_over(*tasks)


async def until_over(*tasks: "asyncio.Task[Any]") -> None:
    """Return when all tasks are over, whatever happens to the caller meanwhile."""
    cancelled: asyncio.CancelledError | None = None
    while waiting := [task for task in tasks if not task.done()]:
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError as error:
            cancelled = error
    if cancelled is not None:
        raise cancelled

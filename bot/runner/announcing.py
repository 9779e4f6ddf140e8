"""When a thread first hears of a job at work: at once of one that changes files, else after a minute."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from bot import logs
from bot.domain.clock import Clock
from bot.domain.values import ClaimedJob
from bot.errors import IssuewrightError
from bot.runner.freezing import speaks_at_once
from bot.runner.lease import JobLease, until_over
from bot.runner.publishing import Publishing

log = logs.get(__name__)

QUIET_SECONDS: Final = 60.0
"""An answer that comes sooner is the only comment of its job."""


@dataclass(frozen=True, slots=True)
class Announcing:
    """Makes the living comment of one job, at the time that its agent's kind says."""

    publishing: Publishing
    lease: JobLease
    clock: Clock

    @asynccontextmanager
    async def told(self, job: ClaimedJob) -> AsyncIterator[None]:
        """Announce *job*, whose agent is known by now, before or beside the work in the block.

        Raises:
            Permanent: GitHub takes no comment in this thread (locked, deleted), and one was due at once.
            RetryLater: The outcome of one that was due at once is not known yet.
        """
        if speaks_at_once(job.agent_type):
            await self.publishing.announce(job, self.lease)
            yield
            return
        waiting = asyncio.create_task(self.clock.sleep(QUIET_SECONDS))
        telling = asyncio.create_task(self._tell_after(waiting, job))
        try:
            yield
        finally:
            # Once it is being sent it is not broken off: its outcome would be unknown.
            waiting.cancel()
            await until_over(telling)

    async def _tell_after(self, waiting: "asyncio.Task[None]", job: ClaimedJob) -> None:
        """Announce when *waiting* is over; what goes wrong is told by the result's own comment."""
        with contextlib.suppress(asyncio.CancelledError):
            await waiting
            try:
                await self.publishing.announce(job, self.lease)
            except IssuewrightError as error:
                log.warning("not_announced", why=str(error))

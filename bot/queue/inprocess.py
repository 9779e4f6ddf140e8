"""The default engine: an asyncio queue inside the worker."""

import asyncio
from collections.abc import Sequence

from bot.queue.base import Ended, Ticket


class InProcessEngine:
    """A queue of job ids in memory; the database hands out again what dies with it."""

    is_shared = False

    def __init__(self) -> None:
        """Begin empty."""
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._known: set[str] = set()

    async def start(self) -> None:
        """Nothing to begin."""

    async def push(self, job_ids: Sequence[str]) -> None:
        """Add *job_ids* in this order; an id that waits already is left where it is."""
        for job_id in job_ids:
            if job_id not in self._known:
                self._known.add(job_id)
                self._waiting.put_nowait(job_id)

    async def pop(self) -> Ticket:
        """The next ticket; waits for one."""
        job_id = await self._waiting.get()
        self._known.discard(job_id)
        return Ticket(job_id)

    async def end(self, ticket: Ticket, ended: Ended) -> None:
        """Nobody looks at a queue in memory."""

    def depth(self) -> int:
        """How many tickets wait."""
        return self._waiting.qsize()

    def trouble(self) -> str | None:
        """Memory is always there."""
        return None

    async def close(self) -> None:
        """What waits is admitted again by the database."""

"""The default engine: an asyncio queue inside the worker."""

import asyncio
from collections.abc import Sequence


class InProcessEngine:
    """A queue of job ids in memory; the database hands out again what dies with it."""

    def __init__(self) -> None:
        """Begin empty."""
        self._waiting: asyncio.Queue[str] = asyncio.Queue()
        self._known: set[str] = set()

    async def push(self, job_ids: Sequence[str]) -> None:
        """Add *job_ids* in this order; an id that waits already is left where it is."""
        for job_id in job_ids:
            if job_id not in self._known:
                self._known.add(job_id)
                self._waiting.put_nowait(job_id)

    async def pop(self) -> str:
        """The next id; waits for one."""
        job_id = await self._waiting.get()
        self._known.discard(job_id)
        return job_id

    def depth(self) -> int:
        """How many ids wait."""
        return self._waiting.qsize()

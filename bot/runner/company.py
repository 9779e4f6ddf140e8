"""Who works beside whom in one worker: a job on which workers seem to die begins alone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field


@dataclass(slots=True)
class Company:
    """The jobs at work in this process: many beside each other, or one alone.

    A worker that dies takes all its jobs along, and nothing says of which of them it died. So a job that
    one more death would set aside begins alone: if the worker dies then, it died of that job. As soon as
    the job has got further, others come in again.
    """

    _beside: int = field(default=0, init=False)
    _alone: str | None = field(default=None, init=False)
    _waiting: set[str] = field(default_factory=set, init=False)
    _changed: asyncio.Event = field(default_factory=asyncio.Event, init=False)

    @asynccontextmanager
    async def place(self, job_id: str, *, is_suspect: bool) -> AsyncIterator[bool]:
        """Hold a place while the block works; a suspect's is free when no other is held, and goes first.

        Yields whether there is one: a suspect that has a place or waits for one gets no second.
        """
        if not is_suspect:
            while self._alone is not None or self._waiting:
                await self._change()
            self._beside += 1
        elif job_id == self._alone or job_id in self._waiting:
            yield False
            return
        else:
            await self._isolation(job_id)
        try:
            yield True
        finally:
            if self._alone == job_id:
                self._alone = None
            else:
                self._beside -= 1
            self._changed.set()

    def got_further(self, job_id: str) -> None:
        """*job_id* is no suspect any more: where it works alone, others may come in."""
        if self._alone == job_id:
            self._alone = None
            self._beside += 1
            self._changed.set()

    async def _isolation(self, job_id: str) -> None:
        """Be the only one; whoever comes meanwhile waits."""
        self._waiting.add(job_id)
        try:
            while self._alone is not None or self._beside:
                await self._change()
            self._alone = job_id
        finally:
            self._waiting.discard(job_id)
            self._changed.set()

    async def _change(self) -> None:
        """Wait until somebody has come, gone or got further."""
        self._changed.clear()
        await self._changed.wait()

"""One patience for many waits: a timer for all of them, as one for each costs more than all else here."""

import asyncio
from collections import deque
from collections.abc import Awaitable
from typing import TypeVar

Answer = TypeVar("Answer")


class _Wait:
    """Somebody who waits, until it is over."""

    __slots__ = ("due", "is_late", "task")

    def __init__(self, task: "asyncio.Task[object] | None", due: float) -> None:
        self.task, self.due, self.is_late = task, due, False


class Patience:
    """Ends waits that take longer than *seconds*; all have the same, so the first in is the first out."""

    def __init__(self, seconds: float) -> None:
        """Wait so long at most; nothing runs while nobody waits for anything."""
        self._seconds = seconds
        self._waits: deque[_Wait] = deque()
        self._is_armed = False

    async def wait(self, work: Awaitable[Answer]) -> Answer:
        """What *work* comes to.

        Raises:
            TimeoutError: It took too long, and was cancelled.
        """
        loop = asyncio.get_running_loop()
        wait = _Wait(asyncio.current_task(), loop.time() + self._seconds)
        self._waits.append(wait)
        if not self._is_armed:
            self._is_armed = True
            loop.call_at(wait.due, self._end_late, loop)
        try:
            return await work
        except asyncio.CancelledError as error:
            # Whoever else cancelled the task beside us goes first.
            if wait.is_late and wait.task is not None and not wait.task.uncancel():
                raise TimeoutError(f"it took more than {self._seconds:g} s") from error
            raise
        finally:
            wait.task = None

    def _end_late(self, loop: asyncio.AbstractEventLoop) -> None:
        """Cancel whoever is late, and come again when the next one may be."""
        now = loop.time()
        while self._waits and (self._waits[0].task is None or self._waits[0].due <= now):
            wait = self._waits.popleft()
            if wait.task is not None:
                wait.is_late = True
                wait.task.cancel()
        self._is_armed = bool(self._waits)
        if self._is_armed:
            loop.call_at(self._waits[0].due, self._end_late, loop)

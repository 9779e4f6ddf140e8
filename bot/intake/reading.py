"""From a stored body to intents; a large one is read in a process of its own, so that nothing else waits."""

import asyncio
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from typing import Final, TypeAlias

from bot.domain.intents import Event, Intent
from bot.domain.values import Json
from bot.errors import RetryLater
from bot.process import die_with_parent, set_undumpable

Route: TypeAlias = Callable[[Event], list[Intent]]

# 25 MiB take about a second; a process that needs more is stuck.
READ_SECONDS: Final = 60.0


def read(route: Route, event: str, action: str | None, body: bytes | None) -> list[Intent]:
    """What *body* asks for; nothing when it is no JSON object (the sender was told so).

    The action of a large body was left for us to read.
    """
    payload = _parse(body)
    if payload is None:
        return []
    found = payload.get("action")
    return route(Event(event, action or (found if isinstance(found, str) else None), payload))


class LargeBodies:
    """Reads large bodies in one other process, which begins with the first and ends with this one."""

    def __init__(self, *, read_seconds: float = READ_SECONDS) -> None:
        """Start nothing yet; a body that takes longer than *read_seconds* ends the other process."""
        self._read_seconds = read_seconds
        self._pool: ProcessPoolExecutor | None = None

    async def read(self, route: Route, event: str, action: str | None, body: bytes) -> list[Intent]:
        """The same as `read`; *route* and the intents travel between the processes, the payload does not.

        Raises:
            RetryLater: The other process died or took too long; the next call starts a new one.
        """
        loop = asyncio.get_running_loop()
        pool = self._pool = self._pool or _pool()
        try:
            async with asyncio.timeout(self._read_seconds):
                return await loop.run_in_executor(pool, read, route, event, action, body)
        except (BrokenProcessPool, TimeoutError) as error:
            if self._pool is pool:
                self.close()
            raise RetryLater(f"the large body could not be read ({type(error).__name__})") from error

    def close(self) -> None:
        """End the other process; the second time does nothing."""
        pool, self._pool = self._pool, None
        if pool is None:
            return
        # There is no public way to end one that does not answer.
        processes = list((pool._processes or {}).values())  # noqa: SLF001
        pool.shutdown(wait=False, cancel_futures=True)
        for process in processes:
            process.kill()


def _pool() -> ProcessPoolExecutor:
    """One process, begun anew: a fork of this one would hold its locks and connections."""
    return ProcessPoolExecutor(
        1,
        mp_context=multiprocessing.get_context("spawn"),
        initializer=_begin,
        initargs=(os.getpid(),),
    )


def _begin(parent_pid: int) -> None:
    """In the other process: closed to neighbours, gone with its parent, deaf to Ctrl-C."""
    set_undumpable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent(parent_pid)


def _parse(body: bytes | None) -> Json | None:
    """The stored body as an object; None when it is none."""
    try:
        parsed = json.loads(body or b"null")
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None

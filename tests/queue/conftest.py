"""Engines on a real Valkey."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bot.domain.clock import SystemClock
from bot.domain.ids import new_id
from bot.queue.address import Waits
from bot.queue.redis import RedisEngine
from tests.valkey import Valkey

LONG = replace(Waits.for_url("redis://localhost", lock_seconds=30), close_seconds=0.1)
SHORT = replace(LONG, drain_seconds=1, lock_seconds=1, stalled_seconds=0.5, push_seconds=1)
Start = Callable[..., Awaitable[RedisEngine]]


def ids(number: int) -> list[str]:
    """That many ids of jobs, in their order."""
    now = SystemClock().now()
    return sorted(new_id(now) for _ in range(number))


@asynccontextmanager
async def started(url: str, waits: Waits, name: str = "worker-1") -> AsyncIterator[RedisEngine]:
    """An engine at work on the server at *url*."""
    engine = RedisEngine(url, name=name, concurrency=3, waits=waits, clock=SystemClock())
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


@pytest.fixture
async def start(valkey: Valkey) -> AsyncIterator[Start]:
    """Starts engines; all of them are closed at the end, however the server is by then."""
    async with AsyncExitStack() as engines:

        async def begin(url: str = valkey.url, *, waits: Waits = LONG, name: str = "worker-1") -> RedisEngine:
            return await engines.enter_async_context(started(url, waits, name))

        yield begin


async def until(is_so: Callable[[], Any], seconds: float = 10.0) -> Any:
    """Look again and again until *is_so* gives something true; its value."""
    async with asyncio.timeout(seconds):
        while not (found := is_so()):  # noqa: ASYNC110 - a server beside us is looked at
            await asyncio.sleep(0.01)
    return found


def members(valkey: Valkey, state: str) -> list[str]:
    """The ids that Redis keeps in *state*."""
    is_list = state in {"wait", "active"}
    found: list[str] = valkey.ask("LRANGE" if is_list else "ZRANGE", f"bull:issuewright:{state}", 0, -1)
    return found

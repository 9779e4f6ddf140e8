"""A model server, and somebody who sends it raw JSON."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import aiohttp
import pytest

from bot.standin.model.server import ModelServer

Json: TypeAlias = dict[str, Any]
Post: TypeAlias = Callable[..., Awaitable[tuple[int, Json]]]
HEADERS = {"Authorization": "Bearer key", "anthropic-version": "2026-10-21"}


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    server = ModelServer(
        {"scripts": [{"turns": [{"content": [{"type": "text", "text": "Hello."}]}]}]}, api_key="key"
    )
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
def post(server: ModelServer, session: aiohttp.ClientSession) -> Post:
    async def send(body: Any, headers: dict[str, str] | None = None) -> tuple[int, Json]:
        given = HEADERS if headers is None else headers
        async with session.post(f"{server.url}/v1/messages", json=body, headers=given) as response:
            return response.status, await response.json()

    return send

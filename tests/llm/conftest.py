"""The stand-in as the model's server, and our client on the real SDK."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from bot.domain.values import ModelRequest
from bot.llm.client import AnthropicModel
from bot.standin.model.server import ModelServer

KEY = "sk-ant-canary-0123456789"
SONNET = "claude-sonnet-5-5"


def request(**fields: Any) -> ModelRequest:
    whole: dict[str, Any] = {
        "model": SONNET,
        "system": [],
        "tools": [],
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 16_000,
    }
    return ModelRequest(**{**whole, **fields})


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    server = ModelServer({"scripts": [{"turns": []}]}, api_key=KEY)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def model(server: ModelServer) -> AsyncIterator[AnthropicModel]:
    model = AnthropicModel(KEY, server.url, idle_timeout_seconds=5)
    yield model
    await model.close()

"""The rig of the loop's tests."""

from collections.abc import AsyncIterator
from typing import Final

import pytest

from bot.llm.client import AnthropicModel
from bot.standin.model.server import ModelServer
from tests.agents.rig import Rig, WatchedModel

KEY: Final = "sk-ant-canary-0123456789"


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    server = ModelServer({"scripts": []}, api_key=KEY)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def rig(server: ModelServer) -> AsyncIterator[Rig]:
    model = AnthropicModel(KEY, server.url)
    yield Rig(WatchedModel(model))
    await model.close()

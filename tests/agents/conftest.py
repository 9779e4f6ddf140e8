"""The rig of the loop's tests."""

from collections.abc import AsyncIterator

import pytest

from bot.llm.client import AnthropicModel
from bot.standin.model.server import ModelServer
from tests.agents.rig import Rig, WatchedModel


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    server = ModelServer({"scripts": []}, api_key="sk-ant-test")
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def rig(server: ModelServer) -> AsyncIterator[Rig]:
    model = AnthropicModel("sk-ant-test", server.url)
    yield Rig(WatchedModel(model))
    await model.close()

"""The world of the runner's tests, with the model stand-in behind the real client."""

from collections.abc import AsyncIterator

import pytest

from bot.llm.client import AnthropicModel
from bot.standin.model.server import ModelServer
from tests.agents.conftest import server  # noqa: F401 (a fixture)
from tests.chaos.kinds import BOOK
from tests.publish.conftest import database_url, keys_are_parsed_once, templates  # noqa: F401 (fixtures)
from tests.runner.conftest import World, clock, forge, world  # noqa: F401 (fixtures)

_KEY = "sk-ant-a-key-of-the-chaos-kit"


@pytest.fixture
async def model_server() -> AsyncIterator[ModelServer]:
    playing = ModelServer(BOOK, api_key=_KEY)
    await playing.start()
    yield playing
    await playing.stop()


@pytest.fixture
async def town(world: World, model_server: ModelServer) -> AsyncIterator[World]:  # noqa: F811 (the fixture)
    """A world whose model is asked over HTTP."""
    model = AnthropicModel(_KEY, model_server.url)
    world.served = model
    yield world
    await model.close()

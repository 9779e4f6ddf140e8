"""The cache by its rules and a clock, and the bill that follows from it."""

from collections.abc import AsyncIterator

import aiohttp
import pytest

from bot.standin.model.server import ModelServer
from tests.standin.model.conftest import HEADERS, Json
from tests.standin.model.test_server import answered, body, say

TEXT = "word " * 1_000


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def server(clock: Clock) -> AsyncIterator[ModelServer]:
    server = ModelServer({"scripts": [{"turns": [say("one"), say("two")], "repeat": True}]}, clock=clock)
    await server.start()
    yield server
    await server.stop()


def marked(words: str = TEXT, **ttl: str) -> Json:
    return {"type": "text", "text": words, "cache_control": {"type": "ephemeral", **ttl}}


async def usage(server: ModelServer, session: aiohttp.ClientSession, asked: Json) -> Json:
    async with session.post(f"{server.url}/v1/messages", json=asked, headers=HEADERS) as response:
        answer: Json = await response.json()
        return answer.get("usage", answer)  # type: ignore[no-any-return]


@pytest.mark.parametrize(("ttl", "seconds"), [({}, 300), ({"ttl": "1h"}, 3_600)])
async def test_an_entry_lives_from_its_last_use(
    server: ModelServer, session: aiohttp.ClientSession, clock: Clock, ttl: dict[str, str], seconds: float
) -> None:
    asked = body(system=[marked(**ttl)])
    reads = []
    for pause in (0, seconds - 1, seconds - 1, seconds):
        clock.now += pause
        reads.append((await usage(server, session, asked))["cache_read_input_tokens"] > 0)
    assert reads == [False, True, True, False]


async def test_the_two_lives_are_told_apart(server: ModelServer, session: aiohttp.ClientSession) -> None:
    asked = body({"role": "user", "content": [marked()]}, system=[marked(ttl="1h")])
    wrote = (await usage(server, session, asked))["cache_creation"]
    assert wrote["ephemeral_1h_input_tokens"] > 1_000 and wrote["ephemeral_5m_input_tokens"] > 1_000


async def test_a_short_life_does_not_cut_a_long_one(
    server: ModelServer, session: aiohttp.ClientSession, clock: Clock
) -> None:
    await usage(server, session, body(system=[marked(ttl="1h")]))
    await usage(server, session, body(system=[marked()]))
    clock.now += 3_000
    assert (await usage(server, session, body(system=[marked()])))["cache_read_input_tokens"] > 1_000


async def test_the_smallest_prefix_depends_on_the_model(
    server: ModelServer, session: aiohttp.ClientSession
) -> None:
    sizes = {}
    for model in ("claude-sonnet-5-5", "claude-haiku-4-5"):
        asked = body(system=[marked()], model=model)
        sizes[model] = (await usage(server, session, asked))["cache_creation_input_tokens"]
    assert sizes["claude-sonnet-5-5"] > 1_000 and sizes["claude-haiku-4-5"] == 0


async def test_the_bill_sums_each_session_by_the_callers_rates(
    server: ModelServer, session: aiohttp.ClientSession
) -> None:
    asked = body(system=[marked()])
    first = await usage(server, session, asked)
    second = await usage(server, session, {**asked, "messages": [*asked["messages"], *answered()]})
    await usage(server, session, body(first="Another"))
    await usage(server, session, body(max_tokens=0))
    rates = {"*": {"read": 0.05}, "claude-sonnet-5-5": {"input": 2, "output": 10}}
    async with session.post(f"{server.url}/_model/bill", json={"multipliers": rates}) as response:
        one, two = (await response.json())["sessions"]
    assert [one["script"], len(one["requests"]), len(two["requests"])] == ["script", 2, 1]
    written, read = first["cache_creation_input_tokens"], second["cache_read_input_tokens"]
    fresh = first["input_tokens"] + second["input_tokens"]
    output = first["output_tokens"] + second["output_tokens"]
    assert (one["written_5m"], one["read"], one["uncached"]) == (written, read, fresh)
    assert one["input_units"] == pytest.approx(2 * fresh + 1.25 * written + 0.05 * read)
    assert one["units"] == pytest.approx(one["input_units"] + 10 * output)
    assert one["plain_units"] == 2 * (fresh + written + read)


async def test_a_long_prompt_makes_the_whole_request_dearer(
    server: ModelServer, session: aiohttp.ClientSession
) -> None:
    await usage(server, session, body(system=TEXT))
    cheap = server.bill()[0]["units"]
    rates: Json = {"*": {"long_prompt_tokens": 1_000, "long_prompt_factor": 5}}
    assert server.bill(rates)[0]["units"] == pytest.approx(5 * cheap)


async def test_an_error_status_neither_costs_nor_fills_the_cache(
    server: ModelServer, session: aiohttp.ClientSession
) -> None:
    server.play({"scripts": [{"turns": [say("one")]}], "faults": [{"kind": "status"}]})
    asked = body(system=[marked()])
    async with session.post(f"{server.url}/v1/messages", json=asked, headers=HEADERS) as response:
        assert response.status == 529
    assert server.bill() == []
    assert (await usage(server, session, asked))["cache_read_input_tokens"] == 0


async def test_a_record_says_when_and_how_much(server: ModelServer, session: aiohttp.ClientSession) -> None:
    await usage(server, session, body())
    (record,) = server.requests
    assert record["answered_at"] >= record["received_at"]
    assert record["bytes"] > 50 and record["answer_bytes"] > 50

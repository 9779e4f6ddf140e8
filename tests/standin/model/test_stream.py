"""Streams: what the real SDK makes of them, what stands on the wire, and every way in which they break."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import anthropic
import pytest

from bot.standin.model.server import ModelServer
from tests.standin.model.conftest import HEADERS, Json

CONTENT: list[Json] = [
    {"type": "thinking", "thinking": "Let me see what this is about first.", "signature": "s1"},
    {"type": "text", "text": "I read both files now, and then I say what I think."},
    {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "ü.py", "lines": [1, 2]}},
    {"type": "tool_use", "id": "toolu_2", "name": "git_diff", "input": {}},
]
USAGE = {"input_tokens": 5, "output_tokens": 70, "cache_read_input_tokens": 3}
ASKED: Json = {
    "model": "claude-sonnet-5-5",
    "max_tokens": 100,
    "messages": [{"role": "user", "content": "Hi"}],
}


@pytest.fixture
async def sdk(server: ModelServer) -> AsyncIterator[anthropic.AsyncAnthropic]:
    client = anthropic.AsyncAnthropic(api_key="key", base_url=server.url, max_retries=0)
    yield client
    await client.close()


def play(server: ModelServer, **fault: Any) -> None:
    scripts = [{"turns": [{"content": CONTENT, "usage": USAGE}]}]
    server.play({"scripts": scripts, "faults": [fault] if fault else []})


async def read(server: ModelServer, session: aiohttp.ClientSession) -> bytes:
    """All bytes of one stream, as far as they came."""
    got = b""
    asked = {**ASKED, "stream": True}
    async with session.post(f"{server.url}/v1/messages", json=asked, headers=HEADERS) as response:
        assert response.content_type == "text/event-stream"
        try:
            async for piece in response.content.iter_any():
                got += piece
        except aiohttp.ClientError:
            got += b"<cut>"
    return got


def kinds(stream: bytes) -> list[str]:
    lines = [line for line in stream.decode().splitlines() if line.startswith("event: ")]
    return [line.removeprefix("event: ") for line in lines]


async def test_the_sdk_reads_from_a_stream_what_it_reads_from_json(
    server: ModelServer, sdk: anthropic.AsyncAnthropic
) -> None:
    play(server)
    asked: Any = ASKED
    whole = await sdk.messages.create(**asked)
    async with sdk.messages.stream(**asked) as stream:
        streamed = await stream.get_final_message()
    streamed_blocks = [block.model_dump(exclude={"parsed_output"}) for block in streamed.content]
    assert streamed_blocks == [block.model_dump() for block in whole.content]
    assert (streamed.stop_reason, streamed.usage.output_tokens) == ("tool_use", 70)
    assert [record["body"].get("stream") for record in server.requests] == [None, True]


async def test_the_events_come_in_anthropics_order(
    server: ModelServer, session: aiohttp.ClientSession
) -> None:
    play(server)
    raw = await read(server, session)
    got = kinds(raw)
    assert got[:3] == ["message_start", "content_block_start", "ping"]
    assert got[-3:] == ["content_block_stop", "message_delta", "message_stop"]
    assert got.count("content_block_start") == got.count("content_block_stop") == 4
    events = [json.loads(line[6:]) for line in raw.decode().splitlines() if line.startswith("data: ")]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta"]
    whole = "".join(delta["partial_json"] for delta in deltas if delta["type"] == "input_json_delta")
    assert json.loads(whole) == {"path": "ü.py", "lines": [1, 2]}
    assert {delta["type"] for delta in deltas} == {
        "thinking_delta",
        "signature_delta",
        "text_delta",
        "input_json_delta",
    }
    assert events[0]["message"]["usage"]["output_tokens"] == 1
    assert events[-2]["usage"] == USAGE


@pytest.mark.parametrize("is_clean", [True, False])
async def test_a_stream_is_cut_after_any_event(
    server: ModelServer, session: aiohttp.ClientSession, is_clean: bool
) -> None:
    play(server)
    whole = kinds(await read(server, session))
    for count in range(len(whole)):
        play(server, kind="cut", after_event=count, is_clean=is_clean)
        got = await read(server, session)
        assert (kinds(got), got.endswith(b"<cut>")) == (whole[:count], not is_clean)


async def test_a_stream_is_cut_after_any_byte(server: ModelServer, session: aiohttp.ClientSession) -> None:
    play(server)
    whole = await read(server, session)
    for count in (0, 1, 57, len(whole) - 1):
        play(server, kind="cut", after_byte=count)
        assert await read(server, session) == whole[:count] + b"<cut>"
        assert server.requests[-1]["answer_bytes"] == count


async def test_a_stall_and_pings_end_in_a_cut(server: ModelServer, session: aiohttp.ClientSession) -> None:
    play(server, kind="stall", after_event=2, seconds=0)
    assert kinds(await read(server, session)) == ["message_start", "content_block_start"]
    play(server, kind="pings", after_event=1, seconds=0.004, every_seconds=0.001)
    assert kinds(await read(server, session)) == ["message_start", *["ping"] * 4]


async def test_an_error_may_come_after_the_status(
    server: ModelServer, session: aiohttp.ClientSession
) -> None:
    play(server, kind="error_event", after_event=1, type="overloaded_error", message="Overloaded")
    raw = await read(server, session)
    assert kinds(raw) == ["message_start", "error"]
    error = json.loads(raw.decode().split("data: ")[-1])
    assert error == {"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}


async def test_a_damaged_event_is_no_json_and_the_rest_follows(
    server: ModelServer, session: aiohttp.ClientSession
) -> None:
    play(server, kind="damage", after_event=3)
    raw = await read(server, session)
    assert b"data: {," in raw and kinds(raw)[-1] == "message_stop"


@pytest.mark.parametrize("piece_bytes", [None, 7])
async def test_a_slow_stream_is_whole(
    server: ModelServer, session: aiohttp.ClientSession, piece_bytes: int | None
) -> None:
    play(server)
    whole = await read(server, session)
    play(server, kind="drip", piece_bytes=piece_bytes)
    assert await read(server, session) == whole


async def test_a_reset_comes_before_any_header(server: ModelServer, session: aiohttp.ClientSession) -> None:
    play(server, kind="reset")
    with pytest.raises(aiohttp.ClientError):
        await read(server, session)


@pytest.mark.parametrize(
    ("fault", "header", "words"),
    [
        ({"retry_after": 10**12}, "retry-after", "1000000000000"),
        ({"retry_after_ms": 1500}, "retry-after-ms", "1500"),
        ({"retry_after_date": 60}, "retry-after", " GMT"),
        ({"headers": {"x-should-retry": "false"}}, "x-should-retry", "false"),
    ],
)
async def test_an_error_names_the_wait_in_any_form(
    server: ModelServer, session: aiohttp.ClientSession, fault: Json, header: str, words: str
) -> None:
    play(server, kind="status", status=429, **fault)
    async with session.post(f"{server.url}/v1/messages", json=ASKED, headers=HEADERS) as response:
        assert response.status == 429
        assert words in response.headers[header]


async def test_a_fault_may_be_for_one_script_only(
    server: ModelServer, session: aiohttp.ClientSession
) -> None:
    play(server, kind="status", script="another")
    assert kinds(await read(server, session))[-1] == "message_stop"


async def test_an_unknown_block_comes_whole(server: ModelServer, session: aiohttp.ClientSession) -> None:
    server.play({"scripts": [{"turns": [{"content": [{"type": "hologram", "colour": "red"}]}]}]})
    raw = await read(server, session)
    assert b'"content_block": {"type": "hologram", "colour": "red"}' in raw

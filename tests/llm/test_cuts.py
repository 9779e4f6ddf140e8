"""R-22 and R-23 through the real SDK: a stream that breaks anywhere is never a reply, nor part of a call."""

from typing import Any

import pytest

from bot.domain.values import Json, ModelReply
from bot.errors import AccountRefused, OutcomeUnknown, Permanent, RateLimited, RetryLater
from bot.llm.client import AnthropicModel
from bot.standin.model import script, sse
from bot.standin.model.server import ModelServer
from tests.llm.conftest import KEY, request

USAGE = {"input_tokens": 5, "output_tokens": 70}
LONG: list[Json] = [
    {"type": "thinking", "thinking": "First I look at what is there, then I change it.", "signature": "s"},
    {"type": "text", "text": "I read the file and change it in one go, as both are small enough."},
    {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "src/ü/divide.py"}},
    {"type": "tool_use", "id": "toolu_2", "name": "delete_file", "input": {"path": "src/ü/left_over.py"}},
]
SHORT: list[Json] = [{"type": "tool_use", "id": "t", "name": "write_file", "input": {"path": "ü"}}]


def play(server: ModelServer, content: list[Json], **fault: Any) -> None:
    scripts = [{"turns": [{"content": content, "usage": USAGE}]}]
    server.play({"scripts": scripts, "faults": [fault] if fault else []})


async def ask(model: AnthropicModel) -> ModelReply:
    return await model.complete(request(), timeout_seconds=20)


def recorded(content: list[Json]) -> list[bytes]:
    """The events that the stand-in sends for *content*."""
    blocks = script.with_ids(tuple(content), "script:0")
    message = {"id": "m", "content": blocks, "stop_reason": "x", "stop_sequence": None, "usage": USAGE}
    return [sse.encode(event) for event in sse.events(message)]


@pytest.mark.parametrize("is_clean", [True, False], ids=["ended", "broken"])
async def test_a_stream_that_is_cut_after_any_event_is_no_reply(
    model: AnthropicModel, server: ModelServer, is_clean: bool
) -> None:
    events = len(recorded(LONG))
    assert events > 20
    for count in range(events):
        play(server, LONG, kind="cut", after_event=count, is_clean=is_clean)
        with pytest.raises(OutcomeUnknown):
            await ask(model)
        assert (await ask(model)).content == LONG, "asked once more, it is answered whole"


async def test_a_stream_that_is_cut_after_any_byte_is_no_reply(
    model: AnthropicModel, server: ModelServer
) -> None:
    play(server, SHORT)
    assert (await ask(model)).content == SHORT
    whole = server.requests[-1]["answer_bytes"]
    # Its last byte is the second line end; with the first one the last event is not complete.
    for count in range(whole):
        play(server, SHORT, kind="cut", after_byte=count, is_clean=count % 2 == 0)
        with pytest.raises(OutcomeUnknown):
            await ask(model)


@pytest.mark.parametrize("piece_bytes", [1, 2, 3, 7, 64, None])
async def test_a_stream_in_pieces_of_any_size_is_the_same_reply(
    model: AnthropicModel, server: ModelServer, piece_bytes: int | None
) -> None:
    play(server, LONG, kind="drip", piece_bytes=piece_bytes)
    reply = await ask(model)
    assert (reply.content, reply.stop_reason) == (LONG, "tool_use")


async def test_a_damaged_event_anywhere_is_no_reply(model: AnthropicModel, server: ModelServer) -> None:
    for count in range(len(recorded(SHORT))):
        play(server, SHORT, kind="damage", after_event=count)
        with pytest.raises(OutcomeUnknown):
            await ask(model)


@pytest.mark.parametrize(
    ("type_", "at_once"),
    [
        ("overloaded_error", RateLimited),
        ("rate_limit_error", RateLimited),
        ("api_error", RetryLater),
        ("timeout_error", OutcomeUnknown),
        ("invalid_request_error", Permanent),
        ("a_new_error", RetryLater),
    ],
)
async def test_an_error_in_the_stream_may_have_been_charged_once_the_answer_began(
    model: AnthropicModel, server: ModelServer, type_: str, at_once: type[Exception]
) -> None:
    for count in range(len(recorded(SHORT)) - 1):
        play(server, SHORT, kind="error_event", after_event=count, type=type_, message="x")
        with pytest.raises((RetryLater, Permanent)) as caught:
            await ask(model)
        assert type(caught.value) is (OutcomeUnknown if count else at_once)


@pytest.mark.parametrize("count", [0, 3])
async def test_an_account_without_money_is_told_from_within_a_stream_too(
    model: AnthropicModel, server: ModelServer, count: int
) -> None:
    play(server, SHORT, kind="error_event", after_event=count, type="billing_error", message=f"no {KEY}")
    with pytest.raises(AccountRefused) as caught:
        await ask(model)
    assert "canary" not in str(caught.value)


@pytest.mark.parametrize("count", [0, 1, 5])
async def test_a_stream_that_falls_silent_is_given_up_long_before_the_deadline(
    server: ModelServer, count: int
) -> None:
    model = AnthropicModel(KEY, server.url, idle_timeout_seconds=0.05)
    play(server, LONG, kind="stall", after_event=count)
    with pytest.raises(OutcomeUnknown, match="fell silent"):
        await ask(model)
    await model.close()


async def test_pings_keep_a_stream_alive_for_a_while_only(server: ModelServer) -> None:
    model = AnthropicModel(KEY, server.url, idle_timeout_seconds=5, max_ping_seconds=0.05)
    play(server, LONG, kind="pings", after_event=1, every_seconds=0.005, seconds=60)
    with pytest.raises(OutcomeUnknown, match="fell silent"):
        await ask(model)
    await model.close()


async def test_a_message_that_ended_is_whole_though_the_connection_does_not_end(
    server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.llm.client.DRAIN_SECONDS", 0.01)
    model = AnthropicModel(KEY, server.url)
    play(server, SHORT, kind="stall", after_event=len(recorded(SHORT)))
    assert (await ask(model)).content == SHORT
    await model.close()


async def test_connections_are_used_again(model: AnthropicModel, server: ModelServer) -> None:
    play(server, SHORT)
    for _ in range(3):
        await ask(model)
    assert len({record["peer"] for record in server.requests}) == 1


async def test_a_reset_before_the_answer_may_have_been_charged(
    model: AnthropicModel, server: ModelServer
) -> None:
    play(server, SHORT, kind="reset")
    with pytest.raises(OutcomeUnknown):
        await ask(model)


async def test_an_answer_that_would_fill_the_memory_is_given_up(
    model: AnthropicModel, server: ModelServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.llm.client.MAX_ANSWER_BYTES", 1_000)
    big: Json = {"type": "text", "text": "x" * 2_000}
    for book in ({}, {"ignores": ["stream"]}):
        server.play({"scripts": [{"turns": [{"content": [big]}]}], **book})
        with pytest.raises(OutcomeUnknown, match="too large"):
            await ask(model)


@pytest.mark.parametrize(
    ("fault", "after_seconds"),
    [
        ({"retry_after_ms": 1_500, "retry_after": 9}, 1.5),
        ({"retry_after_ms": "soon", "retry_after": 9}, 9.0),
        ({"retry_after": "Sun, 99 Nov 2026 00:00:00 GMT"}, None),
        ({"retry_after_date": -60}, 0.0),
        ({"retry_after_date": 10**9}, 300.0),
    ],
)
async def test_the_wait_is_read_in_every_form(
    model: AnthropicModel, server: ModelServer, fault: Json, after_seconds: float | None
) -> None:
    play(server, SHORT, kind="status", status=429, **fault)
    with pytest.raises(RateLimited) as caught:
        await ask(model)
    assert caught.value.after_seconds == after_seconds


async def test_a_wait_until_a_date_is_counted_from_the_servers_own_clock(
    model: AnthropicModel, server: ModelServer
) -> None:
    play(server, SHORT, kind="status", status=529, retry_after_date=60)
    with pytest.raises(RateLimited) as caught:
        await ask(model)
    assert caught.value.after_seconds is not None and 55 <= caught.value.after_seconds <= 65

"""The real SDK against the stand-in: what is sent, what comes back, and what each failure means."""

import hashlib
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web

from bot.domain.enums import Cause
from bot.domain.values import Json, ModelReply, ModelRequest, Usage
from bot.errors import OutcomeUnknown, Permanent, RateLimited, RetryLater
from bot.llm.client import AnthropicModel
from bot.standin.model.server import ModelServer

KEY = "sk-ant-canary-0123456789"
BILL = '"usage": {"input_tokens": 1, "output_tokens": 1}'
CONTENT = [
    {"type": "thinking", "thinking": "Hm", "signature": "s1", "future_field": {"kept": True}},
    {"type": "text", "text": "Hello", "citations": None},
    {"type": "tool_use", "id": "toolu_1", "name": "read_file", "input": {"path": "ü"}},
]
USAGE = {
    "input_tokens": 5,
    "output_tokens": 7,
    "cache_creation_input_tokens": 3,
    "cache_read_input_tokens": None,
}


def request(**fields: Any) -> ModelRequest:
    whole: dict[str, Any] = {
        "model": "claude-sonnet-5-5",
        "system": [],
        "tools": [],
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 16_000,
    }
    return ModelRequest(**{**whole, **fields})


@pytest.fixture
async def server() -> AsyncIterator[ModelServer]:
    server = ModelServer({"scripts": [{"turns": [{"content": CONTENT, "usage": USAGE}]}]}, api_key=KEY)
    await server.start()
    yield server
    await server.stop()


@pytest.fixture
async def model(server: ModelServer) -> AsyncIterator[AnthropicModel]:
    model = AnthropicModel(KEY, server.url)
    yield model
    await model.close()


def break_with(server: ModelServer, **fault: Any) -> None:
    server.play({"scripts": [{"turns": []}], "faults": [fault]})


async def ask(model: AnthropicModel, timeout_seconds: float = 20) -> ModelReply:
    return await model.complete(request(), timeout_seconds=timeout_seconds)


async def test_the_blocks_come_back_exactly_as_the_server_wrote_them(model: AnthropicModel) -> None:
    reply = await model.complete(request(), timeout_seconds=20)
    assert reply.content == CONTENT
    assert (reply.stop_reason, reply.model, reply.request_id) == (
        "tool_use",
        "claude-sonnet-5-5",
        "req_standin000000",
    )
    assert reply.usage == Usage(5, 7, 3, 0)


async def test_the_request_holds_what_was_given_and_nothing_else(
    model: AnthropicModel, server: ModelServer
) -> None:
    await ask(model)
    assert server.requests[0]["body"] == {
        "model": "claude-sonnet-5-5",
        "max_tokens": 16_000,
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": True,
    }


async def test_system_and_tools_are_sent_when_there_are_any(
    model: AnthropicModel, server: ModelServer
) -> None:
    system = [{"type": "text", "text": "Be good."}]
    tools = [{"name": "read_file", "description": "Read.", "input_schema": {"type": "object"}}]
    await model.complete(request(system=system, tools=tools), timeout_seconds=20)
    body = server.requests[0]["body"]
    assert (body["system"], body["tools"]) == (system, tools)


async def test_no_environment_variable_of_the_sdk_is_obeyed(
    monkeypatch: pytest.MonkeyPatch, server: ModelServer
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-other")
    monkeypatch.setenv("ANTHROPIC_AUTH_TOKEN", "other-token")
    monkeypatch.setenv("ANTHROPIC_CUSTOM_HEADERS", "x-stray: 1")
    model = AnthropicModel(KEY, server.url)
    await ask(model)
    await model.close()
    headers = server.requests[0]["headers"]
    assert headers["authorization"] == f"sha256:{hashlib.sha256(KEY.encode()).hexdigest()}"
    assert "x-stray" not in headers


def test_without_an_address_it_is_anthropic_whatever_the_environment_says(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ANTHROPIC_BASE_URL", "http://127.0.0.1:9")
    assert str(AnthropicModel(KEY)._client.base_url) == "https://api.anthropic.com"


async def test_closing_twice_does_nothing(server: ModelServer) -> None:
    model = AnthropicModel(KEY, server.url)
    await model.close()
    await model.close()


@pytest.mark.parametrize(
    ("fault", "error", "after_seconds"),
    [
        ({"status": 429, "type": "rate_limit_error", "retry_after": 12}, RateLimited, 12.0),
        ({"status": 429, "type": "rate_limit_error", "retry_after": 4_000_000}, RateLimited, 300.0),
        ({"status": 429, "type": "rate_limit_error", "retry_after": "soon"}, RateLimited, None),
        ({"status": 429, "type": "rate_limit_error", "retry_after": "nan"}, RateLimited, None),
        ({"status": 429, "type": "rate_limit_error", "retry_after": -5}, RateLimited, 0.0),
        ({"status": 429, "code": "ramp_limit_exceeded", "retry_after": 3}, RateLimited, 3.0),
        ({"status": 529}, RateLimited, None),
        ({"status": 408}, OutcomeUnknown, None),
        ({"status": 504}, OutcomeUnknown, None),
        ({"status": 409}, RetryLater, None),
        ({"status": 500}, RetryLater, None),
        ({"status": 503, "retry_after": 1}, RetryLater, 1.0),
    ],
)
async def test_what_may_pass_is_to_be_tried_later(
    model: AnthropicModel,
    server: ModelServer,
    fault: Json,
    error: type[RetryLater],
    after_seconds: float | None,
) -> None:
    break_with(server, kind="status", **fault)
    with pytest.raises(RetryLater) as caught:
        await ask(model)
    assert (type(caught.value), caught.value.cause) == (error, Cause.MODEL_ERROR)
    assert caught.value.after_seconds == after_seconds
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "defect of ours"),
        (401, "check ANTHROPIC_API_KEY"),
        (403, "permissions"),
        (404, "check AGENT_DEFAULT_MODEL"),
        (413, "too large"),
        (422, "speaks the Messages API"),
        (418, "speaks the Messages API"),
    ],
)
async def test_what_cannot_pass_says_what_to_do_and_never_shows_the_key(
    model: AnthropicModel, server: ModelServer, status: int, words: str
) -> None:
    break_with(
        server, kind="status", status=status, type="some_error", message=f"no {KEY}\nnor sk-ant-other-1"
    )
    with pytest.raises(Permanent) as caught:
        await ask(model)
    assert caught.value.cause is Cause.MODEL_ERROR
    assert words in str(caught.value) and str(status) in str(caught.value)
    assert "canary" not in str(caught.value) and "sk-ant" not in str(caught.value)


async def test_a_long_message_of_the_server_is_cut(model: AnthropicModel, server: ModelServer) -> None:
    break_with(server, kind="status", status=400, message="x" * 5_000)
    with pytest.raises(Permanent) as caught:
        await ask(model)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    "fault",
    [
        {"status": 402, "type": "billing_error"},
        {"status": 429, "code": "enforced_spend_limit_reached"},
        {"status": 429, "code": "contract_spend_limit_reached"},
        {"status": 400, "message": "Your credit balance is too low to access the Anthropic API."},
        {"status": 400, "message": "You have reached your specified API usage limits."},
    ],
)
async def test_an_account_without_money_is_not_asked_again(
    model: AnthropicModel, server: ModelServer, fault: Json
) -> None:
    break_with(server, kind="status", **fault)
    with pytest.raises(Permanent, match="spend limit or has no credit"):
        await ask(model)


@pytest.mark.parametrize("kind", ["drop", "truncate", "nonsense"])
async def test_an_answer_that_does_not_arrive_whole_may_have_been_charged(
    model: AnthropicModel, server: ModelServer, kind: str
) -> None:
    break_with(server, kind=kind)
    with pytest.raises(OutcomeUnknown):
        await ask(model)


async def test_an_answer_that_hangs_is_given_up_at_the_deadline(
    model: AnthropicModel, server: ModelServer
) -> None:
    break_with(server, kind="hang")
    with pytest.raises(OutcomeUnknown):
        await ask(model, timeout_seconds=0.2)


async def test_a_server_that_is_away_has_charged_nothing() -> None:
    model = AnthropicModel(KEY, "http://127.0.0.1:9")
    with pytest.raises(RetryLater) as caught:
        await ask(model)
    await model.close()
    assert not isinstance(caught.value, OutcomeUnknown)
    assert "cannot be reached" in str(caught.value)


async def test_a_request_that_is_no_text_is_refused_before_it_is_sent(
    model: AnthropicModel, server: ModelServer
) -> None:
    with pytest.raises(Permanent, match="could not be built"):
        await model.complete(request(messages=[{"role": "user", "content": "\ud800"}]), timeout_seconds=20)
    assert server.requests == []


@pytest.mark.parametrize(
    "body",
    [
        "[]",
        '{"content": []}',
        '{"content": [], "usage": {"input_tokens": "1", "output_tokens": 1}}',
        f'{{"content": "text", {BILL}}}',
        f'{{"content": [7], {BILL}}}',
        f'{{"content": [{{"type": "text"}}], {BILL}}}',
        f'{{"content": [{{"type": "text", "text": "\\ud800"}}], {BILL}}}',
        f'{{"content": [{{"type": "tool_use", "id": "a", "name": "b"}}], {BILL}}}',
    ],
)
async def test_an_answer_without_the_shape_of_a_message_is_not_believed(body: str) -> None:
    with pytest.raises(OutcomeUnknown):
        await ask_a_server_that_answers(web.Response(text=body, content_type="application/json"))


async def test_a_redirect_is_not_followed() -> None:
    with pytest.raises(Permanent, match="answered 307"):
        await ask_a_server_that_answers(web.Response(status=307, headers={"Location": "http://127.0.0.1:9/"}))


async def test_a_block_of_an_unknown_kind_passes() -> None:
    body = f'{{"content": [{{"type": "hologram"}}], {BILL}}}'
    await ask_a_server_that_answers(web.Response(text=body, content_type="application/json"))


async def ask_a_server_that_answers(response: web.Response) -> ModelReply:
    """One call against a server that gives *response* to everything."""

    async def answer(_request: web.Request) -> web.Response:
        return response

    application = web.Application()
    application.router.add_post("/v1/messages", answer)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    host, port = runner.addresses[0][:2]
    model = AnthropicModel(KEY, f"http://{host}:{port}")
    try:
        return await ask(model)
    finally:
        await model.close()
        await runner.cleanup()


@pytest.mark.parametrize("opening", ['{"a":', "[", '[{"b":'])
async def test_arguments_that_nest_too_deeply_are_left_out(opening: str) -> None:
    # orjson reads 1,024 levels and writes 255: such an answer ended the job in our own code.
    depth = 200
    closing = "".join({"{": "}", "[": "]"}[sign] for sign in reversed(opening) if sign in "{[")
    nested = opening * depth + "1" + closing * depth
    call = f'{{"type": "tool_use", "id": "t", "name": "read_file", "input": {{"path": {nested}}}}}'
    body = f'{{"content": [{call}], {BILL}}}'
    reply = await ask_a_server_that_answers(web.Response(text=body, content_type="application/json"))
    (block,) = reply.content
    assert (block["id"], block["input"]) == ("t", {})

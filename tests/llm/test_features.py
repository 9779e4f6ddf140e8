"""Servers that are without a feature: found out once, and done without."""

from typing import Any

import pytest

from bot.domain.values import Json, ModelReply
from bot.errors import AccountRefused, Permanent
from bot.llm.client import AnthropicModel
from bot.standin.model.server import ModelServer
from tests.llm.conftest import KEY, request

MARK = {"cache_control": {"type": "ephemeral"}}
SCHEMA: Json = {
    "type": "object",
    "properties": {"type": {"type": "string", "enum": ["BUG"]}},
    "required": ["type"],
    "additionalProperties": False,
}
TOOL: Json = {
    "name": "a",
    "description": "A.",
    "input_schema": {"type": "object", "properties": {"cache_control": {"type": "string"}}},
}
CALL: Json = {"type": "tool_use", "id": "t", "name": "a", "input": {"cache_control": "mine"}}
EVERYTHING: dict[str, Any] = {
    "system": [{"type": "text", "text": "Be good.", **MARK}],
    "tools": [{**TOOL, **MARK}],
    "messages": [
        {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": [CALL]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "x", **MARK}]},
    ],
    "output_schema": SCHEMA,
}
NAMES = ("output_config", "cache_control", "stream")


def play(server: ModelServer, **book: Any) -> None:
    server.play({"scripts": [{"turns": [{"json": {"type": "BUG"}}], "repeat": True}], **book})


async def ask(model: AnthropicModel, /, **fields: Any) -> ModelReply:
    return await model.complete(request(**fields), timeout_seconds=20)


def sent(server: ModelServer) -> list[tuple[int, set[str]]]:
    """Of each request: its status, and which features it used."""
    return [
        (record["status"], {name for name in NAMES if _uses(record["body"], name)})
        for record in server.requests
    ]


def _uses(body: Json, name: str) -> bool:
    blocks = [*body.get("system", ()), *body.get("tools", ())]
    blocks += [block for message in body["messages"][1:] for block in message["content"]]
    return name in body or any(name in block for block in blocks)


async def test_all_of_them_are_used_where_they_are(model: AnthropicModel, server: ModelServer) -> None:
    play(server)
    reply = await ask(model, **EVERYTHING)
    assert reply.content[0]["text"] == '{"type": "BUG"}'
    assert sent(server) == [(200, set(NAMES))]
    form = server.requests[0]["body"]["output_config"]["format"]
    assert (form["type"], form["schema"]["required"]) == ("json_schema", ["type"])
    assert form["schema"]["additionalProperties"] is False


async def test_bounds_that_structured_output_does_not_know_become_words(
    model: AnthropicModel, server: ModelServer
) -> None:
    play(server)
    bounded = {**SCHEMA, "properties": {"type": {"type": "integer", "minimum": 1, "maximum": 10}}}
    await ask(model, output_schema=bounded)
    (record,) = server.requests
    sent_schema = record["body"]["output_config"]["format"]["schema"]
    described = {"type": "integer", "description": "{minimum: 1, maximum: 10}"}
    assert sent_schema["properties"]["type"] == described
    assert bounded["properties"]["type"] == {"type": "integer", "minimum": 1, "maximum": 10}


@pytest.mark.parametrize("name", NAMES)
async def test_one_that_is_refused_is_dropped_and_never_sent_again(
    model: AnthropicModel, server: ModelServer, name: str
) -> None:
    play(server, without=[name])
    for _ in range(2):
        assert (await ask(model, **EVERYTHING)).content[0]["text"] == '{"type": "BUG"}'
    rest = set(NAMES) - {name}
    assert sent(server) == [(400, set(NAMES)), (200, rest), (200, rest)]


async def test_a_server_without_any_of_them_is_asked_four_times_once(
    model: AnthropicModel, server: ModelServer
) -> None:
    play(server, without=list(NAMES))
    for _ in range(2):
        await ask(model, **EVERYTHING)
    assert [status for status, _ in sent(server)] == [400, 400, 400, 200, 200]
    assert sent(server)[-1] == (200, set())


async def test_each_model_is_found_out_by_itself(model: AnthropicModel, server: ModelServer) -> None:
    play(server, without=["stream"])
    await ask(model)
    await ask(model, model="claude-opus-5-5")
    assert [status for status, _ in sent(server)] == [400, 200, 400, 200]


async def test_without_structured_output_the_schema_is_asked_for_in_words(
    model: AnthropicModel, server: ModelServer
) -> None:
    play(server, without=["output_config"])
    await ask(model, **EVERYTHING)
    first, last = (record["body"]["system"] for record in server.requests)
    assert last[:-1] == first
    assert "JSON" in last[-1]["text"] and '"enum":["BUG"]' in last[-1]["text"]


async def test_without_breakpoints_arguments_and_schemas_stay_as_they_are(
    model: AnthropicModel, server: ModelServer
) -> None:
    play(server, without=["cache_control"])
    given = request(**EVERYTHING)
    await model.complete(given, timeout_seconds=20)
    body = server.requests[-1]["body"]
    assert body["tools"] == [TOOL] and body["messages"][1]["content"] == [CALL]
    assert given.system[0]["cache_control"] == MARK["cache_control"]


async def test_a_server_that_passes_over_what_it_does_not_know_is_understood(
    model: AnthropicModel, server: ModelServer
) -> None:
    play(server, ignores=list(NAMES))
    assert (await ask(model, **EVERYTHING)).content[0]["text"] == '{"type": "BUG"}'
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (400, "messages.3.content.0.text: unsupported characters"),
        (400, "A maximum of 4 blocks with cache_control may be provided. Found 5."),
        (400, "stream: Input should be a valid boolean"),
        (413, "cache_control: not supported"),
        (422, "structured output is not supported"),  # nobody asked for it
    ],
)
async def test_another_refusal_is_no_missing_feature(
    model: AnthropicModel, server: ModelServer, status: int, words: str
) -> None:
    play(server, faults=[{"kind": "status", "status": status, "message": words}])
    with pytest.raises(Permanent):
        await ask(model, system=EVERYTHING["system"])
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (422, "body.output_config: extra fields not permitted"),
        (400, "'claude-x' does not support structured outputs"),
        (501, "json_schema is not implemented"),
    ],
)
async def test_other_servers_say_it_in_other_words(
    model: AnthropicModel, server: ModelServer, status: int, words: str
) -> None:
    play(server, faults=[{"kind": "status", "status": status, "message": words}])
    await ask(model, output_schema=SCHEMA)
    assert sent(server) == [(status, {"output_config", "stream"}), (200, {"stream"})]


async def test_a_server_that_always_refuses_is_not_asked_for_ever(
    model: AnthropicModel, server: ModelServer
) -> None:
    words = "stream, cache_control and output_config are not supported"
    play(server, faults=[{"kind": "status", "status": 400, "message": words, "times": 99}])
    with pytest.raises(Permanent):
        await ask(model, **EVERYTHING)
    assert len(server.requests) == 2


async def test_a_refused_key_is_no_missing_feature(server: ModelServer) -> None:
    model = AnthropicModel(KEY + "x", server.url)
    with pytest.raises(AccountRefused):
        await ask(model, **EVERYTHING)
    await model.close()
    assert len(server.requests) == 1


async def test_a_model_that_nobody_knows_is_told_with_the_remedy(
    model: AnthropicModel, server: ModelServer
) -> None:
    # LM-10
    play(server)
    with pytest.raises(Permanent, match="check AGENT_DEFAULT_MODEL") as caught:
        await ask(model, model="claude-99")
    assert "claude-99" in str(caught.value) and "haiku, sonnet, opus" in str(caught.value)
    assert len(server.requests) == 1

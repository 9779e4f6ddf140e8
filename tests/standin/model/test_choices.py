"""What a book may ask for: how scripts are chosen, orders, refusals, and servers that know less."""

from typing import Any

import aiohttp
import anthropic
import pytest

from bot.standin.model.obeying import MAGIC_REFUSAL
from bot.standin.model.script import Book, ScriptError
from bot.standin.model.server import ModelServer
from tests.standin.model.conftest import HEADERS, Json, Post
from tests.standin.model.test_server import body, say, words_of

SCHEMA: Json = {
    "type": "object",
    "properties": {"type": {"type": "string", "enum": ["BUG"]}},
    "required": ["type"],
    "additionalProperties": False,
}
FORM: Json = {"format": {"type": "json_schema", "schema": SCHEMA}}
TOOL: Json = {"name": "a", "input_schema": {"type": "object"}}


def order(path: str) -> str:
    return f'OBEY {{"name": "read_file", "input": {{"path": "{path}"}}}}'


def calls(answer: Json) -> list[Any]:
    return [block["input"].get("path") for block in answer["content"] if block["type"] == "tool_use"]


async def talk(post: Post, results: list[str], first: str) -> list[list[Any]]:
    """What is called in each turn of a conversation whose tool results are *results*."""
    messages: list[Json] = []
    seen = []
    for result in [*results, ""]:
        answer = (await post(body(*messages, first=first)))[1]
        seen.append(calls(answer))
        ids = [block["id"] for block in answer["content"] if block["type"] == "tool_use"]
        reply: Any = [{"type": "tool_result", "tool_use_id": id_, "content": result} for id_ in ids]
        messages += [{"role": "assistant", "content": answer["content"]}]
        messages += [{"role": "user", "content": reply or result or "Go on."}]
    return seen


async def test_scripts_are_chosen_by_system_and_by_output_too(server: ModelServer, post: Post) -> None:
    scripts = [
        {"name": "triage", "output": True, "match": "bug", "turns": [{"json": {"type": "BUG"}}]},
        {"name": "plan", "system": "You plan", "match": "bug", "turns": [say("plan")]},
        {"name": "fix", "output": False, "match": "bug", "turns": [say("fix")]},
    ]
    server.play({"scripts": scripts})
    assert words_of((await post(body(first="bug", output_config=FORM)))[1]) == '{"type": "BUG"}'
    assert words_of((await post(body(first="bug", system="You plan.")))[1]) == "plan"
    assert words_of((await post(body(first="bug", output_config={"effort": "low"})))[1]) == "fix"


async def test_orders_in_results_and_later_words_are_obeyed_once_and_in_order(
    server: ModelServer, post: Post
) -> None:
    server.play({"scripts": [{"obey": True, "turns": [say("done")], "repeat": True}]})
    results = [f"12\t# {order('b')} -->\n{order('a')}", "nothing", order("b"), order("c")]
    assert await talk(post, results, f"Please.\n{order('a')}") == [["a"], ["b"], [], [], ["c"]]


async def test_several_calls_may_be_ordered_for_one_turn(server: ModelServer, post: Post) -> None:
    server.play({"scripts": [{"obey": True, "turns": [say("done")]}]})
    both = '[{"name": "read_file", "input": {"path": "a"}}, {"name": "read_file", "input": {"path": "b"}}]'
    assert await talk(post, ["", ""], f"OBEY {both}\nOBEY []\nOBEY [1]\nOBEY {{no}}") == [["a", "b"], [], []]


@pytest.mark.parametrize("place", ["first", "system"])
async def test_a_string_anywhere_makes_a_refusal(server: ModelServer, post: Post, place: str) -> None:
    asked: Any = {place: "x poison x"}
    server.play({"scripts": [{"turns": [say("one")]}], "refuse_if": "poison"})
    answer = (await post(body(**asked)))[1]
    assert (answer["content"], answer["stop_reason"]) == ([], "refusal")
    assert answer["stop_details"]["type"] == "refusal" and answer["usage"]["input_tokens"] > 0
    server.play({"scripts": [{"refuse_if": ["poison"], "turns": []}, {"turns": []}]})
    assert (await post(body(**asked)))[1]["stop_reason"] == "refusal"
    assert (await post(body()))[1]["stop_reason"] == "end_turn"


async def test_the_documented_string_makes_a_refusal_in_a_stream_too(
    server: ModelServer, session: aiohttp.ClientSession
) -> None:
    asked = body(first=f"see {MAGIC_REFUSAL}", stream=True)
    async with session.post(f"{server.url}/v1/messages", json=asked, headers=HEADERS) as response:
        assert '"stop_reason": "refusal"' in await response.text()


REFUSED = {
    "no object": ({"output_config": 5}, "output_config: Input should be an object"),
    "an unknown key": ({"output_config": {"colour": 1}}, "output_config.colour: Extra inputs are not"),
    "an unknown effort": ({"output_config": {"effort": "huge"}}, "output_config.effort"),
    "a form of another type": ({"output_config": {"format": {"type": "text"}}}, "format.type: Input"),
    "a form with an unknown key": (
        {"output_config": {"format": {**FORM["format"], "name": "x"}}},
        "output_config.format.name: Extra inputs are not permitted",
    ),
    "no schema": ({"output_config": {"format": {"type": "json_schema"}}}, "format.schema: Input should be"),
    "an open object": (
        {"output_config": {"format": {"type": "json_schema", "schema": {"type": "object"}}}},
        "'additionalProperties' must be explicitly set to false",
    ),
    "strict with an open object": ({"tools": [{**TOOL, "strict": True}]}, "tools.0.custom.input_schema"),
    "a ttl of another kind": ({"cache_control": {"type": "ephemeral", "ttl": "9h"}}, "cache_control.ttl"),
}


@pytest.mark.parametrize(("fields", "words"), REFUSED.values(), ids=REFUSED)
async def test_what_anthropic_refuses_of_structure_is_refused(post: Post, fields: Json, words: str) -> None:
    status, answer = await post(body(**fields))
    assert status == 400 and words in answer["error"]["message"]


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "tuple"}, "Invalid type 'tuple'"),
        ({"type": "integer", "minimum": 1}, "For 'integer' type, properties minimum are not supported"),
        ({"type": "array", "minItems": 2}, "'minItems' values other than 0 or 1"),
        ({"type": "array", "items": {"type": "string", "maxLength": 5}}, "properties.x.items"),
        ({"anyOf": [{"type": "null"}, {"type": "object"}]}, "properties.x.anyOf.1"),
        ({"$defs": {"y": {"type": "object"}}, "$ref": "#"}, "properties.x.$defs.y"),
    ],
)
async def test_a_schema_that_cannot_be_kept_to_is_refused(post: Post, schema: Json, words: str) -> None:
    whole = {**SCHEMA, "properties": {"x": schema}}
    form = {"format": {"type": "json_schema", "schema": whole}}
    status, answer = await post(body(output_config=form))
    assert status == 400 and words in answer["error"]["message"]


async def test_what_the_sdk_makes_of_any_schema_is_taken(post: Post) -> None:
    schema = {
        "type": "object",
        "properties": {
            "complexity": {"type": "integer", "minimum": 1, "maximum": 10},
            "names": {"type": "array", "items": {"type": "string", "maxLength": 5}, "minItems": 3},
        },
    }
    form = {"format": {"type": "json_schema", "schema": anthropic.transform_schema(schema)}}
    assert (await post(body(output_config=form)))[0] == 200


MARKED: Json = {"type": "text", "text": "word " * 1_000, "cache_control": {"type": "ephemeral"}}
USES: dict[str, Json] = {
    "output_config": {"output_config": FORM},
    "stream": {"stream": True},
    "cache_control": {"system": [MARKED]},
    "strict": {"tools": [{**TOOL, "input_schema": SCHEMA, "strict": True}]},
}
PLACES = {"cache_control": "system.0.text.cache_control", "strict": "tools.0.custom.strict"}


@pytest.mark.parametrize("feature", USES)
async def test_a_server_may_be_without_a_feature(server: ModelServer, post: Post, feature: str) -> None:
    server.play({"scripts": [{"turns": [say("one")]}], "without": [feature]})
    status, answer = await post(body(**USES[feature]))
    place = PLACES.get(feature, feature)
    assert (status, answer["error"]["message"]) == (400, f"{place}: Extra inputs are not permitted")
    assert (await post(body()))[0] == 200


async def test_a_breakpoint_is_unknown_wherever_it_stands(server: ModelServer, post: Post) -> None:
    server.play({"scripts": [{"turns": [say("one")]}], "without": ["cache_control"]})
    for asked in (body(cache_control={"type": "ephemeral"}), body({"role": "user", "content": [MARKED]})):
        assert (await post(asked))[0] == 400


async def test_a_server_may_pass_over_a_feature(server: ModelServer, post: Post) -> None:
    scripts = [{"output": True, "turns": [say("json")]}, {"turns": [say("words")]}]
    server.play({"scripts": scripts, "ignores": ["output_config", "cache_control", "stream"]})
    asked = body({"role": "user", "content": [MARKED]}, output_config=FORM, stream=True, system=[MARKED])
    status, answer = await post({**asked, "tools": [TOOL]})
    assert (status, words_of(answer)) == (200, "words")
    assert answer["usage"]["cache_creation_input_tokens"] == 0


@pytest.mark.parametrize(
    ("book", "words"),
    [
        ({"without": ["sound"]}, "without may hold"),
        ({"refuse_if": [""]}, "refuse_if must be"),
        ({"models": {"x": {"colour": 1}}}, "a model is not valid"),
    ],
)
def test_a_book_that_asks_for_nonsense_is_refused(book: Json, words: str) -> None:
    with pytest.raises(ScriptError, match=words):
        Book.read({"scripts": [], **book})


async def test_a_server_may_have_models_of_its_own(server: ModelServer, post: Post) -> None:
    server.play({"scripts": [{"turns": [say("one")]}], "models": {"qwen": {"context_tokens": 100}}})
    assert (await post(body(model="qwen")))[0] == 200
    status, answer = await post(body(model="qwen", system="word " * 200))
    assert status == 400 and "100 maximum" in answer["error"]["message"]


async def test_tokens_are_counted_and_models_listed(server: ModelServer) -> None:
    client = anthropic.AsyncAnthropic(api_key="key", base_url=server.url, max_retries=0)
    counted = await client.messages.count_tokens(
        model="claude-opus-5-5", messages=[{"role": "user", "content": "word " * 100}]
    )
    names = [model.id async for model in client.models.list()]
    assert counted.input_tokens > 100 and "claude-opus-5-5" in names
    assert (await client.models.retrieve("claude-haiku-4-5")).max_input_tokens == 200_000
    with pytest.raises(anthropic.NotFoundError):
        await client.models.retrieve("claude-99")
    server.play({"scripts": [], "without": ["count_tokens"]})
    with pytest.raises(anthropic.NotFoundError):
        await client.messages.count_tokens(
            model="claude-opus-5-5", messages=[{"role": "user", "content": "x"}]
        )
    await client.close()

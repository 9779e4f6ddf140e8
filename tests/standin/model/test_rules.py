"""Every refusal of the Messages API that the stand-in knows, in Anthropic's form."""

from typing import Any

import pytest

from tests.standin.model.conftest import HEADERS, Json, Post

USER: Json = {"role": "user", "content": "Hi"}
TOOL: Json = {"name": "read_file", "input_schema": {"type": "object"}}
MARK: Json = {"type": "ephemeral"}


def body(**fields: Any) -> Json:
    return {"model": "claude-opus-5-5", "max_tokens": 100, "messages": [USER], **fields}


def without(name: str) -> Json:
    return {key: value for key, value in body().items() if key != name}


def talk(*messages: Json) -> Json:
    return body(messages=list(messages))


def use(call_id: str = "toolu_1", **fields: Any) -> Json:
    return {"type": "tool_use", "id": call_id, "name": "read_file", "input": {}, **fields}


def result(call_id: str = "toolu_1", **fields: Any) -> Json:
    return {"type": "tool_result", "tool_use_id": call_id, "content": "ok", **fields}


def user(*blocks: Any) -> Json:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: Any) -> Json:
    return {"role": "assistant", "content": list(blocks)}


def text(words: str = "Hi", **fields: Any) -> Json:
    return {"type": "text", "text": words, **fields}


THINKING: Json = {"type": "thinking", "thinking": "Hm", "signature": "forged"}

REFUSED = {
    "no object": ([1], "expected an object"),
    "no model": (without("model"), "model: Field required"),
    "no max_tokens": (without("max_tokens"), "max_tokens: Field required"),
    "no messages": (without("messages"), "messages: Field required"),
    "max_tokens of another type": (body(max_tokens="100"), "max_tokens: Input should be a valid integer"),
    "max_tokens true": (body(max_tokens=True), "max_tokens: Input should be a valid integer"),
    "max_tokens 0": (body(max_tokens=0), "greater than or equal to 1"),
    "max_tokens too large": (body(max_tokens=128_001), "128001 > 128000, which is the maximum"),
    "model of another type": (body(model=5), "model: Input should be a valid string"),
    "temperature": (body(temperature=0), "`temperature` is not supported"),
    "top_k": (body(top_k=3), "`top_k` is not supported"),
    "unknown field": (body(colour="red"), "colour: Extra inputs are not permitted"),
    "stream of another type": (body(stream="yes"), "stream: Input should be a valid boolean"),
    "system of another type": (body(system=5), "system: Input should be a valid list"),
    "system with an image": (body(system=[{"type": "image"}]), "system.0.type"),
    "empty system": (body(system=[text("")]), "system: text content blocks must be non-empty"),
    "tools no list": (body(tools={}), "tools: Input should be a valid list"),
    "tool without a name": (body(tools=[{}]), "tools.0.custom.name"),
    "tool that is no object": (body(tools=["x"]), "tools.0.custom.name"),
    "tool with a bad name": (body(tools=[{**TOOL, "name": "read file"}]), "tools.0.custom.name"),
    "tool without a schema": (body(tools=[{"name": "a"}]), "input_schema"),
    "tool with a schema of text": (
        body(tools=[{"name": "a", "input_schema": {"type": "string"}}]),
        "input_schema",
    ),
    "two tools of one name": (body(tools=[TOOL, TOOL]), "Tool names must be unique"),
    "choice of an unknown kind": (body(tools=[TOOL], tool_choice={"type": "all"}), "tool_choice.type"),
    "choice that is no object": (body(tools=[TOOL], tool_choice="auto"), "tool_choice.type"),
    "choice without tools": (body(tool_choice={"type": "auto"}), "only be specified while providing tools"),
    "choice of an unknown tool": (
        body(tools=[TOOL], tool_choice={"type": "tool", "name": "bash"}),
        "Tool 'bash' not found in provided tools",
    ),
    "forced tool": (body(tools=[TOOL], tool_choice={"type": "any"}), "not supported on this model"),
    "messages no list": (body(messages={}), "messages: Input should be a valid list"),
    "no message": (talk(), "at least one message is required"),
    "first message by the assistant": (talk(assistant(text())), 'first message must use the "user" role'),
    "unknown role": (talk({"role": "tool", "content": "x"}), "messages.0.role"),
    "message that is no object": (body(messages=["Hi"]), "messages.0.role"),
    "content of another type": (talk({"role": "user", "content": 5}), "messages.0.content"),
    "empty content": (talk(user()), "messages.0: all messages must have non-empty content"),
    "empty text": (talk(user(text(""))), "text content blocks must be non-empty"),
    "blank text": (talk(user(text(" \n"))), "must contain non-whitespace text"),
    "text of another type": (talk(user(text(5))), "messages.0.content.0.text"),  # type: ignore[arg-type]
    "unknown block": (talk(user({"type": "hologram"})), "messages.0.content.0.type"),
    "block that is no object": (talk(user("Hi")), "messages.0.content.0.type"),
    "tool_use by the user": (talk(user(use())), "messages.0.content.0.type"),
    "tool_result by the assistant": (talk(USER, assistant(result())), "messages.1.content.0.type"),
    "tool_use without an id": (talk(USER, assistant(use(id=5))), "tool_use.id: Input should be a valid str"),
    "tool_use without input": (
        talk(USER, assistant({"type": "tool_use", "id": "a", "name": "b"})),
        "tool_use.input: Field required",
    ),
    "thinking without a signature": (
        talk(USER, assistant({"type": "thinking", "thinking": "Hm"}, text())),
        "thinking.signature: Field required",
    ),
    "thinking last": (talk(USER, assistant(THINKING), USER), "final block in an assistant message cannot be"),
    "thinking forged": (
        talk(USER, assistant(THINKING, text()), USER),
        "Invalid `signature` in `thinking` block",
    ),
    "result content of another type": (
        talk(USER, assistant(use()), user(result(content=5))),
        "messages.2.content.0",
    ),
    "error result without words": (
        talk(USER, assistant(use()), user(result(content="", is_error=True))),
        "content cannot be empty if `is_error` is true",
    ),
    "call without result": (talk(USER, assistant(use()), USER), "`tool_use` ids were found without"),
    "call at the end": (talk(USER, assistant(use())), "`tool_use` ids were found without"),
    "call answered by the assistant": (
        talk(USER, assistant(use()), assistant(text()), USER),
        "ids were found without",
    ),
    "one of two calls unanswered": (
        talk(USER, assistant(use("a"), use("b")), user(result("a"))),
        "immediately after: b.",
    ),
    "result without call": (talk(user(result())), "unexpected `tool_use_id`"),
    "result that comes late": (
        talk(USER, assistant(use()), user(result()), assistant(text()), user(result())),
        "unexpected `tool_use_id`",
    ),
    "result twice": (talk(USER, assistant(use()), user(result(), result())), "must have a single result"),
    "result after text": (
        talk(USER, assistant(use()), user(text(), result())),
        "`tool_use` ids were found without",
    ),
    "two calls of one id": (talk(USER, assistant(use(), use()), user(result())), "ids must be unique"),
    "an id used again": (
        talk(USER, assistant(use()), user(result()), assistant(use()), user(result())),
        "ids must be unique",
    ),
    "prefill": (talk(USER, assistant(text())), "does not support assistant message prefill"),
    "five breakpoints": (
        talk(user(*[text(cache_control=MARK)] * 5)),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    "breakpoints everywhere": (
        body(
            system=[text(cache_control=MARK)],
            tools=[{**TOOL, "cache_control": MARK}],
            messages=[user(*[text(cache_control=MARK)] * 2)],
            cache_control=MARK,
        ),
        "Found 5.",
    ),
    "breakpoint of another kind": (
        talk(user(text(cache_control={"type": "for ever"}))),
        "cache_control.type",
    ),
    "breakpoint on thinking": (
        talk(USER, assistant({**THINKING, "cache_control": MARK}, text()), USER),
        "cannot be set on thinking blocks",
    ),
    "too long for the model": (
        {**talk(user(text("word " * 200_000))), "model": "claude-haiku-4-5"},
        "prompt is too long",
    ),
}


@pytest.mark.parametrize(("sent", "words"), REFUSED.values(), ids=REFUSED)
async def test_a_request_that_anthropic_refuses_is_refused(post: Post, sent: Any, words: str) -> None:
    status, answer = await post(sent)
    assert (status, answer["type"], answer["error"]["type"]) == (400, "error", "invalid_request_error")
    assert words in answer["error"]["message"]
    assert answer["request_id"] == "req_standin000000"


ACCEPTED = {
    "a string": talk(USER),
    "blocks": talk(user(text(), text())),
    "system as text": body(system="Be good."),
    "system as blocks": body(system=[text(cache_control=MARK)]),
    "two user messages in a row": talk(USER, USER),
    "a result with text after it": talk(USER, assistant(text(), use()), user(result(), text("Go on."))),
    "two results in another order": talk(USER, assistant(use("a"), use("b")), user(result("b"), result("a"))),
    "a result without content": talk(
        USER, assistant(use()), user({"type": "tool_result", "tool_use_id": "toolu_1"})
    ),
    "a free choice of tools": body(tools=[TOOL], tool_choice={"type": "auto"}),
    "no choice of tools": body(tool_choice={"type": "none"}),
    "a forced tool where the model allows it": {
        **body(tools=[TOOL], tool_choice={"type": "tool", "name": "read_file"}),
        "model": "claude-opus-5",
    },
    "four breakpoints": talk(user(*[text(cache_control=MARK)] * 4)),
}


@pytest.mark.parametrize("sent", ACCEPTED.values(), ids=ACCEPTED)
async def test_a_request_that_anthropic_takes_is_answered(post: Post, sent: Json) -> None:
    status, answer = await post(sent)
    assert (status, answer["type"], answer["role"]) == (200, "message", "assistant")


async def test_an_unknown_model_is_not_found(post: Post) -> None:
    status, answer = await post(body(model="claude-99"))
    assert (status, answer["error"]) == (404, {"type": "not_found_error", "message": "model: claude-99"})


@pytest.mark.parametrize(
    ("headers", "status", "words"),
    [
        ({"anthropic-version": "1"}, 401, "x-api-key header is required"),
        ({**HEADERS, "Authorization": "Basic key"}, 401, "x-api-key header is required"),
        ({**HEADERS, "Authorization": "Bearer other"}, 401, "invalid x-api-key"),
        ({"x-api-key": "other", "anthropic-version": "1"}, 401, "invalid x-api-key"),
        ({"Authorization": "Bearer key"}, 400, "anthropic-version: header is required"),
    ],
)
async def test_a_request_without_key_or_version_is_refused(
    post: Post, headers: dict[str, str], status: int, words: str
) -> None:
    got, answer = await post(body(), headers)
    assert (got, answer["error"]["message"]) == (status, words)


async def test_both_forms_of_the_key_are_taken(post: Post) -> None:
    for headers in (HEADERS, {"x-api-key": "key", "anthropic-version": "1"}):
        assert (await post(body(), headers))[0] == 200

"""What Anthropic refuses, and in which words, before any model sees the request.

Shapes: https://platform.claude.com/docs/en/api/messages/create and
https://platform.claude.com/docs/en/agents-and-tools/tool-use/handle-tool-calls; the messages are those
that people quote in public issues of API clients.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from bot.standin.model import history, structure
from bot.standin.model.models import MODELS, Model
from bot.standin.model.refusal import Refusal, invalid

FIELDS = {
    "max_tokens",
    "messages",
    "model",
    "cache_control",
    "container",
    "diagnostics",
    "inference_geo",
    "metadata",
    "output_config",
    "service_tier",
    "speed",
    "stop_sequences",
    "stream",
    "system",
    "thinking",
    "tool_choice",
    "tools",
}
SAMPLING_FIELDS = ("temperature", "top_p", "top_k")
MAX_BREAKPOINTS = 4
_TOOL_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


def check_headers(headers: Mapping[str, str], expected_key: str | None) -> None:
    """Refuse a request without a valid key (either form) or without a version.

    Raises:
        Refusal: 401 or 400, as Anthropic answers.
    """
    bearer = headers.get("Authorization", "")
    key = bearer.removeprefix("Bearer ") if bearer.startswith("Bearer ") else headers.get("x-api-key", "")
    if not key:
        raise Refusal(401, "authentication_error", "x-api-key header is required")
    if expected_key is not None and key != expected_key:
        raise Refusal(401, "authentication_error", "invalid x-api-key")
    if not headers.get("anthropic-version"):
        raise invalid("anthropic-version: header is required")


def check_body(body: Any, models: Mapping[str, Model] = MODELS) -> None:
    """Refuse a body that Anthropic would refuse; *models* are those that this server has.

    Raises:
        Refusal: 400 invalid_request_error, or 404 not_found_error for an unknown model.
    """
    if not isinstance(body, dict):
        raise invalid("The request body is not valid JSON: expected an object")
    _check_fields(body)
    _check_limits(body, models)
    _check_system(body.get("system"))
    names = _check_tools(body.get("tools"))
    _check_tool_choice(body.get("tool_choice"), names, models[body["model"]])
    history.check(body["messages"])
    structure.check_output_config(body.get("output_config"))
    _check_breakpoints(body)


def _check_fields(body: dict[str, Any]) -> None:
    """Refuse what is missing, and what nobody knows."""
    for name in ("model", "max_tokens", "messages"):
        if name not in body:
            raise invalid(f"{name}: Field required")
    for name in SAMPLING_FIELDS:
        if name in body:
            raise invalid(f"`{name}` is not supported on this model")
    for name in sorted(set(body) - FIELDS):
        raise invalid(f"{name}: Extra inputs are not permitted")
    if not isinstance(body.get("stream", False), bool):
        raise invalid("stream: Input should be a valid boolean")


def _check_limits(body: dict[str, Any], models: Mapping[str, Model]) -> None:
    """Refuse an unknown model and an impossible `max_tokens`."""
    name, max_tokens = body["model"], body["max_tokens"]
    if not isinstance(name, str) or not name:
        raise invalid("model: Input should be a valid string")
    if name not in models:
        raise Refusal(404, "not_found_error", f"model: {name}")
    if not isinstance(max_tokens, int) or isinstance(max_tokens, bool):
        raise invalid("max_tokens: Input should be a valid integer")
    if max_tokens < 1:
        raise invalid("max_tokens: must be greater than or equal to 1")
    limit = models[name].max_output_tokens
    if max_tokens > limit:
        raise invalid(
            f"max_tokens: {max_tokens} > {limit}, which is the maximum allowed number of output tokens for "
            f"{name}"
        )


def _check_system(system: Any) -> None:
    """Refuse a system prompt that is neither text nor text blocks."""
    if system is None or isinstance(system, str):
        return
    if not isinstance(system, list):
        raise invalid("system: Input should be a valid list")
    for index, block in enumerate(system):
        if not isinstance(block, dict) or block.get("type") != "text":
            raise invalid(f"system.{index}.type: Input should be 'text'")
        if not isinstance(block.get("text"), str) or not block["text"]:
            raise invalid("system: text content blocks must be non-empty")


def _check_tools(tools: Any) -> set[str]:
    """Refuse tools without a proper name or schema; gives their names."""
    names: set[str] = set()
    if tools is not None and not isinstance(tools, list):
        raise invalid("tools: Input should be a valid list")
    for index, tool in enumerate(tools or ()):
        name = tool.get("name") if isinstance(tool, dict) else None
        if not isinstance(name, str) or not _TOOL_NAME.fullmatch(name):
            raise invalid(
                f"tools.{index}.custom.name: String should match pattern '^[a-zA-Z0-9_-]{{1,128}}$'"
            )
        schema = tool.get("input_schema")
        if not isinstance(schema, dict) or schema.get("type") != "object":
            raise invalid(f"tools.{index}.custom.input_schema.type: Input should be 'object'")
        if tool.get("strict"):
            structure.check_schema(f"tools.{index}.custom.input_schema", schema)
        if name in names:
            raise invalid("tools: Tool names must be unique.")
        names.add(name)
    return names


def _check_tool_choice(choice: Any, names: set[str], model: Model) -> None:
    """Refuse a choice of a tool that is not there, or that the model cannot be forced to."""
    if choice is None:
        return
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind not in {"auto", "any", "tool", "none"}:
        raise invalid("tool_choice.type: Input should be 'auto', 'any', 'tool' or 'none'")
    if kind != "none" and not names:
        raise invalid("tool_choice: tool_choice may only be specified while providing tools.")
    if kind == "tool" and choice.get("name") not in names:
        raise invalid(f"tool_choice: Tool '{choice.get('name')}' not found in provided tools")
    if kind in {"any", "tool"} and not model.is_tool_choice_forcible:
        raise invalid(f"tool_choice.type: '{kind}' is not supported on this model")


def _check_breakpoints(body: dict[str, Any]) -> None:
    """Refuse a fifth cache breakpoint, and one on a block that cannot carry it."""
    marked = [block for block in _blocks(body) if block.get("cache_control") is not None]
    if body.get("cache_control") is not None:
        marked.append({"cache_control": body["cache_control"]})
    if len(marked) > MAX_BREAKPOINTS:
        raise invalid(
            f"A maximum of {MAX_BREAKPOINTS} blocks with cache_control may be provided. Found {len(marked)}."
        )
    for block in marked:
        control = block["cache_control"]
        if not isinstance(control, dict) or control.get("type") != "ephemeral":
            raise invalid("cache_control.type: Input should be 'ephemeral'")
        if control.get("ttl") not in {None, "5m", "1h"}:
            raise invalid("cache_control.ttl: Input should be '5m' or '1h'")
        if block.get("type") in {"thinking", "redacted_thinking"}:
            raise invalid("cache_control cannot be set on thinking blocks")


def _blocks(body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every block of the request that may carry a breakpoint."""
    yield from body.get("tools") or ()
    if isinstance(body.get("system"), list):
        yield from body["system"]
    for message in body["messages"]:
        if isinstance(message["content"], list):
            yield from message["content"]

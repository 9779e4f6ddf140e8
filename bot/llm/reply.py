"""An answer's JSON as a value of ours, if it has the shape of a message."""

from typing import Any

import orjson

from bot.domain.values import Json, ModelReply, Usage
from bot.llm import failures
from bot.llm.stream import INVALID_JSON

MAX_INPUT_DEPTH = 50
"""Our tools take flat objects; orjson writes at most 255 levels: https://github.com/ijl/orjson#serialize"""


def read(data: object, request_id: str | None) -> ModelReply:
    """The answer as a value; `content` is the server's own JSON.

    Raises:
        OutcomeUnknown: it has not the documented shape.
    """
    content: Any = _with_inputs(data.get("content")) if isinstance(data, dict) else None
    if not isinstance(data, dict) or not _is_content(content) or not _is_usage(data.get("usage")):
        raise failures.cut("it has not the shape of a message")
    stop_reason = data.get("stop_reason")
    return ModelReply(
        content=[_without_depth(block) for block in content],
        stop_reason=stop_reason if isinstance(stop_reason, str) else None,
        usage=_usage(data["usage"]),
        model=str(data.get("model") or ""),
        request_id=request_id,
    )


def _with_inputs(content: Any) -> Any:
    """*content*, each call's arguments that are JSON but no object marked, as in an answer piece by piece."""
    return [_with_input(block) for block in content] if isinstance(content, list) else content


def _with_input(block: Any) -> Any:
    """*block*; a call whose arguments are there, but no object, is the model's error and answered as one."""
    is_call = isinstance(block, dict) and block.get("type") == "tool_use" and "input" in block
    if not is_call or isinstance(block["input"], dict):
        return block
    is_deep = _is_deeper(block["input"], MAX_INPUT_DEPTH)
    return {**block, "input": {} if is_deep else {INVALID_JSON: orjson.dumps(block["input"]).decode()}}


def _is_content(content: object) -> bool:
    """Whether it is a list of typed blocks whose tool calls can be answered."""
    return isinstance(content, list) and all(_is_block(block) for block in content)


def _is_block(block: object) -> bool:
    """Whether the fields that we rely on are there; unknown kinds of blocks pass."""
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        return False
    if block["type"] == "text":
        return isinstance(block.get("text"), str)
    if block["type"] == "tool_use":
        fields = (("id", str), ("name", str), ("input", dict))
        return all(isinstance(block.get(name), type_) for name, type_ in fields)
    return True


def _without_depth(block: Json) -> Json:
    """The block; a call whose arguments nest too deeply keeps none, and is told what is missing."""
    if block["type"] != "tool_use" or not _is_deeper(block["input"], MAX_INPUT_DEPTH):
        return block
    return {**block, "input": {}}


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether *value* nests more than *levels* objects and lists; without recursion."""
    layer = [value]
    for _ in range(levels + 1):
        nests = [item for item in layer if isinstance(item, dict | list)]
        layer = [item for nest in nests for item in (nest.values() if isinstance(nest, dict) else nest)]
        if not nests:
            return False
    return True


def _is_usage(usage: object) -> bool:
    """Whether the bill is there: an answer that does not say what it cost would be free for ever."""
    return isinstance(usage, dict) and all(
        isinstance(usage.get(name), int) for name in ("input_tokens", "output_tokens")
    )


def _usage(fields: Json) -> Usage:
    """The four counts that cost money; cache counts may be missing or null."""

    def count(name: str) -> int:
        value = fields.get(name)
        return value if isinstance(value, int) and value > 0 else 0

    return Usage(
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        cache_write_tokens=count("cache_creation_input_tokens"),
        cache_read_tokens=count("cache_read_input_tokens"),
    )

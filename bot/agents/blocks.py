"""Content blocks of the Messages API: made by us, and made fit to be sent back."""

from typing import Any, Final

import orjson

from bot.domain.values import Json, ToolResult

MAX_RESULT_CHARS = 60_000
MIN_RESULT_CHARS = 400
MAX_ARGUMENTS_BYTES = 1_000_000
"""More than any tool takes; a call with more keeps none of its arguments, and is told so."""
KNOWN_REPLY_TYPES: Final = frozenset({"text", "tool_use", "thinking", "redacted_thinking", "server_tool_use"})
UNSIGNED_END: Final = frozenset({"thinking", "redacted_thinking"})


def text(words: str) -> Json:
    """A text block."""
    return {"type": "text", "text": words}


def tool_result(call: Json, result: ToolResult, max_chars: int = MAX_RESULT_CHARS) -> Json:
    """The block that answers *call*: never empty, bounded, and free of what JSON cannot carry."""
    words = result.text.encode("utf-8", "replace").decode() or "(no output)"
    if len(words) > max_chars:
        half = max_chars // 2
        left_out = f"[{len(words) - 2 * half:,} characters left out{_how_to_see(call)}]"
        words = f"{words[:half]}\n{left_out}\n{words[-half:]}"
    block: Json = {"type": "tool_result", "tool_use_id": call["id"], "content": words}
    return {**block, "is_error": True} if result.is_error or result.refused else block


def not_run(calls: list[Json], words: str) -> list[Json]:
    """The blocks that answer *calls* of which none was run."""
    return [tool_result(call, ToolResult(words, is_error=True)) for call in calls]


def _how_to_see(call: Json) -> str:
    """How the model gets at what was left out."""
    if call["name"] == "read_file":
        return "; read them with offset_line and limit_lines"
    return "; make a narrower call to see them"


def fit(content: list[Json]) -> list[Json]:
    """The blocks of an answer as they are recorded, acted on and sent back: each call's arguments bounded."""
    return [_bounded(block) if block["type"] == "tool_use" else block for block in content]


def _bounded(call: Json) -> Json:
    """The call, or the same without its arguments when these are too large to keep."""
    length = size(call["input"])
    if length <= MAX_ARGUMENTS_BYTES:
        return call
    return {
        **call,
        "input": {"too_large": f"{length} bytes of arguments; at most {MAX_ARGUMENTS_BYTES} are taken"},
    }


def calls_of(content: list[Json]) -> list[Json]:
    """The tool calls of an answer, in their order."""
    return [block for block in content if block["type"] == "tool_use"]


def words_of(content: list[Json]) -> str:
    """The text of an answer, without NUL, which no comment can hold."""
    return (
        "\n\n".join(block["text"] for block in content if block["type"] == "text").replace("\0", "").strip()
    )


def returnable(content: list[Json]) -> list[Json]:
    """What of an answer goes back: all but blank text, which the API refuses, and a lone last thought."""
    kept = [block for block in content if not (block["type"] == "text" and not block["text"].strip())]
    return kept if kept and kept[-1]["type"] not in UNSIGNED_END else []


def size(value: Any) -> int:
    """The length of *value* as JSON, in bytes."""
    return len(orjson.dumps(value))

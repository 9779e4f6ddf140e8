"""One message as the events of a stream, in the order and form in which Anthropic sends them.

https://platform.claude.com/docs/en/build-with-claude/streaming
"""

import json
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]
CONTENT_TYPE = "text/event-stream; charset=utf-8"
PIECE_CHARS = 24
"""How much of a text, a thought or a tool's JSON one delta carries."""


def events(message: Json) -> list[Json]:
    """Every event of *message*: start, a ping, blocks in pieces, the stop reason with usage, stop."""
    usage = message["usage"]
    opening = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    opening.pop("stop_details", None)
    ending = {"stop_reason": message["stop_reason"], "stop_sequence": message["stop_sequence"]}
    if "stop_details" in message:
        ending["stop_details"] = message["stop_details"]
    final_usage = {name: count for name, count in usage.items() if isinstance(count, int)}
    blocks = [event for index, block in enumerate(message["content"]) for event in _block(index, block)]
    return [
        {"type": "message_start", "message": opening},
        *blocks[:1],
        {"type": "ping"},
        *blocks[1:],
        {"type": "message_delta", "delta": ending, "usage": final_usage},
        {"type": "message_stop"},
    ]


def encode(event: Json) -> bytes:
    """One event as it stands on the wire."""
    return f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()


def error(type_: str, message: str) -> Json:
    """The event of an error that comes after the status 200."""
    return {"type": "error", "error": {"type": type_, "message": message}}


def _block(index: int, block: Json) -> Iterator[Json]:
    """One block: its empty form, its pieces, its end; an unknown kind comes whole with its start."""
    empty, deltas = _pieces(block)
    yield {"type": "content_block_start", "index": index, "content_block": empty}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _pieces(block: Json) -> tuple[Json, list[Json]]:
    """The block as it starts, and what is added to it."""
    match block["type"]:
        case "text":
            return {**block, "text": ""}, [
                {"type": "text_delta", "text": piece} for piece in _split(block["text"])
            ]
        case "thinking":
            thoughts = [{"type": "thinking_delta", "thinking": piece} for piece in _split(block["thinking"])]
            sign = {"type": "signature_delta", "signature": block["signature"]}
            return {**block, "thinking": "", "signature": ""}, [*thoughts, sign]
        case "tool_use":
            # A call without arguments has no JSON at all: the empty object of the start is the input.
            whole = json.dumps(block["input"], ensure_ascii=False) if block["input"] else ""
            parts = ["", *_split(whole)]
            return {**block, "input": {}}, [
                {"type": "input_json_delta", "partial_json": part} for part in parts
            ]
        case _:
            return block, []


def _split(text: str) -> list[str]:
    """The text in pieces."""
    return [text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS)]

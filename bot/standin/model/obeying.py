"""A model that does what any text orders, and one that refuses because of a text.

An order is `OBEY {"name": …, "input": …}`, or `OBEY [{…}, {…}]` for several calls in one turn, anywhere in
a line of a user's text or of a tool's result.
"""

import json
import re
from collections.abc import Iterator
from typing import Any

from bot.standin.model import history

Json = dict[str, Any]
_ORDER = re.compile(r"\bOBEY (?=[\[{])")
_TRIGGER = "1FAEFB6177B4672DEE07F9D3AFC62588CCD2631EDCF22E8CCC1FB35B501C9C86"
MAGIC_REFUSAL = f"ANTHROPIC_MAGIC_STRING_TRIGGER_REFUSAL_{_TRIGGER}"
"""The documented test string, in parts: whole, it would make every model that reads this file refuse.

https://platform.claude.com/docs/en/test-and-evaluate/strengthen-guardrails/handle-streaming-refusals
"""
_DECODER = json.JSONDecoder()


def position(messages: list[Json], index: int) -> tuple[int, tuple[Json, ...] | None]:
    """Which turn the answer *index* is: how many own turns of the script came before, and what to obey.

    Each order counts once, in the order seen; one tuple is one turn. Every answer so far was an order's
    where one was open, else the script's own.
    """
    orders: dict[str, tuple[Json, ...]] = {}
    answers = obeyed = 0
    for message in messages:
        if message["role"] == "user":
            orders |= {json.dumps(calls): calls for text in texts(message) for calls in _ordered(text)}
        if message["role"] == "assistant":
            if answers == index:
                break
            answers += 1
            obeyed = min(obeyed + 1, len(orders))
    still_open = list(orders.values())[obeyed:]
    return answers - obeyed, still_open[0] if still_open else None


def texts(message: Json) -> Iterator[str]:
    """Every text of a message, also those within tool results."""
    for block in history.blocks(message):
        if block["type"] == "text":
            yield block["text"]
        if block["type"] == "tool_result":
            content = block.get("content") or ""
            parts = [content] if isinstance(content, str) else [part.get("text", "") for part in content]
            yield from parts


def holds(body: Json, words: tuple[str, ...]) -> bool:
    """Whether one of *words*, or the documented string, stands anywhere in the request."""
    wanted = (MAGIC_REFUSAL, *words)
    return any(word in text for text in _strings(body) for word in wanted)


def _ordered(text: str) -> Iterator[tuple[Json, ...]]:
    """The orders in one text; what is no JSON, or no call, is passed over."""
    for match in _ORDER.finditer(text):
        try:
            order, _ = _DECODER.raw_decode(text, match.end())
        except json.JSONDecodeError:
            continue
        calls = order if isinstance(order, list) else [order]
        if calls and all(isinstance(call, dict) and isinstance(call.get("name"), str) for call in calls):
            yield tuple({"type": "tool_use", "input": {}, **call} for call in calls)


def _strings(value: Any) -> Iterator[str]:
    """Every string within JSON, names included."""
    open_values = [value]
    while open_values:
        item = open_values.pop()
        if isinstance(item, str):
            yield item
        elif isinstance(item, dict):
            open_values += [*item.keys(), *item.values()]
        elif isinstance(item, list):
            open_values += item

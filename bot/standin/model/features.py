"""Servers that know less: a feature is refused as an unknown field (`without`) or passed over (`ignores`)."""

from collections.abc import Iterator
from typing import Any

from bot.standin.model.refusal import Refusal, invalid

Json = dict[str, Any]
FEATURES = ("output_config", "cache_control", "stream", "count_tokens", "strict")


def check(body: Json, without: frozenset[str]) -> None:
    """Refuse a request that uses what this server is without.

    Raises:
        Refusal: 400, in the words in which an unknown field is refused.
    """
    for name in ("output_config", "stream", "cache_control"):
        if name in without and name in body:
            raise _unknown(name)
    for name in ("cache_control", "strict"):
        for place, block in _places(body) if name in without else ():
            if name in block:
                raise _unknown(f"{place}.{name}")


def check_counting(without: frozenset[str]) -> None:
    """Refuse to count tokens where this server cannot.

    Raises:
        Refusal: 404, as for a path that nobody serves.
    """
    if "count_tokens" in without:
        raise Refusal(404, "not_found_error", "Not Found")


def understood(body: Json, ignores: frozenset[str]) -> Json:
    """The request as a server sees it that passes over some of its fields."""
    if not ignores:
        return body
    seen = {name: value for name, value in body.items() if name not in ignores}
    if isinstance(seen.get("system"), list):
        seen["system"] = [_bare(block, ignores) for block in seen["system"]]
    if "tools" in seen:
        seen["tools"] = [_bare(tool, ignores) for tool in seen["tools"]]
    seen["messages"] = [
        {**message, "content": [_bare(block, ignores) for block in message["content"]]}
        if isinstance(message["content"], list)
        else message
        for message in body["messages"]
    ]
    return seen


def _unknown(place: str) -> Exception:
    """The words for a field that a server does not know."""
    return invalid(f"{place}: Extra inputs are not permitted")


def _bare(block: Json, ignores: frozenset[str]) -> Json:
    """A block without the fields that are passed over."""
    return {name: value for name, value in block.items() if name not in ignores}


def _places(body: Json) -> Iterator[tuple[str, Json]]:
    """Every tool and block with the place that a refusal names."""
    for index, tool in enumerate(body.get("tools") or ()):
        yield f"tools.{index}.custom", tool
    for index, block in enumerate(body["system"] if isinstance(body.get("system"), list) else ()):
        yield f"system.{index}.text", block
    for index, message in enumerate(body["messages"]):
        for position, block in enumerate(message["content"] if isinstance(message["content"], list) else ()):
            yield f"messages.{index}.content.{position}.{block['type']}", block

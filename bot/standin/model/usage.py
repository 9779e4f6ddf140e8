"""Token counts as a server would bill them: estimated by length, cached by prefix.

The prefix rule (https://platform.claude.com/docs/en/build-with-claude/prompt-caching): tools, then system,
then messages; each breakpoint writes its prefix and finds an entry at most 20 blocks before it.
"""

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from bot.standin.model import history

Json = dict[str, Any]
BYTES_PER_TOKEN = 4
LOOKBACK_BLOCKS = 20
MINIMUM_PREFIX_TOKENS = 512


@dataclass(frozen=True, slots=True)
class _Mark:
    """The end of one block: the prefix up to it, in tokens and as a digest."""

    tokens: int
    digest: str
    is_breakpoint: bool


class PrefixCache:
    """The prefixes that were written so far."""

    def __init__(self) -> None:
        """Begin cold."""
        self._entries: set[str] = set()

    def bill(self, body: Json, content: list[Json]) -> Json:
        """The `usage` of answering *body* with *content*; remembers the prefixes that it marks."""
        marks = _marks(body)
        ends = [index for index, mark in enumerate(marks) if mark.is_breakpoint]
        read = max((self._found(marks, end) for end in ends), default=0)
        written = max((marks[end].tokens for end in ends), default=0)
        written = written if written >= MINIMUM_PREFIX_TOKENS else 0
        for end in ends:
            if marks[end].tokens >= MINIMUM_PREFIX_TOKENS:
                self._entries.add(marks[end].digest)
        return {
            "input_tokens": marks[-1].tokens - max(written, read),
            "cache_creation_input_tokens": max(written - read, 0),
            "cache_read_input_tokens": read,
            "output_tokens": sum(_tokens(block) for block in content) or 1,
        }

    def _found(self, marks: list[_Mark], end: int) -> int:
        """The tokens of the longest entry at or at most 20 blocks before the breakpoint at *end*."""
        window = reversed(marks[max(0, end - LOOKBACK_BLOCKS) : end + 1])
        return next((mark.tokens for mark in window if mark.digest in self._entries), 0)


def prompt_tokens(body: Json) -> int:
    """The whole prompt, estimated."""
    return _marks(body)[-1].tokens


def _marks(body: Json) -> list[_Mark]:
    """Every block in the order in which caching sees it."""
    running, tokens, marks = hashlib.sha256(body["model"].encode()), 0, []
    for place, block in _ordered(body):
        plain = {key: value for key, value in block.items() if key != "cache_control"}
        running.update(f"{place}:{json.dumps(plain, ensure_ascii=False)}".encode("utf-8", "replace"))
        tokens += _tokens(plain)
        marks.append(_Mark(tokens, running.hexdigest(), block.get("cache_control") is not None))
    if body.get("cache_control") is not None:
        marks[-1] = _Mark(marks[-1].tokens, marks[-1].digest, is_breakpoint=True)
    return marks


def _ordered(body: Json) -> list[tuple[str, Json]]:
    """Tools, system and message blocks with their places."""
    system = body.get("system") or []
    system_blocks = [{"type": "text", "text": system}] if isinstance(system, str) else system
    ordered = [("tool", tool) for tool in body.get("tools") or ()]
    ordered += [("system", block) for block in system_blocks]
    for message in body["messages"]:
        ordered += [(message["role"], block) for block in history.blocks(message)]
    return ordered


def _tokens(block: Json) -> int:
    """About a token for four bytes."""
    return -(-len(json.dumps(block, ensure_ascii=False).encode("utf-8", "replace")) // BYTES_PER_TOKEN)

"""Token counts as a server would bill them: estimated by length, cached by prefix.

The rules (https://platform.claude.com/docs/en/build-with-claude/prompt-caching): tools, then system, then
messages; each breakpoint writes its prefix and finds an entry at most 20 blocks before it; an entry lives
5 minutes (`"ttl": "1h"`: an hour) from its last use; a prefix below the model's smallest is not cached.
"""

import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from bot.standin.model import history
from bot.standin.model.models import MODELS, Model

Json = dict[str, Any]
BYTES_PER_TOKEN = 4
LOOKBACK_BLOCKS = 20
TTL_SECONDS = {"5m": 300.0, "1h": 3_600.0}


@dataclass(frozen=True, slots=True)
class _Mark:
    """The end of one block: the prefix up to it, in tokens and as a digest; `ttl` where a breakpoint is."""

    tokens: int
    digest: str
    ttl: str | None


@dataclass(slots=True)
class _Entry:
    """A cached prefix: for how long each use keeps it, and until when it lives."""

    ttl: str
    until: float


class PrefixCache:
    """The prefixes that were written so far, each until it is too old by *clock* (seconds)."""

    def __init__(
        self, clock: Callable[[], float] = time.monotonic, models: Mapping[str, Model] = MODELS
    ) -> None:
        """Begin cold."""
        self._clock = clock
        self._models = models
        self._entries: dict[str, _Entry] = {}

    def bill(self, body: Json, content: list[Json]) -> Json:
        """The `usage` of answering *body* with *content*; remembers the prefixes that it marks."""
        marks = _marks(body)
        minimum = self._models[body["model"]].minimum_prefix_tokens
        ends = [index for index, mark in enumerate(marks) if mark.ttl is not None and mark.tokens >= minimum]
        read = max((self._found(marks, end) for end in ends), default=0)
        written = {"5m": 0, "1h": 0}
        reached = read
        for end in ends:
            mark = marks[end]
            self._write(mark)
            written[mark.ttl or "5m"] += max(mark.tokens - reached, 0)
            reached = max(reached, mark.tokens)
        return {
            "input_tokens": marks[-1].tokens - reached,
            "cache_creation_input_tokens": sum(written.values()),
            "cache_read_input_tokens": read,
            "cache_creation": {
                "ephemeral_5m_input_tokens": written["5m"],
                "ephemeral_1h_input_tokens": written["1h"],
            },
            "output_tokens": sum(_tokens(block) for block in content) or 1,
        }

    def _found(self, marks: list[_Mark], end: int) -> int:
        """The tokens of the longest entry at or at most 20 blocks before *end*; its life begins anew."""
        now = self._clock()
        for mark in reversed(marks[max(0, end - LOOKBACK_BLOCKS) : end + 1]):
            entry = self._entries.get(mark.digest)
            if entry is not None and entry.until > now:
                entry.until = now + TTL_SECONDS[entry.ttl]
                return mark.tokens
        return 0

    def _write(self, mark: _Mark) -> None:
        """Keep the prefix; one that lives already keeps the longer of both lives."""
        now, ttl = self._clock(), mark.ttl or "5m"
        old = self._entries.get(mark.digest)
        if old is not None and old.until > now and TTL_SECONDS[old.ttl] > TTL_SECONDS[ttl]:
            return
        self._entries[mark.digest] = _Entry(ttl, now + TTL_SECONDS[ttl])


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
        marks.append(_Mark(tokens, running.hexdigest(), _ttl(block)))
    if body.get("cache_control") is not None:
        marks[-1] = _Mark(marks[-1].tokens, marks[-1].digest, _ttl(body))
    return marks


def _ttl(block: Json) -> str | None:
    """How long the breakpoint on *block* keeps its prefix; None without one."""
    control = block.get("cache_control")
    return None if control is None else control.get("ttl") or "5m"


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

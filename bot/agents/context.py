"""Room in the model's window: old tool results cleared in one batch, and near its end the history compacted.

Each change rewrites the cache once, so both happen rarely and free much. Task, what people said, the plan in
the model's own words and the edits (as the current diff) survive both. What to change comes out as edits.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bot.agents import blocks, context_summary
from bot.agents.conversation import BYTES_PER_TOKEN, Conversation, new_history, replacement
from bot.domain.values import FileChange, Json

CLEAR_SHARE = 0.5
CLEAR_TOKENS = 200_000
"""Where the price has no step: beyond this each further turn re-reads more than clearing writes anew."""
PRICE_STEP_SHARE = 0.9
COMPACT_SHARE = 0.85
MIN_FREED_SHARE = 0.25
"""Less is not worth the cache."""
KEPT_RESULTS = 6
KEPT_TURNS = 6
TAIL_SHARE = 0.25
SUMMARY_SHARE = 0.25
MIN_CLEARED_BYTES = 600
LASTING: Final = frozenset({"edit_file", "write_file", "delete_file"})
"""Whose confirmations stay: they say what the agent has done."""
MAX_TURN_SHARE = 0.25
"""How much of the window the results of one turn may fill, however many calls it has."""


@dataclass(frozen=True, slots=True)
class Room:
    """What fits: the window less the longest answer, and the prompt length from which on all costs more."""

    prompt_tokens: int
    price_step_tokens: int | None = None

    @property
    def clear_at(self) -> int:
        """Above so many tokens old results are cleared."""
        limits = [int(self.prompt_tokens * CLEAR_SHARE), CLEAR_TOKENS]
        if self.price_step_tokens is not None:
            limits.append(int(self.price_step_tokens * PRICE_STEP_SHARE))
        return min(limits)

    @property
    def compact_at(self) -> int:
        """Above so many tokens the history is compacted; the rest is for what people say meanwhile."""
        return int(self.prompt_tokens * COMPACT_SHARE)

    @property
    def turn_chars(self) -> int:
        """How many characters the results of one turn may have together."""
        return int(self.prompt_tokens * MAX_TURN_SHARE)


async def make_room(
    talk: Conversation, room: Room, changes: Callable[[], Awaitable[Sequence[FileChange]]]
) -> list[Json]:
    """Clear old results, and near the window's end compact the history; gives the edits that did it."""
    edits = clearing(talk, room)
    talk.apply(edits)
    if talk.estimated_tokens() > room.compact_at:
        compacted = compaction(talk, room, await changes())
        talk.apply(compacted)
        edits += compacted
    return edits


def clearing(talk: Conversation, room: Room) -> list[Json]:
    """The edits that clear old tool results; none while there is room, or where too little would be freed."""
    before = talk.estimated_tokens()
    if before <= room.clear_at:
        return []
    edits, freed_bytes = [], 0
    for index, position, block, call in _old_results(talk):
        note = {**block, "content": _note(call, block)}
        freed = blocks.size(block) - blocks.size(note)
        if call["name"] not in LASTING and freed >= MIN_CLEARED_BYTES:
            edits.append(replacement(index, position, note))
            freed_bytes += freed
    is_much = freed_bytes >= before * MIN_FREED_SHARE * BYTES_PER_TOKEN
    return edits if is_much else []


def _old_results(talk: Conversation) -> list[tuple[int, int, Json, Json]]:
    """All tool results but the newest: message, block, the result, its call."""
    calls = {
        block["id"]: block
        for message in talk.messages
        if message["role"] == "assistant"
        for block in blocks.calls_of(message["content"])
    }
    last = len(talk.messages) - 1
    found = [
        (index, position, block, calls[block["tool_use_id"]])
        for index, message in enumerate(talk.messages)
        if message["role"] == "user"
        for position, block in enumerate(message["content"])
        if block["type"] == "tool_result"
    ]
    return [item for item in found[:-KEPT_RESULTS] if item[0] < last]


def _note(call: Json, block: Json) -> str:
    """What stands in the place of a result that was cleared."""
    chars = len(str(block["content"]))
    shown = context_summary.shown_call(call)
    return f"[{shown}: {chars:,} characters were cleared to make room; make the call again if you need them]"


def compaction(talk: Conversation, room: Room, changes: Sequence[FileChange]) -> list[Json]:
    """The edit that puts task, summary and the last turns in the place of the whole history.

    The summary is ours, made by rule: no model call, the same bytes each time. Calls and results stay paired.
    """
    start = _tail_start(talk.messages, int(room.compact_at * TAIL_SHARE) * BYTES_PER_TOKEN)
    summary = context_summary.render(
        talk.messages[:start],
        changes,
        delimiter=talk.prompt.delimiter,
        max_bytes=int(room.compact_at * SUMMARY_SHARE) * BYTES_PER_TOKEN,
    )
    first = {"role": "user", "content": [*talk.tasks, blocks.text(summary)]}
    return [new_history([first, *talk.messages[start:]])]


def _tail_start(messages: list[Json], max_bytes: int) -> int:
    """Where the last turns begin that stay whole: at an answer of the model, or behind the end."""
    start, used, turns = len(messages), 0, 0
    for index in range(len(messages) - 1, 0, -1):
        used += blocks.size(messages[index])
        if used > max_bytes or turns >= KEPT_TURNS:
            break
        if messages[index]["role"] == "assistant" and messages[index - 1]["role"] == "user":
            start, turns = index, turns + 1
    return start

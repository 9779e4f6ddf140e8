"""Scripts as data: which turn answers a request, decided from the request alone.

A script is chosen by a regular expression on the first user message; its turn is the number of assistant
messages that the request holds. So a replay needs no memory, and goes on after a restart of either side.

    {"scripts": [{"name": "fix", "match": "divide", "turns": [
        {"content": [{"type": "tool_use", "name": "read_file", "input": {"path": "a.py"}}]},
        {"content": [{"type": "text", "text": "Done."}], "stop_reason": "end_turn"}]}],
     "faults": [{"kind": "status", "status": 529, "retry_after": 1, "turn": 0, "times": 2}]}

`"obey": true` makes a script that does what the text tells it: each line of the first user message that
reads `OBEY {"name": …, "input": …}` is one turn with that tool call, before the script's own turns.
"""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.standin.model import history
from bot.standin.model.faults import Fault

Json = dict[str, Any]
_OBEY = re.compile(r"^\s*OBEY (\{.*\})\s*$", re.MULTILINE)


class ScriptError(ValueError):
    """A script book that cannot be played; says where it is wrong."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: blocks (tool calls without ids), why it stops, and its usage when it is not computed."""

    content: tuple[Json, ...]
    stop_reason: str | None
    usage: Json | None = None

    @classmethod
    def read(cls, data: Json) -> "Turn":
        """Read one turn; the stop reason follows from the content when it is not given."""
        content = tuple(data.get("content", ()))
        if not all(isinstance(block, dict) and isinstance(block.get("type"), str) for block in content):
            raise ScriptError("a turn's content must be blocks with a type")
        calls_tools = any(block["type"] == "tool_use" for block in content)
        return cls(
            content, data.get("stop_reason", "tool_use" if calls_tools else "end_turn"), data.get("usage")
        )


@dataclass(frozen=True, slots=True)
class Script:
    """A named list of turns, and the requests that it answers."""

    name: str
    match: re.Pattern[str]
    turns: tuple[Turn, ...]
    is_obeying: bool = False
    is_repeating: bool = False

    @classmethod
    def read(cls, data: Json) -> "Script":
        """Read one script; `repeat` plays the last turn for ever, else the conversation ends in words."""
        try:
            pattern = re.compile(data.get("match", ""), re.DOTALL)
        except re.error as error:
            raise ScriptError(f"the pattern of {data.get('name')!r} is not valid: {error}") from error
        return cls(
            name=str(data.get("name", "script")),
            match=pattern,
            turns=tuple(Turn.read(turn) for turn in data.get("turns", ())),
            is_obeying=bool(data.get("obey", False)),
            is_repeating=bool(data.get("repeat", False)),
        )

    def turn(self, index: int, text: str) -> Turn:
        """The turn at *index* of a conversation that began with *text*."""
        turns = (*_obeyed(text), *self.turns) if self.is_obeying else self.turns
        if index < len(turns):
            return turns[index]
        if self.is_repeating and turns:
            return turns[-1]
        return Turn(({"type": "text", "text": f"The script {self.name!r} has no more turns."},), "end_turn")


@dataclass(frozen=True, slots=True)
class Book:
    """All scripts in the order in which they are tried, and the faults to play on top."""

    scripts: tuple[Script, ...]
    faults: tuple[Fault, ...] = ()

    @classmethod
    def read(cls, data: Json) -> "Book":
        """Read a whole book.

        Raises:
            ScriptError: something in it cannot be played.
        """
        if not isinstance(data, dict) or not isinstance(data.get("scripts"), list):
            raise ScriptError('a script book is an object with a list of "scripts"')
        try:
            faults = tuple(Fault(**fault) for fault in data.get("faults", ()))
        except (TypeError, ValueError) as error:
            raise ScriptError(f"a fault is not valid: {error}") from error
        return cls(tuple(Script.read(script) for script in data["scripts"]), faults)

    @classmethod
    def load(cls, path: Path) -> "Book":
        """Read a book from a JSON file."""
        return cls.read(json.loads(path.read_text(encoding="utf-8")))

    def choose(self, text: str) -> Script | None:
        """The first script whose pattern is found in *text*."""
        return next((script for script in self.scripts if script.match.search(text)), None)


def first_text(body: Json) -> str:
    """The text of the first user message: what a conversation is about."""
    parts = [block.get("text", "") for block in history.blocks(body["messages"][0])]
    return "\n".join(parts)


def turn_index(body: Json) -> int:
    """How many answers the conversation holds already."""
    return sum(message["role"] == "assistant" for message in body["messages"])


def with_ids(content: tuple[Json, ...], seed: str) -> list[Json]:
    """The blocks as an answer: tool calls get an id, thinking a signature, from *seed* and place."""
    return [_complete(dict(block), f"{seed}:{position}") for position, block in enumerate(content)]


def signature(thinking: str) -> str:
    """The signature of a thinking block of ours; so that a changed one can be told."""
    return "sig_" + hashlib.sha256(f"thinking:{thinking}".encode()).hexdigest()


def _complete(block: Json, seed: str) -> Json:
    """One block with what the server adds."""
    if block["type"] == "tool_use":
        block.setdefault("id", "toolu_" + hashlib.sha256(seed.encode()).hexdigest()[:24])
        block.setdefault("input", {})
    if block["type"] == "thinking":
        block.setdefault("signature", signature(block.get("thinking", "")))
    return block


def _obeyed(text: str) -> list[Turn]:
    """The tool calls that *text* orders, one a turn; what is no JSON is passed over."""
    turns = []
    for order in _OBEY.findall(text):
        try:
            call = json.loads(order)
        except json.JSONDecodeError:
            continue
        turns.append(Turn(({"type": "tool_use", "input": {}, **call},), "tool_use"))
    return turns

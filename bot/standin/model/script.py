"""Scripts as data: which turn answers a request, decided from the request alone.

A script is chosen by a regular expression on the first user message (and, where given, one on the system
text, and whether JSON of a schema is asked for); its turn is the number of assistant messages that the
request holds. So a replay needs no memory, and goes on after a restart of either side.

    {"scripts": [{"name": "triage", "output": true, "turns": [{"json": {"type": "BUG"}}]},
                 {"name": "fix", "match": "divide", "system": "You fix", "turns": [
        {"content": [{"type": "tool_use", "name": "read_file", "input": {"path": "a.py"}}]},
        {"content": [{"type": "text", "text": "Done."}], "stop_reason": "end_turn"}]}],
     "faults": [{"kind": "status", "status": 529, "retry_after": 1, "turn": 0, "times": 2}],
     "refuse_if": ["words"], "without": ["output_config"], "ignores": ["cache_control"],
     "models": {"another-name": {"context_tokens": 32000}}}

`"obey": true` makes a script that does what texts tell it (see obeying.py), before its own turns go on;
`"refuse_if"`, in a script or for all of them: a request that holds one of these strings anywhere is
answered with the stop reason `refusal`, as is one with the documented test string.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.standin.model import history, obeying, structure
from bot.standin.model.faults import Fault
from bot.standin.model.features import FEATURES
from bot.standin.model.models import Model

Json = dict[str, Any]
_REFUSED = {"type": "refusal", "category": None, "explanation": "The stand-in was told to refuse this."}


class ScriptError(ValueError):
    """A script book that cannot be played; says where it is wrong."""


@dataclass(frozen=True, slots=True)
class Turn:
    """One answer: blocks (tool calls without ids), why it stops, and its usage when it is not computed."""

    content: tuple[Json, ...]
    stop_reason: str | None
    usage: Json | None = None
    stop_details: Json | None = None

    @classmethod
    def read(cls, data: Json) -> "Turn":
        """Read one turn; the stop reason follows from the content when it is not given.

        `json` in place of `content` is one text block with that value as JSON.
        """
        said = ({"type": "text", "text": json.dumps(data["json"])},) if "json" in data else ()
        content = tuple(data.get("content", said))
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
    system: re.Pattern[str] | None = None
    output: bool | None = None
    refuse_if: tuple[str, ...] = ()

    @classmethod
    def read(cls, data: Json) -> "Script":
        """Read one script; `repeat` plays the last turn for ever, else the conversation ends in words."""
        try:
            pattern = re.compile(data.get("match", ""), re.DOTALL)
            system = re.compile(data["system"], re.DOTALL) if "system" in data else None
        except re.error as error:
            raise ScriptError(f"the pattern of {data.get('name')!r} is not valid: {error}") from error
        return cls(
            name=str(data.get("name", "script")),
            match=pattern,
            turns=tuple(Turn.read(turn) for turn in data.get("turns", ())),
            is_obeying=bool(data.get("obey", False)),
            is_repeating=bool(data.get("repeat", False)),
            system=system,
            output=data.get("output"),
            refuse_if=_strings(data, "refuse_if"),
        )

    def answers(self, body: Json) -> bool:
        """Whether this script is for the request."""
        if self.output is not None and self.output is not structure.is_asked(body):
            return False
        if self.system is not None and not self.system.search(system_text(body)):
            return False
        return self.match.search(first_text(body)) is not None

    def turn(self, messages: list[Json], index: int) -> Turn:
        """The turn at *index* of the conversation *messages*."""
        if self.is_obeying:
            index, calls = obeying.position(messages, index)
            if calls is not None:
                return Turn(calls, "tool_use")
        if index < len(self.turns):
            return self.turns[index]
        if self.is_repeating and self.turns:
            return self.turns[-1]
        return Turn(({"type": "text", "text": f"The script {self.name!r} has no more turns."},), "end_turn")


@dataclass(frozen=True, slots=True)
class Book:
    """All scripts in the order in which they are tried, and the faults to play on top."""

    scripts: tuple[Script, ...]
    faults: tuple[Fault, ...] = ()
    refuse_if: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()
    ignores: frozenset[str] = frozenset()
    models: Mapping[str, Model] = field(default_factory=dict)

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
        try:
            models = {name: Model(**limits) for name, limits in data.get("models", {}).items()}
        except (TypeError, AttributeError) as error:
            raise ScriptError(f"a model is not valid: {error}") from error
        return cls(
            tuple(Script.read(script) for script in data["scripts"]),
            faults,
            refuse_if=_strings(data, "refuse_if"),
            without=_features(data, "without"),
            ignores=_features(data, "ignores"),
            models=models,
        )

    @classmethod
    def load(cls, path: Path) -> "Book":
        """Read a book from a JSON file."""
        return cls.read(json.loads(path.read_text(encoding="utf-8")))

    def choose(self, body: Json) -> Script | None:
        """The first script that answers the request."""
        return next((script for script in self.scripts if script.answers(body)), None)

    def answer(self, chosen: Script, body: Json, index: int) -> Turn:
        """The turn that *chosen* plays at *index*, or a refusal."""
        if obeying.holds(body, (*self.refuse_if, *chosen.refuse_if)):
            return Turn((), "refusal", stop_details=_REFUSED)
        return chosen.turn(body["messages"], index)


def first_text(body: Json) -> str:
    """The text of the first user message: what a conversation is about."""
    parts = [block.get("text", "") for block in history.blocks(body["messages"][0])]
    return "\n".join(parts)


def system_text(body: Json) -> str:
    """The system prompt as one text."""
    system = body.get("system") or ""
    return system if isinstance(system, str) else "\n".join(block["text"] for block in system)


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


def _strings(data: Json, name: str) -> tuple[str, ...]:
    """A string or a list of strings.

    Raises:
        ScriptError: it is neither.
    """
    value = data.get(name, ())
    values = (value,) if isinstance(value, str) else tuple(value)
    if not all(isinstance(item, str) and item for item in values):
        raise ScriptError(f"{name} must be a string or a list of strings")
    return values


def _features(data: Json, name: str) -> frozenset[str]:
    """The features that a server is without.

    Raises:
        ScriptError: nobody knows one of them.
    """
    names = frozenset(_strings(data, name))
    if not names <= set(FEATURES):
        raise ScriptError(f"{name} may hold {', '.join(FEATURES)}")
    return names

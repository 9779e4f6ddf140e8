"""What a model says of a request, read with care: the JSON found, every field checked, or nothing."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from bot.agents.schemas import object_of
from bot.config_forms import MODEL_CLASSES
from bot.domain.enums import IssuePriority, IssueType
from bot.domain.text import normalise
from bot.domain.values import Json, ModelReply

MAX_MODULE_CHARS: Final = 200
MAX_WORDS_CHARS: Final = 600
MAX_MISSING: Final = 5
MAX_ANSWER_CHARS: Final = 20_000
MAX_STARTS: Final = 20


@dataclass(frozen=True, slots=True)
class Look:
    """The opinion of a model: a guess from text that anybody may have written, never a decision.

    `complexity` is 1 (a typo) to 10 (a redesign), `confidence` 0 to 1; `model` is what it would take.
    `is_ready`: the work can begin; else `missing` names what is not there, and `question` asks for it.
    """

    type: IssueType
    priority: IssuePriority
    complexity: int
    module: str
    agent: str
    model: str
    confidence: float
    reasoning: str
    is_ready: bool
    missing: tuple[str, ...] = ()
    question: str = ""


def look_from(kept: Mapping[str, Any]) -> Look:
    """A look that was checked, and written down as its fields."""
    words = {"type": IssueType(kept["type"]), "priority": IssuePriority(kept["priority"])}
    return Look(**{**kept, **words, "missing": tuple(kept["missing"])})


def schema(agents: Sequence[str]) -> Json:
    """The form of the answer, as JSON Schema; without bounds of numbers, which not every server takes."""
    fields: dict[str, Json] = {
        "reasoning": {"type": "string"},
        "type": _enum(IssueType),
        "priority": _enum(IssuePriority),
        "complexity": {"type": "integer"},
        "module": {"type": "string"},
        "agent": _enum(agents),
        "model": _enum(MODEL_CLASSES),
        "confidence": {"type": "number"},
        "ready": {"type": "boolean"},
        "missing": {"type": "array", "items": {"type": "string"}},
        "question": {"type": "string"},
    }
    return object_of(*fields, **fields)


def read(reply: ModelReply, agents: Sequence[str]) -> Look | None:
    """The opinion in an answer; None for anything that is not whole, closed and within bounds. Never raises.

    A call of a tool, a refusal or a cut answer is none: nothing that comes with it is looked at.
    """
    if reply.stop_reason not in {"end_turn", "stop_sequence"}:
        return None
    if any(block["type"] not in {"text", "thinking", "redacted_thinking"} for block in reply.content):
        return None
    text = "".join(block["text"] for block in reply.content if block["type"] == "text")
    found = next((each for each in objects(text) if "type" in each and "confidence" in each), None)
    return None if found is None else _checked(found, agents)


def objects(text: str) -> Iterator[Json]:
    """The JSON objects in *text*, wherever they begin (servers without structured output add words).

    Reads at most `MAX_ANSWER_CHARS` and tries at most `MAX_STARTS` places, so that it always ends soon.
    """
    shown, start = text[:MAX_ANSWER_CHARS], 0
    decoder = json.JSONDecoder(parse_constant=_no_constant)
    for _ in range(MAX_STARTS):
        start = shown.find("{", start)
        if start < 0:
            return
        try:
            value, start = decoder.raw_decode(shown, start)
        except (ValueError, RecursionError):
            start += 1
        else:
            yield value


def _no_constant(name: str) -> float:
    """NaN and Infinity are no JSON."""
    raise ValueError(name)


def _checked(given: Mapping[str, Any], agents: Sequence[str]) -> Look | None:
    """The opinion, if every field has its type and lies in its bounds and there are no others."""
    if set(given) != set(schema(agents)["properties"]):
        return None
    try:
        kind, priority = IssueType(given["type"]), IssuePriority(given["priority"])
    except ValueError:
        return None
    complexity, confidence, ready = given["complexity"], given["confidence"], given["ready"]
    missing = given["missing"]
    fits = (
        type(complexity) is int
        and 1 <= complexity <= 10
        and type(confidence) in (int, float)
        and 0 <= confidence <= 1
        and type(ready) is bool
        and given["agent"] in tuple(agents)
        and given["model"] in MODEL_CLASSES
        and all(isinstance(given[name], str) for name in ("module", "reasoning", "question"))
        and isinstance(missing, list)
        and all(isinstance(item, str) for item in missing)
    )
    if not fits:
        return None
    return Look(
        type=kind,
        priority=priority,
        complexity=complexity,
        module=_words(given["module"], MAX_MODULE_CHARS),
        agent=given["agent"],
        model=given["model"],
        confidence=round(float(confidence), 3),
        reasoning=_words(given["reasoning"], MAX_WORDS_CHARS),
        is_ready=ready,
        missing=tuple(words for item in missing[:MAX_MISSING] if (words := _words(item, MAX_MODULE_CHARS))),
        question=_words(given["question"], MAX_WORDS_CHARS),
    )


def _words(text: str, max_chars: int) -> str:
    """A text on one line, as people see it, clipped."""
    clean = normalise(text[: 4 * max_chars].encode("utf-8", "replace").decode()).text
    return " ".join(clean.replace("\0", "").split())[:max_chars].strip()


def _enum(words: Sequence[str] | type[IssueType] | type[IssuePriority]) -> Json:
    return {"type": "string", "enum": [str(word) for word in words]}

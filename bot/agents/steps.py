"""The rows of a transcript: what the loop writes down, and `bot.agents.restore` reads again."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from bot.agents.ending import Ended
from bot.agents.progress import Progress
from bot.agents.prompt import Prompt
from bot.domain.effects import Stop
from bot.domain.values import FileChange, Json, ModelReply, Usage

DROPPED = frozenset({"refusal", "model_context_window_exceeded"})
"""Stop reasons whose answers do not go back to the model."""


@dataclass(slots=True)
class Counts:
    """What is counted over all attempts beside progress: rounds of the judge, refusals, overflows.

    `declined` names what the model has declined to read.
    """

    rounds: int = 0
    refusals: int = 0
    declined: str = ""
    overflows: int = 0


@dataclass(slots=True)
class Answer:
    """Our answer to one turn: blocks, then edits of what was said before; `end` when it is the last."""

    blocks: list[Json]
    edits: list[Json] = field(default_factory=list)
    changes: Sequence[FileChange] | None = None
    end: Ended | None = None
    is_reopened: bool = False


def prompt_row(prompt: Prompt, model: str, continued: Sequence[Json] = ()) -> Json:
    """Step 0: all that the model is told before its first answer; what people add goes into `said`.

    *continued* names the parts of the conversation before it; see `bot.domain.past.Segment`.
    """
    return {**prompt.to_json(), "model": model, "continued": list(continued), "said": []}


def turn_row(reply: ModelReply, content: list[Json], elapsed_seconds: float) -> Json:
    """The model's answer; `content` as it is sent back."""
    return {
        "content": content,
        "stopReason": reply.stop_reason,
        "requestId": reply.request_id,
        "usage": asdict(reply.usage),
        "elapsedSeconds": round(elapsed_seconds, 3),
    }


def answer_row(answer: Answer, state: tuple[Progress, Counts], elapsed_seconds: float) -> Json:
    """Our answer: applied in the order content, edits, said (what people add, so far nothing).

    An `end` is kept with it: whoever takes the job up then asks the model nothing more.
    """
    progress, counts = state
    end = answer.end
    return {
        "content": answer.blocks,
        "edits": answer.edits,
        "said": [],
        "isReopened": answer.is_reopened,
        "end": None if end is None else {"stop": end.stop.value, "words": end.words},
        "state": {"progress": progress.to_json(), "counts": asdict(counts)},
        "elapsedSeconds": round(elapsed_seconds, 3),
    }


def end_of(row: Json) -> Ended | None:
    """The end that was recorded with an answer."""
    end = row.get("end")
    return None if end is None else Ended(Stop(end["stop"]), end["words"])


def usage_of(row: Json) -> Usage:
    """The tokens of a recorded turn."""
    return Usage(**row.get("usage", {}))

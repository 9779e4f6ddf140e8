"""What the loop asks of the outside: one durable record, somebody who judges the end, and log lines.

A step of the loop is two transactions: the answer of the model with its bill (`write`), and our answer to it
with log lines, what people said meanwhile and the money for the next call (`hear`).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from bot.domain.effects import LoopResult
from bot.domain.enums import StepKind
from bot.domain.values import FileChange, Json, Said, ToolResult, Usage


@dataclass(frozen=True, slots=True)
class Need:
    """A call that is about to be made: what it can cost and use at most (input and output together)."""

    micro_usd: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Bill:
    """A call that has ended: what it really cost, in place of its reservation."""

    reservation_id: str
    usage: Usage
    micro_usd: int


@dataclass(frozen=True, slots=True)
class StepRow:
    """One row of the transcript: `number` counts the model's turns from 1, the prompt is 0.

    `changes`: everything that differs from the checkout by now, where that may have changed; the record makes
    the checkpoint from it.
    """

    number: int
    kind: StepKind
    content: Json
    changes: Sequence[FileChange] | None = None
    model: str | None = None
    cost_micro_usd: int = 0


@dataclass(frozen=True, slots=True)
class Entry:
    """What one transaction writes: rows, the bill of a call, what people said and is taken in, a reservation.

    `heard` holds the ids of what was taken in by the last of the rows.
    """

    rows: tuple[StepRow, ...] = ()
    bill: Bill | None = None
    heard: tuple[str, ...] = ()
    need: Need | None = None


Compose: TypeAlias = Callable[[Sequence[Said]], Entry]


class Record(Protocol):
    """The durable record of a job: transcript, money, people's words, log. All of an entry or nothing.

    All methods raise `LeaseLost`, and then nothing is written, when another worker owns the job. An entry
    that is written twice is refused by the database: no turn is ever recorded in two ways.
    """

    async def write(self, entry: Entry, /) -> str | None:
        """Write *entry* and the noted events in one transaction; gives the id of the reservation, if any.

        A reservation is durable before its call is made.

        Raises:
            BudgetExceeded: a limit does not cover the next call. All the rest of the entry is written.
            RetryLater: money is spent too fast now. All the rest of the entry is written.
        """

    async def soon(self, entry: Entry, /) -> None:
        """Write *entry*, which reserves nothing, with the next one, or within a moment alone.

        So a turn and the answer of quick tools are one transaction, and a turn is durable while slow ones
        run. What went wrong is raised by the next call.
        """

    async def hear(self, compose: Compose, /) -> str | None:
        """The same for the entry that *compose* makes of what people said and nobody has taken in yet.

        *compose* is called once, inside the transaction, and waits for nothing.
        """

    def note(self, event: "LoopEvent", /) -> None:
        """Remember *event* for the log; it is written with the next entry."""


class Judge(Protocol):
    """Whoever looks at a result before the loop ends with it."""

    async def judge(self, result: LoopResult, /) -> str | None:
        """None: the end stands. Words: they go back to the model, and the result is open again.

        Asked again for the same result when the attempt died before the verdict was recorded.
        """


class Accepting:
    """A judge who lets every end stand."""

    async def judge(self, _result: LoopResult, /) -> str | None:
        """Nothing to say."""
        return None


class LoopEventKind(StrEnum):
    """What can be seen of a running loop."""

    TURN = "turn"
    TOOL = "tool"
    REFUSAL = "refusal"
    PROBLEM = "problem"
    RETRY = "retry"
    CONTEXT = "context"


@dataclass(frozen=True, slots=True)
class LoopEvent:
    """One thing that happened, short enough for a log row: a name and clipped details."""

    kind: LoopEventKind
    name: str
    step: int
    detail: Json = field(default_factory=dict)


MAX_SHORT_CHARS = 80
MAX_WORDS_CHARS = 200


def call_event(step: int, call: Json, result: ToolResult, kind: LoopEventKind) -> LoopEvent:
    """One tool call: its name, short arguments, and the words of a refusal or an error."""
    short = {key[:MAX_SHORT_CHARS]: str(value)[:MAX_SHORT_CHARS] for key, value in call["input"].items()}
    words = result.text[:MAX_WORDS_CHARS] if result.is_error or result.refused else ""
    shown = LoopEventKind.REFUSAL if result.refused else kind
    return LoopEvent(shown, call["name"][:MAX_SHORT_CHARS], step, {"arguments": short, "words": words})

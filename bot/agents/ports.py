"""What the loop asks of the outside: a transcript, a ledger, and somebody who watches."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from bot.domain.values import Json, ModelReply, ToolResult, Usage


class Transcript(Protocol):
    """The durable record of a job; every method raises `LeaseLost` when another worker owns the job."""

    async def prompt(self, content: Json, /) -> None:
        """Record step 0: the rendered system text, tools, first message and delimiter."""

    async def turn(self, number: int, reply: ModelReply, cost_usd: float, /) -> None:
        """Record the answer to request *number* (from 1), before any of its tools run."""

    async def tools(self, number: int, results: list[Json], /) -> None:
        """Record the results that answer turn *number*, as they will be sent."""


class Ledger(Protocol):
    """The durable account of money; limits above the job (user, organization) are checked here."""

    async def reserve(self, micro_usd: int, /) -> str:
        """Set *micro_usd* aside for one call; gives the id of the row.

        Raises:
            BudgetExceeded: a limit does not cover it.
        """

    async def settle(self, reservation_id: str, usage: Usage, micro_usd: int, /) -> None:
        """Put what the call cost in place of a reservation; a call that was cut stays reserved in full."""


class LoopEventKind(StrEnum):
    """What can be seen of a running loop."""

    TURN = "turn"
    TOOL = "tool"
    REFUSAL = "refusal"
    PROBLEM = "problem"
    RETRY = "retry"


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


Observe: TypeAlias = Callable[[LoopEvent], Awaitable[None]]


async def ignore(_event: LoopEvent) -> None:
    """An observer that looks away."""

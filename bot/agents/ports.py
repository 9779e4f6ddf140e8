"""What the loop asks of the outside: a transcript, a ledger, and somebody who watches."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol, TypeAlias

from bot.domain.values import Json, ModelReply, Usage


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
        """Replace a reservation by what the call cost. A call that was cut is never settled: it counts in full."""


class LoopEventKind(StrEnum):
    """What can be seen of a running loop."""

    TURN = "turn"
    TOOL = "tool"
    REFUSAL = "refusal"
    EFFECT = "effect"
    PROBLEM = "problem"
    RETRY = "retry"


@dataclass(frozen=True, slots=True)
class LoopEvent:
    """One thing that happened, short enough for a log row: a name and clipped details."""

    kind: LoopEventKind
    name: str
    step: int
    detail: Json = field(default_factory=dict)


Observe: TypeAlias = Callable[[LoopEvent], Awaitable[None]]


async def ignore(_event: LoopEvent) -> None:
    """An observer that looks away."""

"""What an agent may ask for; data that the harness checks and applies."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change to propose: title below 70 characters, body in Markdown, both the model's words."""

    title: str
    body: str


class Stop(StrEnum):
    """Why the loop ended."""

    FINISHED = "finished"
    GAVE_UP = "gave_up"
    STEPS = "steps"
    COST = "cost"
    DEADLINE = "deadline"
    REFUSED = "refused"
    NONSENSE = "nonsense"
    STUCK = "stuck"


@dataclass(frozen=True, slots=True)
class LoopResult:
    """The end of a loop, with whatever partial result stands."""

    stop: Stop
    proposal: Proposal | None
    analysis: str | None
    summary: str
    steps: int
    cost_usd: float

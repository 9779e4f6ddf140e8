"""What an agent may ask for; data that the harness checks and applies."""

from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change to propose: title below 70 characters, body in Markdown, both the model's words."""

    title: str
    body: str


class Severity(StrEnum):
    """How much harm a finding does if it is left as it is; the most severe first."""

    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that a review found: `line` to `end_line` (from 1, both included) of `path`.

    `confidence` is a percentage (0 to 100). `suggestion` is the text that should stand in place of these
    lines, or nothing. All texts are the model's words.
    """

    path: str
    line: int
    severity: Severity
    confidence: int
    title: str
    evidence: str
    end_line: int | None = None
    suggestion: str | None = None


@dataclass(frozen=True, slots=True)
class Review:
    """A whole review: what was looked at, and what was found, the most severe first."""

    summary: str
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Duplicate:
    """An issue of the same repository that asks for the same thing, and why the agent thinks so."""

    number: int
    reason: str


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
    """The end of a loop, with whatever partial result stands.

    With a `question` the work waits for a person's answer, whatever else stands.
    """

    stop: Stop
    proposal: Proposal | None
    analysis: str | None
    summary: str
    steps: int
    cost_usd: float
    question: str | None = None
    review: Review | None = None
    labels: tuple[str, ...] = ()
    duplicate: Duplicate | None = None

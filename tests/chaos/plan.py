"""What a run of the kit plays: cases with seeds, each of which can be played again alone."""

import random
from dataclasses import dataclass, field
from functools import cached_property

from tests.chaos.oracle import Found


@dataclass(frozen=True)
class Case:
    """One installation that is hurt *kills* times; its seed fixes what, when and whom."""

    scenario: str
    stack: str
    seed: str
    number: int
    kills: int

    @cached_property
    def random(self) -> random.Random:
        """The case's own randomness: the same numbers in the same order for the same seed."""
        return random.Random(f"{self.seed}:{self.scenario}:{self.stack}:{self.number}")

    @property
    def replay(self) -> str:
        """The command that plays this case alone."""
        return (
            f"python -m tests.chaos --scenario {self.scenario} --stack {self.stack} --seed {self.seed} "
            f"--case {self.number} --n {self.kills}"
        )


@dataclass
class Tally:
    """What came of the cases of one scenario on one stack."""

    scenario: str
    stack: str
    kills: int = 0
    requests: int = 0
    set_aside: int = 0
    seconds: float = 0.0
    found: Found = field(default_factory=Found.nothing)
    notes: dict[str, int] = field(default_factory=dict)

    def note(self, name: str, number: int = 1) -> None:
        """Count something that is worth a figure."""
        self.notes[name] = self.notes.get(name, 0) + number

    def worst(self, name: str, seconds: float) -> None:
        """Keep the longest of its kind, in milliseconds."""
        self.notes[name] = max(self.notes.get(name, 0), round(seconds * 1_000))

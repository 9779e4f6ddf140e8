"""Making the forge misbehave: errors, silence, cut connections, late visibility."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

JSON: Final = {"Content-Type": "application/json; charset=utf-8"}
"""What GitHub's own bodies are; a `Reply` with one has it among its headers."""


@dataclass(frozen=True, slots=True)
class Reply:
    """Answer with this status; `is_after` handles the request first (landed but failed).

    A `body` of None is GitHub's plain error object; other text is sent as it is.
    """

    status: int
    body: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    is_after: bool = False


@dataclass(frozen=True, slots=True)
class Hang:
    """Say nothing for `seconds` and go on; with None until the faults are cleared, then hang up."""

    seconds: float | None = None
    is_after: bool = False


@dataclass(frozen=True, slots=True)
class Drop:
    """Cut the connection without an answer."""

    is_after: bool = False


@dataclass(frozen=True, slots=True)
class Delay:
    """Handle the request, but let reads see what it made only after that much forge time."""

    seconds: float


Action: TypeAlias = Reply | Hang | Drop | Delay


@dataclass(slots=True)
class Rule:
    """An action for the next `left` requests that match (None: for all of them)."""

    method: str
    path: re.Pattern[str]
    action: Action
    left: int | None


class Faults:
    """The rules in the order in which they were added; the first that matches is used."""

    def __init__(self) -> None:
        self.rules: list[Rule] = []
        self._released = asyncio.Event()
        self._hanging = asyncio.Event()

    def add(self, method: str, path_regex: str, action: Action, times: int | None = 1) -> None:
        """Do *action* to the next *times* requests (`*` any method) whose path the pattern finds."""
        self.rules.append(Rule(method.upper(), re.compile(path_regex), action, times))

    def clear(self) -> None:
        """Forget all rules and let go of every request that hangs."""
        self.rules.clear()
        self._released.set()
        self._released = asyncio.Event()

    def take(self, method: str, path: str) -> Action | None:
        """The action for a request, counted as used."""
        for rule in self.rules:
            if rule.method in {"*", method} and rule.path.search(path) and rule.left != 0:
                rule.left = None if rule.left is None else rule.left - 1
                return rule.action
        return None

    async def until_hanging(self) -> None:
        """Return as soon as a request hangs that has not been waited for yet."""
        await self._hanging.wait()
        self._hanging.clear()

    async def wait(self, seconds: float | None) -> bool:
        """Wait until released or until the time is over; True when the time was over."""
        self._hanging.set()
        try:
            await asyncio.wait_for(self._released.wait(), seconds)
        except TimeoutError:
            return True
        return False

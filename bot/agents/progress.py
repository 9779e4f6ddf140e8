"""Whether an agent gets anywhere: answers of no use in a row, and turns that only repeat.

The patterns are those of OpenHands' stuck detector, which looks at the last 20 events:
https://github.com/OpenHands/software-agent-sdk (openhands/sdk/conversation/stuck_detector.py).
"""

import hashlib
from collections import deque
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import orjson

from bot.domain.values import Json

MAX_FORMAT_ERRORS = 3
MAX_SAME_TURNS = 4
MAX_SAME_ERRORS = 3
MAX_ALTERNATING_TURNS = 6
WINDOW_TURNS = 20
_DIGEST_CHARS: Final = 16


class Verdict(StrEnum):
    """What to do about the turn that was just made."""

    GO_ON = "go_on"
    NUDGE = "nudge"
    STOP = "stop"


class Pattern(StrEnum):
    """What repeats, in words for the model and for people."""

    SAME_TURN = "the same calls with the same results, four times"
    SAME_ERROR = "the same call with the same error, three times"
    ALTERNATING = "the same two turns, one after the other, six turns long"


@dataclass(frozen=True, slots=True)
class _Turn:
    """One turn as digests: all its calls with their results, and each call that failed with its error."""

    whole: str
    errors: frozenset[str]


class Progress:
    """Counts over the turns of one job; the state goes into the record and comes back from it."""

    def __init__(self, state: Json | None = None) -> None:
        """Begin with a clean slate, or where *state* (`to_json`) was."""
        given = state or {}
        self._format_errors = int(given.get("formatErrors", 0))
        self._is_nudged = bool(given.get("isNudged", False))
        turns = (_Turn(whole, frozenset(errors)) for whole, errors in given.get("turns", ()))
        self._turns: deque[_Turn] = deque(turns, maxlen=WINDOW_TURNS)

    def to_json(self) -> Json:
        """All that is counted."""
        return {
            "formatErrors": self._format_errors,
            "isNudged": self._is_nudged,
            "turns": [[turn.whole, sorted(turn.errors)] for turn in self._turns],
        }

    def useful(self) -> None:
        """A turn had at least one call that could be run."""
        self._format_errors = 0

    def useless(self) -> Verdict:
        """A turn could not be used; the third in a row is the last."""
        self._format_errors += 1
        return Verdict.STOP if self._format_errors >= MAX_FORMAT_ERRORS else Verdict.GO_ON

    def watch(self, calls: list[Json], results: list[Json]) -> tuple[Verdict, Pattern | None]:
        """Look at a turn's calls with their results: one nudge in a job, then the end."""
        pairs = [
            ([call["name"], call["input"], result["content"]], result.get("is_error", False))
            for call, result in zip(calls, results, strict=True)
        ]
        errors = frozenset(_digest(pair) for pair, is_error in pairs if is_error)
        self._turns.append(_Turn(_digest([pair for pair, _ in pairs]), errors))
        pattern = self._pattern()
        if pattern is None:
            return Verdict.GO_ON, None
        verdict = Verdict.STOP if self._is_nudged else Verdict.NUDGE
        self._is_nudged = True
        return verdict, pattern

    def _pattern(self) -> Pattern | None:
        """What the newest turns repeat, if anything."""
        turns = list(self._turns)
        same = turns[-MAX_SAME_TURNS:]
        if len(same) == MAX_SAME_TURNS and len({turn.whole for turn in same}) == 1:
            return Pattern.SAME_TURN
        failed = turns[-MAX_SAME_ERRORS:]
        if len(failed) == MAX_SAME_ERRORS and frozenset.intersection(*(turn.errors for turn in failed)):
            return Pattern.SAME_ERROR
        wholes = [turn.whole for turn in turns[-MAX_ALTERNATING_TURNS:]]
        is_long = len(wholes) == MAX_ALTERNATING_TURNS
        if is_long and len(set(wholes[::2])) == len(set(wholes[1::2])) == 1 and wholes[0] != wholes[1]:
            return Pattern.ALTERNATING
        return None


def _digest(value: object) -> str:
    """A short name for *value*, the same for the same bytes."""
    return hashlib.sha256(orjson.dumps(value)).hexdigest()[:_DIGEST_CHARS]

"""Whether an agent gets anywhere: answers of no use in a row, and turns that only repeat."""

from enum import StrEnum

from bot.domain.values import Json

MAX_FORMAT_ERRORS = 3
MAX_SAME_TURNS = 4


class Verdict(StrEnum):
    """What to do about the turn that was just made."""

    GO_ON = "go_on"
    NUDGE = "nudge"
    STOP = "stop"


class Progress:
    """Counts over the turns of one job."""

    def __init__(self) -> None:
        """Begin with a clean slate."""
        self._format_errors = 0
        self._same_turns = 0
        self._last_turn = ""
        self._is_nudged = False

    def useful(self) -> None:
        """A turn had at least one call that could be run."""
        self._format_errors = 0

    def useless(self) -> Verdict:
        """A turn could not be used; the third in a row is the last."""
        self._format_errors += 1
        return Verdict.STOP if self._format_errors >= MAX_FORMAT_ERRORS else Verdict.GO_ON

    def watch(self, calls: list[Json], results: list[Json]) -> Verdict:
        """The same calls with the same results four times: one nudge in a job, then the end."""
        pairs = zip(calls, results, strict=True)
        turn = repr([(call["name"], call["input"], result["content"]) for call, result in pairs])
        self._same_turns = self._same_turns + 1 if turn == self._last_turn else 1
        self._last_turn = turn
        if self._same_turns < MAX_SAME_TURNS:
            return Verdict.GO_ON
        verdict = Verdict.STOP if self._is_nudged else Verdict.NUDGE
        self._is_nudged = True
        return verdict

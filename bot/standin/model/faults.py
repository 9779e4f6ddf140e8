"""Faults on a schedule: what a network and a busy server do to an answer."""

from dataclasses import dataclass
from typing import Literal

KINDS = ("status", "hang", "drop", "truncate", "nonsense", "empty")


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of trouble, for the first `times` requests at `turn` (None: at any turn).

    `status` answers an error (with `type`, `message`, `code`, `retry_after`); `hang` waits `seconds`
    and drops; `drop` closes the connection; `truncate` cuts the JSON; `nonsense` answers HTML with 200;
    `empty` answers a message without content.
    """

    kind: Literal["status", "hang", "drop", "truncate", "nonsense", "empty"]
    times: int = 1
    turn: int | None = None
    status: int = 529
    type: str = "overloaded_error"
    message: str = "Overloaded"
    code: str | None = None
    retry_after: str | float | None = None
    seconds: float = 3_600.0

    def __post_init__(self) -> None:
        """Refuse a kind that nobody plays."""
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")


class Schedule:
    """Which fault comes next; the only thing besides the cache that the server remembers."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        """Begin with every fault still to come."""
        self._left = [[fault, fault.times] for fault in faults]

    def next(self, turn: int) -> Fault | None:
        """The first fault that is due at *turn*; each call uses one of its times up."""
        for entry in self._left:
            fault, times = entry
            if (
                isinstance(fault, Fault)
                and isinstance(times, int)
                and times > 0
                and fault.turn in {None, turn}
            ):
                entry[1] = times - 1
                return fault
        return None

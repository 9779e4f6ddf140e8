"""Faults on a schedule: what a network and a busy server do to an answer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Literal, get_args

Kind = Literal[
    "status",
    "hang",
    "drop",
    "reset",
    "truncate",
    "nonsense",
    "empty",
    "cut",
    "stall",
    "pings",
    "error_event",
    "damage",
    "drip",
]
KINDS: tuple[str, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Fault:
    """One kind of trouble, for the first `times` requests at `turn` (None: any turn) of `script` (None: any).

    Before the answer: `status` answers an error (`status`, `type`, `message`, `code`); `hang` waits
    `seconds` and drops; `drop` closes the connection before any header; `reset` does it as a TLS cut does
    (RST). In place of it: `nonsense` answers HTML with 200; `empty` a message without content; `truncate`
    half of the bytes.

    Of a stream, where `after_event` counts whole events from its start (0: headers only; an answer that is
    no stream counts as one event):
    `cut` ends it after `after_event` events or `after_byte` bytes (with `is_clean` as if it were whole,
    else by closing the connection); `stall` is silent for `seconds` there, and cuts; `pings` sends only a
    ping every `every_seconds` there, for `seconds`, and cuts; `error_event` sends an error with `type` and
    `message` there; `damage` spoils the JSON of the next event; `drip` sends all, `piece_bytes` at a time
    (None: an event) with `every_seconds` between.

    The wait that an error names: `retry_after` as it stands, `retry_after_ms`, or `retry_after_date`
    (seconds from now, sent as an HTTP date); `headers` are sent with a `status` as they are.
    """

    kind: Kind
    times: int = 1
    turn: int | None = None
    script: str | None = None
    status: int = 529
    type: str = "overloaded_error"
    message: str = "Overloaded"
    code: str | None = None
    retry_after: str | float | None = None
    retry_after_ms: float | None = None
    retry_after_date: float | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    seconds: float = 3_600.0
    every_seconds: float = 0.0
    after_event: int = 0
    after_byte: int | None = None
    piece_bytes: int | None = None
    is_clean: bool = False

    def __post_init__(self) -> None:
        """Refuse a kind that nobody plays."""
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}")

    def error_headers(self) -> dict[str, str]:
        """The headers of a `status`: how long to wait, in the form that was asked for."""
        headers = dict(self.headers)
        if self.retry_after is not None:
            headers["retry-after"] = str(self.retry_after)
        if self.retry_after_ms is not None:
            headers["retry-after-ms"] = str(self.retry_after_ms)
        if self.retry_after_date is not None:
            then = datetime.now(UTC) + timedelta(seconds=self.retry_after_date)
            headers["retry-after"] = format_datetime(then, usegmt=True)
        return headers


class Schedule:
    """Which fault comes next; the only thing besides the cache that the server remembers."""

    def __init__(self, faults: tuple[Fault, ...]) -> None:
        """Begin with every fault still to come."""
        self._left = [[fault, fault.times] for fault in faults]

    def next(self, turn: int, script: str | None = None) -> Fault | None:
        """The first fault that is due at *turn* of *script*; each call uses one of its times up."""
        for entry in self._left:
            fault, times = entry
            if (
                isinstance(fault, Fault)
                and isinstance(times, int)
                and times > 0
                and fault.turn in {None, turn}
                and fault.script in {None, script}
            ):
                entry[1] = times - 1
                return fault
        return None

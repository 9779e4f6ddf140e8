"""The forge's own time, which tests and demos can move forward."""

import time
from collections.abc import Callable
from datetime import UTC, datetime


class ForgeClock:
    """Seconds since the epoch: a source (the machine's time by default) plus what was advanced."""

    def __init__(self, source: Callable[[], float] = time.time) -> None:
        self._source = source
        self._advanced_seconds = 0.0

    def now(self) -> float:
        """The current instant in seconds since the epoch."""
        return self._source() + self._advanced_seconds

    def advance(self, seconds: float) -> None:
        """Move the clock forward; tokens expire and delayed objects appear accordingly."""
        self._advanced_seconds += seconds


def iso(instant: float) -> str:
    """The instant as GitHub writes it: UTC, whole seconds, `Z`."""
    return datetime.fromtimestamp(instant, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def iso_or_none(instant: float | None) -> str | None:
    """Like `iso`; None stays None."""
    return None if instant is None else iso(instant)

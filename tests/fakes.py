"""Stand-ins for time that every test may use."""

import asyncio
from datetime import UTC, datetime, timedelta


class ManualClock:
    """A clock that only moves when it is told to, or when somebody sleeps on it."""

    def __init__(self, start: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)) -> None:
        """Begin at *start*."""
        self._start = start
        self._elapsed_seconds = 0.0
        self.slept: list[float] = []

    def now(self) -> datetime:
        """The current instant."""
        return self._start + timedelta(seconds=self._elapsed_seconds)

    def monotonic(self) -> float:
        """Seconds since the start."""
        return self._elapsed_seconds

    def advance(self, seconds: float) -> None:
        """Move forward."""
        self._elapsed_seconds += seconds

    async def sleep(self, seconds: float) -> None:
        """Move forward by *seconds* at once and let others run."""
        self.slept.append(seconds)
        self.advance(seconds)
        await asyncio.sleep(0)

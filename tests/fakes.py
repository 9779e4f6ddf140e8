"""Stand-ins for time and for the limits of GitHub that every test may use."""

import asyncio
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from bot.domain.ports import Rate
from bot.errors import Forbidden, RateLimited, Uninstalled


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


@dataclass
class MemoryLimits:
    """The limits of one process, for rooms that know no database; a limit of unknown length is a minute."""

    clock: ManualClock
    blocked_until: dict[int, datetime] = field(default_factory=dict)
    rates: dict[int, list[Rate]] = field(default_factory=dict)
    gone: dict[int, bool] = field(default_factory=dict)

    async def admit(self, installation_id: int, *, is_minting: bool = False) -> None:
        """Let a call pass, or raise what stands in its way."""
        if installation_id in self.gone:
            raise Uninstalled("gone") if self.gone[installation_id] else Forbidden("suspended")
        now = self.clock.now()
        until = max(
            self.blocked_until.get(each, now)
            for each in {installation_id, 0 if is_minting else installation_id}
        )
        left = (until - now).total_seconds()
        if left > 0:
            raise RateLimited("GitHub asked us to wait", after_seconds=left)

    async def limited(self, installation_id: int, after_seconds: float | None) -> float:
        """Close it."""
        seconds = 60.0 if after_seconds is None else after_seconds
        self.blocked_until[installation_id] = self.clock.now() + timedelta(seconds=seconds)
        return seconds

    async def note(self, installation_id: int, rate: Rate) -> None:
        """Keep it."""
        self.rates.setdefault(installation_id, []).append(rate)

    async def lost(self, installation_id: int, *, is_gone: bool) -> None:
        """Keep that it is no more."""
        self.gone[installation_id] = is_gone

    async def found(self, installation_id: int) -> None:
        """Forget that it was no more."""
        self.gone.pop(installation_id, None)

"""The time that a job may take, over all of its attempts."""

from dataclasses import dataclass

from bot.domain.clock import Clock


@dataclass(frozen=True, slots=True)
class Deadline:
    """`limit_seconds` of work in all, of which earlier attempts have used `used_seconds`."""

    clock: Clock
    limit_seconds: float
    started_at: float
    used_seconds: float = 0.0

    def elapsed_seconds(self) -> float:
        """The work so far, of all attempts; the time between two attempts does not count."""
        return self.used_seconds + self.clock.monotonic() - self.started_at

    def seconds_left(self) -> float:
        """Until the end; below 0 after it."""
        return self.limit_seconds - self.elapsed_seconds()

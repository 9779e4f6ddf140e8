"""How fast we write: one write of an installation at a time, over all workers, and not too many an hour."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bot.db import operations, tenants
from bot.db.chores import CLOCK_SLACK
from bot.db.database import Database
from bot.domain.clock import Clock
from bot.domain.enums import OperationKind
from bot.domain.values import Scope
from bot.errors import RetryLater
from bot.limits import CONTENT_WRITES_PER_HOUR

MAX_SLOT_TRIES: Final = 100
MAX_WAIT: Final = timedelta(seconds=60)
"""Who would have to wait longer for a turn comes back instead, and holds no place meanwhile."""
HOUR: Final = timedelta(hours=1)
# What GitHub calls content; a minute's 80 cannot be reached at one write a second.
CONTENT: Final = frozenset(
    {
        OperationKind.COMMENT,
        OperationKind.COMMENT_EDIT,
        OperationKind.PULL_REQUEST,
        OperationKind.REVIEW,
    }
)


@dataclass(frozen=True, slots=True)
class Pace:
    """https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api."""

    database: Database
    clock: Clock
    gap_seconds: float
    content_per_hour: int = CONTENT_WRITES_PER_HOUR

    async def wait(self, installation_id: int, kind: OperationKind) -> None:
        """Wait for this installation's next turn to write.

        Raises:
            RetryLater: Others were faster each time, too many are waiting, or the hour's content is written.
        """
        if kind in CONTENT:
            await self._check_hour(installation_id)
        scope = Scope.system()
        gap = timedelta(seconds=self.gap_seconds)
        for _ in range(MAX_SLOT_TRIES):
            now = self.clock.now()
            # Nobody reserves beyond: who did had a clock that has been set back since.
            sound = now + MAX_WAIT + 2 * gap + CLOCK_SLACK
            async with self.database.write() as connection:
                free_at = await tenants.next_write_at(scope, connection, installation_id) or now
                slot = max(now, free_at)
                if slot > sound:
                    # Those who reserved by that clock sleep until then at most.
                    slot = now + MAX_WAIT + gap
                elif slot > now + MAX_WAIT:
                    why = "too many writes to this installation wait for their turn"
                    raise RetryLater(why, after_seconds=(slot - now).total_seconds())
                is_taken = await tenants.reserve_write(
                    scope, connection, installation_id, not_before=slot, next_at=slot + gap, sound=sound
                )
            if is_taken:
                await self.clock.sleep((slot - now).total_seconds())
                return
        raise RetryLater(f"no time to write was to be had in {MAX_SLOT_TRIES} tries")

    async def _check_hour(self, installation_id: int) -> None:
        """Raise RetryLater until the oldest of the last hour's content is an hour old."""
        now = self.clock.now()
        async with self.database.read() as connection:
            sent_at = await operations.nth_last_sending(
                Scope.system(),
                connection,
                installation_id,
                CONTENT,
                count=self.content_per_hour,
                since=now - HOUR,
            )
        if sent_at is not None:
            seconds = min(sent_at + HOUR - now, HOUR).total_seconds()
            words = f"{self.content_per_hour} texts were written within the hour, GitHub takes no more"
            raise RetryLater(words, after_seconds=max(seconds, 1.0))

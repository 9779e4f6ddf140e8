"""What every queue engine offers; policy (who may run next) stands in `bot.db.schedule`, not here."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Ticket:
    """One id out of the engine. It says only which job to look up; nothing in it is trusted further.

    `again` counts how often somebody asked the engine itself (bull-board) to run an ended job again.
    """

    job_id: str
    again: int = 0


@dataclass(frozen=True, slots=True)
class Ended:
    """How the work on a ticket ended, for those who look at the engine; the database knows already.

    `reason` is set where the job failed, `wake_at` where it waits again; neither: it is done.
    """

    reason: str | None = None
    wake_at: datetime | None = None


class QueueEngine(Protocol):
    """Carries the ids of admitted jobs to a worker; losing all of them loses nothing."""

    is_shared: bool
    """Whether other workers may pop what this one pushes."""

    async def start(self) -> None:
        """Begin; an engine whose server is away begins too, and goes on trying."""

    async def push(self, job_ids: Sequence[str]) -> None:
        """Hand over *job_ids* in this order; an id that waits in the engine is not added again.

        One that is still at work there may be left as it is.

        Raises:
            RetryLater: The engine did not take them; they have to be admitted again.
        """

    async def pop(self) -> Ticket:
        """The next ticket; waits for one."""

    async def end(self, ticket: Ticket, ended: Ended) -> None:
        """Say how the work on *ticket* ended; never raises for a server that is away."""

    def depth(self) -> int:
        """How many tickets wait in this process."""

    def trouble(self) -> str | None:
        """What is wrong with the engine right now, in words for health; None when it works."""

    async def close(self) -> None:
        """Take nothing more and give back what was not popped; the second time does nothing."""

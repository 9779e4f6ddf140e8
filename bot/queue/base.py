"""What every queue engine offers; policy (who may run next) stands in `bot.db.schedule`, not here."""

from collections.abc import Sequence
from typing import Protocol


class QueueEngine(Protocol):
    """Carries the ids of admitted jobs to a worker; losing all of them loses nothing."""

    async def push(self, job_ids: Sequence[str]) -> None:
        """Hand over *job_ids* in this order; an id that is waiting already is not added again."""

    async def pop(self) -> str:
        """The next id; waits for one."""

    def depth(self) -> int:
        """How many ids wait."""

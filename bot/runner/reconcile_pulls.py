"""Pull requests of ours that people decided on while we were down."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import groupby
from typing import Final

from bot import logs
from bot.db import reviews, tenants
from bot.db.database import Database
from bot.db.reviews import Review
from bot.domain.clock import Clock
from bot.domain.values import Json, Scope
from bot.errors import NotFound, Permanent
from bot.github.app import GitHubApp
from bot.github.repository import RepositoryApi

log = logs.get(__name__)

BATCH: Final = 50
READ: Final = {"pull_requests": "read"}


@dataclass(frozen=True, slots=True)
class PullsCheck:
    """Looks after issues in REVIEW, `BATCH` of them a turn, in a circle."""

    database: Database
    app: GitHubApp
    clock: Clock

    async def run(self, state: Json, keep: Callable[[Json], Awaitable[None]]) -> int:
        """Ask for the next ones; returns how many issues were ended.

        Raises:
            RetryLater: GitHub cannot say now; the next turn begins with the same.
        """
        async with self.database.read() as connection:
            found = await reviews.waiting(
                Scope.system(), connection, after=str(state.get("after", "")), limit=BATCH
            )
        ended = 0
        for place, some in groupby(sorted(found, key=_place), key=_place):
            ended += await self._look(*place, list(some))
        is_round = len(found) < BATCH
        await keep({"after": "" if is_round else found[-1].issue_id})
        return ended

    async def _look(
        self, organization_id: str, installation_id: int, repository_id: int, some: list[Review]
    ) -> int:
        """The pull requests of one repository; one that we no longer serve is left alone."""
        async with self.database.read() as connection:
            tenant = await tenants.tenant_of(
                Scope(organization_id), connection, installation_id, repository_id
            )
        if tenant is None:
            return 0
        try:
            async with self.app.lend(installation_id, repository_id, READ) as loan:
                api = self.app.repository(tenant.repository.full_name, loan)
                return sum([await self._decided(api, review) for review in some])
        except Permanent as error:
            log.warning("pulls_unseen", repository=repository_id, why=str(error))
            return 0

    async def _decided(self, api: RepositoryApi, review: Review) -> bool:
        """Whether people have decided on this one; one that is not to be seen is left as it is."""
        try:
            pull = await api.pull(review.number)
        except NotFound:
            return False
        if pull.state != "closed":
            return False
        async with self.database.write() as connection:
            is_ended = await reviews.end(
                Scope.system(), connection, review, is_merged=pull.is_merged, now=self.clock.now()
            )
        if is_ended:
            log.info("review_ended", issue_id=review.issue_id, number=review.number, is_merged=pull.is_merged)
        return is_ended


def _place(review: Review) -> tuple[str, int, int]:
    return review.organization_id, review.installation_id, review.repository_id

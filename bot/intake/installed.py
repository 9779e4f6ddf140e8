"""Installations that came, went or were suspended while we were down: our records follow GitHub's list."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from bot import logs
from bot.db import installed, tenants, uninstall
from bot.db.database import Database
from bot.db.installed import Known
from bot.domain.clock import Clock
from bot.domain.intents import SaveInstallation
from bot.domain.values import RepositoryRef, Scope
from bot.errors import Forbidden, NotFound
from bot.github.app import GitHubApp
from bot.github.listing import Listing
from bot.github.values import InstallationInfo

log = logs.get(__name__)

# Repositories are kept in so many at a time, so that no write lock is held for long.
BATCH: Final = 200


@dataclass(frozen=True, slots=True)
class Compared:
    """The ids of the installations whose records were changed, and of those that are gone."""

    saved: list[int] = field(default_factory=list)
    removed: list[int] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class InstalledCheck:
    """Compares our records with the whole list; a list that cannot be read whole changes nothing."""

    database: Database
    app: GitHubApp
    listing: Listing
    clock: Clock

    async def run_once(self) -> Compared:
        """Save what is new or different, remove what is gone; the second time finds nothing to do.

        Raises:
            RetryLater: GitHub cannot be asked now; nothing more was changed.
            Permanent: GitHub does not tell, or the list is too long to be read.
        """
        listed = await self.listing.installations()
        async with self.database.read() as connection:
            known = await installed.known(Scope.system(), connection)
        compared = Compared()
        for found in listed:
            if _differs(found, known.get(found.id)):
                await self._save(found)
                compared.saved.append(found.id)
        ids = {found.id for found in listed}
        for one in known.values():
            if (
                one.id not in ids
                and (one.has_repositories or not one.is_deleted)
                and await self._is_gone(one)
            ):
                await self._remove(one)
                compared.removed.append(one.id)
        return compared

    async def _save(self, found: InstallationInfo) -> None:
        repositories: Sequence[RepositoryRef] = ()
        if not found.is_suspended:
            try:
                repositories = await self.listing.repositories(found.id)
            except (Forbidden, NotFound) as error:
                # It was suspended or removed since the list was made: the next look says which.
                log.warning("installation_changes", installation_id=found.id, why=str(error))
                return
        for start in range(0, max(len(repositories), 1), BATCH):
            await self._keep(found, tuple(repositories[start : start + BATCH]))
        log.info(
            "installation_saved",
            installation_id=found.id,
            is_suspended=found.is_suspended,
            repositories=len(repositories),
        )

    async def _keep(self, found: InstallationInfo, repositories: tuple[RepositoryRef, ...]) -> None:
        saved = SaveInstallation(
            installation_id=found.id,
            account_id=found.account_id,
            account_login=found.account_login,
            account_type=found.account_type,
            is_suspended=found.is_suspended,
            permissions=found.permissions,
            repositories=repositories,
        )
        async with self.database.write() as connection:
            await tenants.save_installation(Scope.system(), connection, saved, now=self.clock.now())

    async def _is_gone(self, one: Known) -> bool:
        """Whether GitHub says of this very installation that there is none: a list may be older than it."""
        return await self.app.installation(one.id) is None

    async def _remove(self, one: Known) -> None:
        async with self.database.write() as connection:
            ended = await uninstall.uninstall(Scope.system(), connection, one.id, now=self.clock.now())
        log.warning("installation_gone", installation_id=one.id, account=one.account_login, jobs=len(ended))


def _differs(found: InstallationInfo, known: Known | None) -> bool:
    """Whether there is anything to save; of one that serves no repository, the repositories are."""
    if known is None or known.is_deleted:
        return True
    says = (found.account_id, found.account_login, found.permissions, found.is_suspended)
    has = (known.account_id, known.account_login, known.permissions, known.is_suspended)
    return says != has or not (known.has_repositories or found.is_suspended)

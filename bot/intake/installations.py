"""Installations that we missed: confirmed with GitHub before anything is believed of them."""

from dataclasses import dataclass

from bot import logs
from bot.db import tenants
from bot.db.database import Database
from bot.db.tenants import Tenant
from bot.domain.clock import Clock
from bot.domain.intents import SaveInstallation
from bot.domain.values import RepositoryRef, Scope
from bot.errors import Permanent
from bot.github.app import GitHubApp

log = logs.get(__name__)


@dataclass(frozen=True, slots=True)
class Installations:
    """Looks an installation up where our records do not join it with a repository."""

    database: Database
    app: GitHubApp
    clock: Clock

    async def confirm(self, installation_id: int, repository: RepositoryRef) -> Tenant | None:
        """The tenant as GitHub says it is, kept from now on; None where GitHub does not confirm it.

        Raises:
            RetryLater: GitHub cannot be asked now.
        """
        found = await self.app.installation(installation_id)
        if found is None or found.is_suspended:
            log.warning("installation_unconfirmed", installation_id=installation_id)
            return None
        confirmed = await self._repository(installation_id, repository)
        if confirmed is None:
            log.warning("repository_unconfirmed", installation_id=installation_id, repository=repository.id)
            return None
        saved = SaveInstallation(
            installation_id=found.id,
            account_id=found.account_id,
            account_login=found.account_login,
            account_type=found.account_type,
            is_suspended=False,
            permissions=found.permissions,
            repositories=(confirmed,),
        )
        scope = Scope.system()
        async with self.database.write() as connection:
            await tenants.save_installation(scope, connection, saved, now=self.clock.now())
            return await tenants.tenant_of(scope, connection, installation_id, repository.id)

    async def _repository(self, installation_id: int, repository: RepositoryRef) -> RepositoryRef | None:
        """What a token of this installation sees under that id; None when it is not one of its own."""
        try:
            async with self.app.lend(installation_id, repository.id, {"metadata": "read"}) as loan:
                info = await self.app.repository(repository.full_name, loan).info()
        except Permanent:
            return None
        is_same = info.id == repository.id
        return (
            RepositoryRef(info.id, info.full_name, info.default_branch, info.is_private) if is_same else None
        )

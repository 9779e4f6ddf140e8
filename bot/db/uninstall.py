"""The end of an installation, whoever told of it: its jobs end, its repositories are served no more."""

from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import cancel, tenants
from bot.db.scope import system_only
from bot.domain.values import Scope

REASON = "the App was uninstalled"


async def uninstall(
    scope: Scope, connection: AsyncConnection, installation_id: int, *, now: datetime
) -> list[str]:
    """Cancel the installation's open jobs and mark it as deleted; returns the jobs' ids. Twice is once."""
    system_only(scope)
    ended: list[str] = []
    for repository_id in await tenants.repository_ids(scope, connection, installation_id):
        ended += await cancel.request_cancel(
            scope,
            connection,
            repository_id=repository_id,
            number=None,
            verb=None,
            reason=REASON,
            now=now,
        )
    await tenants.remove_installation(scope, connection, installation_id, now=now)
    return ended

"""Where we believe the App to be installed, for the comparison with GitHub's own list."""

from dataclasses import dataclass

from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import system_only
from bot.db.tables import github_accounts, installations, repositories
from bot.domain.values import Scope


@dataclass(frozen=True, slots=True)
class Known:
    """One installation as our records have it."""

    id: int
    account_id: int
    account_login: str
    permissions: tuple[tuple[str, str], ...]
    is_suspended: bool
    is_deleted: bool
    has_repositories: bool


async def known(scope: Scope, connection: AsyncConnection) -> dict[int, Known]:
    """All installations that we have ever heard of, by their ids."""
    system_only(scope)
    serves = exists().where(repositories.c.installation_id == installations.c.id)
    statement = select(
        installations.c.id,
        installations.c.account_id,
        github_accounts.c.login,
        installations.c.permissions,
        installations.c.suspended_at.is_not(None).label("is_suspended"),
        installations.c.deleted_at.is_not(None).label("is_deleted"),
        serves.label("has_repositories"),
    ).join(github_accounts, github_accounts.c.id == installations.c.account_id)
    return {
        row.id: Known(
            id=row.id,
            account_id=row.account_id,
            account_login=row.login,
            permissions=tuple(sorted(row.permissions.items())),
            is_suspended=bool(row.is_suspended),
            is_deleted=bool(row.is_deleted),
            has_repositories=bool(row.has_repositories),
        )
        for row in (await connection.execute(statement)).all()
    }

"""Accounts, installations, repositories and grants: who may use which repository."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Select, and_, bindparam, false, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import system_only, within
from bot.db.tables import github_accounts, installations, organizations, repositories, repository_grants
from bot.db.turns import take_turn
from bot.db.upsert import insert_or_update
from bot.domain.ids import new_id
from bot.domain.intents import SaveInstallation
from bot.domain.values import RepositoryRef, Scope


@dataclass(frozen=True, slots=True)
class Tenant:
    """The organization that a repository's event belongs to, and the installation that serves it."""

    organization_id: str
    installation_id: int
    repository: RepositoryRef

    @property
    def scope(self) -> Scope:
        """The scope of this tenant's own rows."""
        return Scope(self.organization_id)


async def save_installation(
    scope: Scope, connection: AsyncConnection, saved: SaveInstallation, *, now: datetime
) -> str:
    """Keep the account, its organization, the installation and its repositories; twice is once.

    Returns:
        The organization's id.
    """
    system_only(scope)
    await take_turn(connection, f"account:{saved.account_id}")
    organization_id = await _account_organization(connection, saved, now)
    await insert_or_update(
        connection,
        installations,
        {
            "id": saved.installation_id,
            "account_id": saved.account_id,
            "permissions": dict(saved.permissions),
            "suspended_at": now if saved.is_suspended else None,
            "deleted_at": None,
            "created_at": now,
            "updated_at": now,
        },
        changed=("account_id", "permissions", "suspended_at", "deleted_at", "updated_at"),
    )
    for repository in saved.repositories:
        await save_repository(scope, connection, repository, saved.installation_id, now=now, has_branch=False)
        await grant(Scope(organization_id), connection, repository.id, now=now)
    if saved.removed_repository_ids:
        await connection.execute(
            update(repositories)
            .where(
                repositories.c.id.in_(saved.removed_repository_ids),
                repositories.c.installation_id == saved.installation_id,
            )
            .values(installation_id=None, updated_at=now)
        )
    return organization_id


async def _account_organization(connection: AsyncConnection, saved: SaveInstallation, now: datetime) -> str:
    known = await connection.scalar(
        select(github_accounts.c.organization_id).where(github_accounts.c.id == saved.account_id)
    )
    organization_id: str = known or new_id(now)
    if known is None:
        await connection.execute(insert(organizations).values(id=organization_id, name=saved.account_login))
    await insert_or_update(
        connection,
        github_accounts,
        {
            "id": saved.account_id,
            "login": saved.account_login,
            "type": saved.account_type,
            "organization_id": organization_id,
            "created_at": now,
            "updated_at": now,
        },
        changed=("login", "type", "updated_at"),
    )
    return organization_id


async def save_repository(
    scope: Scope,
    connection: AsyncConnection,
    repository: RepositoryRef,
    installation_id: int,
    *,
    now: datetime,
    has_branch: bool = True,
) -> None:
    """Keep what GitHub last said of a repository; the numeric id is its identity.

    Without *has_branch* a default branch that is known already stays: an installation's payload
    names none (https://docs.github.com/en/webhooks/webhook-events-and-payloads#installation).
    """
    system_only(scope)
    await insert_or_update(
        connection,
        repositories,
        {
            "id": repository.id,
            "full_name": repository.full_name,
            "is_private": repository.is_private,
            "default_branch": repository.default_branch,
            "installation_id": installation_id,
            "created_at": now,
            "updated_at": now,
        },
        changed=(
            *("full_name", "is_private", "installation_id", "updated_at"),
            *(("default_branch",) if has_branch else ()),
        ),
    )


async def grant(scope: Scope, connection: AsyncConnection, repository_id: int, *, now: datetime) -> None:
    """Let the scope's organization use a repository; twice is once."""
    await insert_or_update(
        connection,
        repository_grants,
        {"organization_id": scope.organization_id, "repository_id": repository_id, "created_at": now},
        changed=(),
    )


async def remove_installation(
    scope: Scope, connection: AsyncConnection, installation_id: int, *, now: datetime
) -> None:
    """The App was uninstalled: the row stays as deleted, its repositories lose their installation."""
    system_only(scope)
    await connection.execute(
        update(installations)
        .where(installations.c.id == installation_id)
        .values(deleted_at=now, updated_at=now)
    )
    await connection.execute(
        update(repositories)
        .where(repositories.c.installation_id == installation_id)
        .values(installation_id=None, updated_at=now)
    )


def _tenant() -> Select[tuple[Any, ...]]:
    """Who serves a repository; built once: it is asked for every event and every write."""
    joined = (
        repositories.join(installations, repositories.c.installation_id == installations.c.id)
        .join(github_accounts, github_accounts.c.id == installations.c.account_id)
        .join(
            repository_grants,
            and_(
                repository_grants.c.repository_id == repositories.c.id,
                repository_grants.c.organization_id == github_accounts.c.organization_id,
            ),
        )
    )
    return (
        select(
            github_accounts.c.organization_id,
            repositories.c.full_name,
            repositories.c.default_branch,
            repositories.c.is_private,
        )
        .select_from(joined)
        .where(
            installations.c.id == bindparam("installation", type_=BigInteger),
            repositories.c.id == bindparam("repository", type_=BigInteger),
            installations.c.suspended_at.is_(None),
            installations.c.deleted_at.is_(None),
        )
    )


_TENANT: Final = _tenant()


async def tenant_of(
    scope: Scope, connection: AsyncConnection, installation_id: int, repository_id: int
) -> Tenant | None:
    """The tenant of an event, or None when our records do not join these two, or it is suspended."""
    statement = _TENANT
    if scope.organization_id is not None:
        statement = statement.where(within(scope, repository_grants))
    asked = {"installation": installation_id, "repository": repository_id}
    row = (await connection.execute(statement, asked)).first()
    if row is None:
        return None
    repository = RepositoryRef(repository_id, row.full_name, row.default_branch or "main", row.is_private)
    return Tenant(row.organization_id, installation_id, repository)


async def reserve_write(
    scope: Scope,
    connection: AsyncConnection,
    installation_id: int,
    *,
    not_before: datetime,
    next_at: datetime,
    sound: datetime | None = None,
) -> bool:
    """Take the installation's write slot at *not_before* unless another took it; compare-and-set.

    One that was taken beyond *sound* is of a clock that has been set back, and stands for nothing.
    """
    system_only(scope)
    taken = installations.c.next_write_at
    is_void = false() if sound is None else taken > sound
    result = await connection.execute(
        update(installations)
        .where(installations.c.id == installation_id, or_(taken.is_(None), taken <= not_before, is_void))
        .values(next_write_at=next_at)
    )
    return result.rowcount == 1


async def next_write_at(scope: Scope, connection: AsyncConnection, installation_id: int) -> datetime | None:
    """When the installation's next write may be sent; None means now."""
    system_only(scope)
    found: datetime | None = await connection.scalar(
        select(installations.c.next_write_at).where(installations.c.id == installation_id)
    )
    return found


async def repository_ids(scope: Scope, connection: AsyncConnection, installation_id: int) -> list[int]:
    """The repositories that an installation serves."""
    system_only(scope)
    statement = select(repositories.c.id).where(repositories.c.installation_id == installation_id)
    return [int(found) for found in (await connection.scalars(statement)).all()]

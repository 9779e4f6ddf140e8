"""Installations, repositories and grants: who may use what."""

from datetime import datetime

import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import tenants
from bot.db.database import Database
from bot.db.tables import github_accounts, installations, organizations, repositories, repository_grants
from bot.db.tenants import Tenant
from bot.domain.intents import SaveInstallation
from bot.domain.values import RepositoryRef, Scope
from tests.db.rows import MINUTE, NOW, SYSTEM, count, installation, make_tenant, overlap


async def _save(database: Database, saved: SaveInstallation) -> str:
    async with database.write() as connection:
        return await tenants.save_installation(SYSTEM, connection, saved, now=NOW)


async def _tenant(
    database: Database, installation_id: int = 10, repository_id: int = 100, scope: Scope = SYSTEM
) -> Tenant | None:
    async with database.read() as connection:
        return await tenants.tenant_of(scope, connection, installation_id, repository_id)


async def test_an_installation_gives_its_account_an_organization_and_a_grant(database: Database) -> None:
    organization_id = await _save(database, installation())
    assert await _tenant(database) == Tenant(organization_id, 10, RepositoryRef(100, "octo-1/r100"))


async def test_the_same_installation_twice_is_once(database: Database) -> None:
    first = await _save(database, installation())
    assert await _save(database, installation()) == first
    tables = [organizations, github_accounts, installations, repositories, repository_grants]
    assert [await count(database, table) for table in tables] == [1] * 5


async def test_two_that_save_a_new_account_at_once_make_one_organization(database: Database) -> None:
    async def save(connection: AsyncConnection) -> str:
        return await tenants.save_installation(SYSTEM, connection, installation(), now=NOW)

    first, second = await overlap(database, save, save)
    assert first == second
    assert await count(database, organizations) == 1


async def test_two_accounts_have_nothing_in_common(database: Database) -> None:
    ours, theirs = await make_tenant(database, 1, 100), await make_tenant(database, 2, 200)
    assert ours.organization_id != theirs.organization_id
    assert await _tenant(database, 10, 200) is None
    assert await _tenant(database, 20, 100) is None
    assert await _tenant(database, 10, 100, theirs.scope) is None
    assert await _tenant(database, 10, 100, ours.scope) == ours


async def test_what_github_says_last_is_kept(database: Database) -> None:
    tenant = await make_tenant(database)
    renamed = RepositoryRef(100, "octo-1/renamed", "trunk", is_private=True)
    async with database.write() as connection:
        await tenants.save_repository(SYSTEM, connection, renamed, 10, now=NOW + MINUTE)
        row = (await connection.execute(select(repositories))).one()
    assert await _tenant(database) == Tenant(tenant.organization_id, 10, renamed)
    assert (row.created_at, row.updated_at) == (NOW, NOW + MINUTE)


async def test_permissions_and_login_follow_github(database: Database) -> None:
    await _save(database, installation())
    async with database.write() as connection:
        changed = SaveInstallation(10, 1, "renamed", "User", False, (("checks", "write"),), ())
        await tenants.save_installation(SYSTEM, connection, changed, now=NOW)
        login = await connection.scalar(select(github_accounts.c.login))
        permissions = await connection.scalar(select(installations.c.permissions))
    assert (login, permissions) == ("renamed", {"checks": "write"})


async def test_a_suspended_installation_serves_nobody_until_it_is_back(database: Database) -> None:
    await _save(database, installation(is_suspended=True))
    assert await _tenant(database) is None
    await _save(database, installation())
    assert await _tenant(database) is not None


async def test_an_uninstalled_app_serves_nobody_until_it_is_installed_again(database: Database) -> None:
    tenant = await make_tenant(database)
    async with database.write() as connection:
        await tenants.remove_installation(SYSTEM, connection, 10, now=NOW)
        assert await tenants.repository_ids(SYSTEM, connection, 10) == []
        since = await connection.scalar(select(installations.c.deleted_at).where(installations.c.id == 10))
    assert since == NOW
    assert await _tenant(database) is None
    await _save(database, installation(installation_id=11))
    again = await _tenant(database, 11)
    assert again is not None and again.organization_id == tenant.organization_id


async def test_a_repository_that_was_taken_away_is_served_no_more(database: Database) -> None:
    await _save(database, installation(repositories=(100, 101)))
    await _save(database, installation(repositories=(), removed=(100,)))
    assert await _tenant(database, 10, 100) is None
    assert await _tenant(database, 10, 101) is not None


async def test_a_repository_that_moved_belongs_to_its_new_account_alone(database: Database) -> None:
    old = await make_tenant(database, 1, 100)
    await _save(database, installation(2, repositories=(100,)))
    assert await _tenant(database, 10, 100) is None
    moved = await _tenant(database, 20, 100)
    assert moved is not None and moved.organization_id != old.organization_id
    assert await _tenant(database, 20, 100, old.scope) is None


async def test_the_old_owner_cannot_take_a_moved_repository_away(database: Database) -> None:
    await make_tenant(database, 1, 100)
    await _save(database, installation(2, repositories=(100,)))
    await _save(database, installation(1, repositories=(), removed=(100,)))
    assert await _tenant(database, 20, 100) is not None


async def test_an_installation_knows_its_repositories(database: Database) -> None:
    await _save(database, installation(repositories=(100, 101)))
    async with database.read() as connection:
        assert sorted(await tenants.repository_ids(SYSTEM, connection, 10)) == [100, 101]


class TestPace:
    async def test_a_slot_is_taken_by_one(self, database: Database) -> None:
        await make_tenant(database)
        assert await _slot(database) is None
        assert await _take(database, NOW)
        assert not await _take(database, NOW)
        assert await _slot(database) == NOW + MINUTE
        assert await _take(database, NOW + MINUTE)

    async def test_of_two_at_once_one_gets_the_slot(self, database: Database) -> None:
        await make_tenant(database)

        async def take(connection: AsyncConnection) -> bool:
            return await tenants.reserve_write(SYSTEM, connection, 10, not_before=NOW, next_at=NOW + MINUTE)

        assert await overlap(database, take, take) == (True, False)

    async def test_an_installation_that_nobody_knows_has_no_slot(self, database: Database) -> None:
        assert not await _take(database, NOW)


async def test_installations_belong_to_no_tenant(database: Database) -> None:
    with pytest.raises(ValueError, match="no tenant"):
        async with database.write() as connection:
            await tenants.save_installation(Scope("o"), connection, installation(), now=NOW)


async def _slot(database: Database) -> datetime | None:
    async with database.read() as connection:
        return await tenants.next_write_at(SYSTEM, connection, 10)


async def _take(database: Database, at: datetime) -> bool:
    async with database.write() as connection:
        return await tenants.reserve_write(SYSTEM, connection, 10, not_before=at, next_at=at + MINUTE)


async def test_an_installation_that_names_no_branch_leaves_the_known_one(database: Database) -> None:
    await _save(database, installation())
    async with database.write() as connection:
        known = RepositoryRef(100, "octo-1/r100", default_branch="develop")
        await tenants.save_repository(SYSTEM, connection, known, 10, now=NOW)

    await _save(database, installation())

    tenant = await _tenant(database)
    assert tenant is not None
    assert tenant.repository.default_branch == "develop"

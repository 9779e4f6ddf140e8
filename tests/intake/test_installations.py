"""Installations that we missed: nothing is believed of them before GitHub has said it."""

from dataclasses import replace

import orjson
import pytest

from bot.db.tenants import Tenant
from bot.domain.values import RepositoryRef
from bot.errors import RetryLater
from bot.intake.installations import Installations
from bot.standin.forge.faults import JSON, Reply
from tests.intake.conftest import REPOSITORY, Hall


@pytest.fixture
def installations(hall: Hall) -> Installations:
    return Installations(hall.database, hall.app, hall.clock)


async def confirmed(hall: Hall, installations: Installations, **changes: object) -> Tenant | None:
    """What GitHub confirms of the event's installation and repository."""
    repository = replace(hall.repository, **changes)  # type: ignore[arg-type]
    return await installations.confirm(hall.installation_id, repository)


async def test_what_github_says_is_kept(hall: Hall, installations: Installations) -> None:
    hall.forge.world.repository(REPOSITORY).is_private = True
    tenant = await confirmed(hall, installations, is_private=False, default_branch="lies")

    assert tenant == await hall.tenant()
    assert tenant is not None
    assert tenant.repository == RepositoryRef(hall.repository.id, REPOSITORY, "main", is_private=True)
    (account,) = await hall.rows("github_accounts")
    assert (account.id, account.login) == (hall.forge.create_user("octo"), "octo")
    (installation,) = await hall.rows("installations")
    assert installation.permissions["issues"] == "write"


async def test_one_that_github_does_not_know_gets_no_token(hall: Hall, installations: Installations) -> None:
    assert await installations.confirm(404, hall.repository) is None
    assert not hall.asked("/access_tokens")
    assert not await hall.rows("installations")


async def test_a_suspended_one_gets_no_token(hall: Hall, installations: Installations) -> None:
    await hall.forge.suspend(hall.installation_id)
    assert await confirmed(hall, installations) is None
    assert not hall.asked("/access_tokens")


async def test_a_repository_of_another_installation_is_not_believed(
    hall: Hall, installations: Installations
) -> None:
    theirs = await hall.forge.create_repository("acme/secret", {}, private=True)
    await hall.forge.install("acme")
    assert await confirmed(hall, installations, id=theirs) is None
    assert await confirmed(hall, installations, id=theirs, full_name="acme/secret") is None
    assert not await hall.rows("repositories")
    assert not await hall.rows("installations")


async def test_a_name_that_is_not_the_ids_is_not_believed(hall: Hall, installations: Installations) -> None:
    await hall.forge.create_repository("octo/other", {})
    assert await confirmed(hall, installations, full_name="octo/other") is None


async def test_a_name_under_which_github_shows_another_id_is_not_believed(
    hall: Hall, installations: Installations
) -> None:
    async with hall.app.lend(hall.installation_id, hall.repository.id, {"metadata": "read"}) as loan:
        await hall.app.repository(REPOSITORY, loan).info()
    shown = orjson.loads(hall.forge.requests[-2].response_body) | {"id": 999}
    answer = Reply(200, orjson.dumps(shown).decode(), JSON)
    hall.forge.faults.add("GET", f"/repos/{REPOSITORY}$", answer)

    assert await confirmed(hall, installations) is None
    assert hall.forge.requests[-2].fault == "Reply"


@pytest.mark.parametrize("path", [r"/app/installations/\d+$", "/access_tokens$", f"/repos/{REPOSITORY}$"])
async def test_a_github_that_is_away_decides_nothing(
    hall: Hall, installations: Installations, path: str
) -> None:
    hall.forge.faults.add("*", path, Reply(502))
    with pytest.raises(RetryLater):
        await confirmed(hall, installations)
    assert not await hall.rows("installations")

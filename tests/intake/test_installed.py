"""Our records follow GitHub's list of installations, and only a whole and sure answer takes anything away."""

import pytest

from bot.db.database import Database
from bot.domain.enums import JobStatus
from bot.errors import RetryLater
from bot.github.listing import Listing
from bot.intake import installed
from bot.intake.installed import Compared, InstalledCheck
from bot.standin.forge.faults import Hang, Reply
from tests.intake.conftest import Hall


@pytest.fixture
def file_database(database: Database) -> Database:
    """The queries are the subject: on both kinds."""
    return database


@pytest.fixture
def check(hall: Hall) -> InstalledCheck:
    return InstalledCheck(hall.database, hall.app, Listing(hall.app, page_size=2), hall.clock)


async def test_an_installation_that_we_missed_is_kept_with_its_repositories(
    hall: Hall, check: InstalledCheck
) -> None:
    assert await check.run_once() == Compared(saved=[hall.installation_id])
    tenant = await hall.tenant()
    assert tenant is not None
    assert tenant.repository.full_name == hall.repository.full_name
    assert await check.run_once() == Compared()


async def test_an_installation_with_many_repositories_is_kept_in_parts(
    hall: Hall, check: InstalledCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(installed, "BATCH", 2)
    names = [f"acme/r{number}" for number in range(5)]
    for name in names:
        await hall.forge.create_repository(name, {})
    await hall.forge.install("acme")
    await check.run_once()
    assert {row.full_name for row in await hall.rows("repositories")} >= set(names)


async def test_a_suspension_and_its_end_are_followed(hall: Hall, check: InstalledCheck) -> None:
    await check.run_once()
    await hall.forge.suspend(hall.installation_id)
    await check.run_once()
    assert await hall.tenant() is None
    await hall.forge.unsuspend(hall.installation_id)
    await check.run_once()
    assert await hall.tenant() is not None


async def test_one_that_is_gone_ends_its_jobs_as_the_event_does(hall: Hall, check: InstalledCheck) -> None:
    await check.run_once()
    assert await hall.apply(hall.start())
    await hall.forge.uninstall(hall.installation_id)

    assert await check.run_once() == Compared(removed=[hall.installation_id])
    (job,) = await hall.rows("agent_jobs")
    assert (job.status, job.error) == (JobStatus.CANCELLED, "the App was uninstalled")
    assert await hall.tenant() is None
    assert await check.run_once() == Compared()


async def test_one_that_is_installed_again_is_served_again(hall: Hall, check: InstalledCheck) -> None:
    await check.run_once()
    await hall.forge.uninstall(hall.installation_id)
    await check.run_once()
    again = await hall.forge.install("octo", [hall.repository.full_name])
    assert await check.run_once() == Compared(saved=[again])


async def test_a_list_that_cannot_be_read_whole_changes_nothing(hall: Hall, check: InstalledCheck) -> None:
    await check.run_once()
    for name in ("acme", "umbrella"):
        await hall.forge.install(name)
    await hall.forge.uninstall(hall.installation_id)
    hall.forge.faults.add("GET", "/app/installations$", Hang(0.0))
    hall.forge.faults.add("GET", "/app/installations$", Reply(502))
    await hall.forge.install("initech")
    with pytest.raises(RetryLater):
        await check.run_once()
    assert await hall.tenant() is not None
    assert len(await hall.rows("installations")) == 1


async def test_one_that_the_list_leaves_out_stays_while_github_knows_it(
    hall: Hall, check: InstalledCheck
) -> None:
    await check.run_once()
    hall.forge.faults.add(
        "GET", "/app/installations$", Reply(200, "[]", {"content-type": "application/json"})
    )
    assert await check.run_once() == Compared()
    assert await hall.tenant() is not None


async def test_one_that_is_suspended_while_we_look_is_left_to_the_next_look(
    hall: Hall, check: InstalledCheck
) -> None:
    hall.forge.faults.add("POST", "/access_tokens$", Reply(403))
    await check.run_once()
    assert not await hall.rows("repositories")

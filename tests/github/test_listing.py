"""Where the App is installed, read as whole lists from a forge."""

import pytest

from bot.errors import Forbidden, RetryLater, Uninstalled
from bot.github.listing import Listing
from bot.standin.forge.faults import Hang, Reply
from tests.github.conftest import REPOSITORY, Hub


async def test_all_installations_are_listed_over_all_pages(hub: Hub) -> None:
    names = [f"org-{number}" for number in range(8)]
    ids = {name: await hub.forge.install(name) for name in names}
    await hub.forge.suspend(ids["org-7"])
    found = await Listing(hub.app, page_size=3).installations()
    assert [one.account_login for one in found] == ["octo", *names]
    assert [one.account_login for one in found if one.is_suspended] == ["org-7"]


async def test_the_repositories_of_an_installation_are_listed_with_a_token_that_is_ended(hub: Hub) -> None:
    (found,) = await Listing(hub.app).repositories(hub.installation_id)
    assert (found.id, found.full_name) == (hub.repository_id, REPOSITORY)
    asked = [one.path for one in hub.forge.requests if one.method == "DELETE"]
    assert asked == ["/installation/token"]


async def test_a_list_whose_second_page_fails_is_no_list(hub: Hub) -> None:
    for number in range(8):
        await hub.forge.install(f"org-{number}")
    hub.forge.faults.add("GET", "/app/installations$", Hang(0.0))
    hub.forge.faults.add("GET", "/app/installations$", Reply(502))
    with pytest.raises(RetryLater):
        await Listing(hub.app, page_size=3).installations()
    assert [one.status for one in hub.forge.requests if one.path == "/app/installations"] == [200, 502]


async def test_a_suspended_installation_and_one_that_is_gone_are_told_apart(hub: Hub) -> None:
    await hub.forge.suspend(hub.installation_id)
    with pytest.raises(Forbidden):
        await Listing(hub.app).repositories(hub.installation_id)
    with pytest.raises(Uninstalled):
        await Listing(hub.app).repositories(999_999)

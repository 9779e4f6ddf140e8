"""Threads of more than one page: a part never passes as the whole, and a look costs one page."""

import asyncio
import json
from datetime import timedelta

import pytest

from bot.errors import RetryLater
from bot.standin.forge.faults import Hang, Reply
from tests.fakes import ManualClock
from tests.github.conftest import REPOSITORY, Hub

JSON = {"Content-Type": "application/json"}


async def test_a_comment_that_moves_to_a_page_that_was_read_already_is_found_all_the_same(hub: Hub) -> None:
    ids = [await hub.forge.comment(REPOSITORY, hub.issue, "maria", f"b{number}") for number in range(150)]
    hub.forge.faults.add("GET", "/comments$", Hang(0.0))
    hub.forge.faults.add("GET", "/comments$", Hang(0.5))

    listing = asyncio.create_task(hub.api.comments(hub.issue))
    await hub.forge.faults.until_hanging()
    await hub.forge.faults.until_hanging()
    await hub.forge.delete_comment(REPOSITORY, ids[0], "maria")

    # The first reading misses the 101st: it stands on the first page by now.
    assert [one.id for one in await listing] == ids[1:]


async def test_a_thread_that_never_stands_still_is_read_later(hub: Hub) -> None:
    for reading in range(4):
        page = [{"id": reading * 1_000 + n, "user": None, "html_url": ""} for n in range(101)]
        following = {"Link": f'<{hub.forge.api_url}/repos/{REPOSITORY}/issues/1/comments?page=2>; rel="next"'}
        hub.forge.faults.add("GET", "/comments$", Reply(200, json.dumps(page[:100]), JSON | following))
        hub.forge.faults.add("GET", "/comments$", Reply(200, json.dumps(page[100:]), JSON))
    with pytest.raises(RetryLater, match="change while they are read"):
        await hub.api.comments(hub.issue)


async def test_a_second_page_that_fails_makes_the_whole_list_fail(hub: Hub) -> None:
    for number in range(101):
        await hub.forge.comment(REPOSITORY, hub.issue, "maria", f"b{number}")
    hub.forge.faults.add("GET", "/comments$", Hang(0.0))
    hub.forge.faults.add("GET", "/comments$", Reply(502))
    with pytest.raises(RetryLater):
        await hub.api.comments(hub.issue)


async def test_the_comments_since_an_instant_cost_one_page_in_a_long_thread(
    hub: Hub, clock: ManualClock
) -> None:
    for number in range(120):
        await hub.forge.comment(REPOSITORY, hub.issue, "maria", f"b{number}")
    clock.advance(3_600)
    made = await hub.api.create_comment(hub.issue, "ours")
    asked = len(hub.forge.requests)
    found = await hub.api.comments(hub.issue, clock.now() - timedelta(minutes=15))
    assert ([one.id for one in found], len(hub.forge.requests) - asked) == ([made.id], 1)

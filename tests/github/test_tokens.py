"""Tokens on loan, against a forge that knows which token each call was made with."""

import asyncio
import json
from contextlib import AsyncExitStack
from datetime import timedelta

import pytest

from bot.errors import Forbidden, RetryLater, Unauthorized, Uninstalled
from bot.github.tokens import RENEW_BEFORE, Loan
from bot.standin.forge.faults import Drop, Reply
from tests.fakes import ManualClock
from tests.github.conftest import REPOSITORY, Hub

READ = {"issues": "read"}
MINT = "/access_tokens"


def minted(hub: Hub) -> int:
    """How many tokens were made since the hub's own."""
    return sum(one.path.endswith(MINT) and one.status == 201 for one in hub.forge.requests)


def revoked(hub: Hub) -> int:
    """How many tokens were given back."""
    return sum((one.method, one.status) == ("DELETE", 204) for one in hub.forge.requests)


async def ask(hub: Hub, loan: Loan) -> None:
    """One call with the token of *loan*."""
    await hub.app.repository(REPOSITORY, loan).issue(hub.issue)


async def test_a_token_is_narrowed_to_one_repository_and_the_named_permissions(hub: Hub) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, {"issues": "write"}) as loan:
        await ask(hub, loan)
        asked = json.loads(next(one for one in hub.forge.requests if one.path.endswith(MINT)).request_body)
        assert asked == {"repository_ids": [hub.repository_id], "permissions": {"issues": "write"}}
        with pytest.raises(Forbidden, match="contents=read"):
            await hub.app.repository(REPOSITORY, loan).file("README.md")


async def test_nothing_is_minted_before_the_first_call_nor_given_back_without_one(hub: Hub) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, READ):
        pass
    assert not hub.forge.requests


async def test_a_hundred_users_at_once_mint_once_and_the_last_of_them_gives_it_back(hub: Hub) -> None:
    async def use() -> None:
        async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
            await ask(hub, loan)

    await asyncio.gather(*(use() for _ in range(100)))

    assert (minted(hub), revoked(hub)) == (1, 1)
    assert hub.forge.requests[-1].method == "DELETE"


async def test_users_of_different_repositories_and_permissions_have_tokens_of_their_own(hub: Hub) -> None:
    other = await hub.forge.create_repository("octo/other", {})
    async with AsyncExitStack() as stack:
        for place, permissions in (
            (hub.repository_id, READ),
            (hub.repository_id, {"contents": "read"}),
            (other, READ),
        ):
            loan = await stack.enter_async_context(hub.app.lend(hub.installation_id, place, permissions))
            await loan.value()
    assert (minted(hub), revoked(hub)) == (3, 3)


async def test_a_token_that_is_alive_and_can_do_more_serves_too(hub: Hub) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, {"issues": "write"}) as wide:
        await ask(hub, wide)
        async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
            await ask(hub, loan)
        assert (minted(hub), revoked(hub)) == (1, 0)
    assert revoked(hub) == 1


async def test_a_write_token_is_never_minted_for_one_who_only_reads(hub: Hub) -> None:
    async with (
        hub.app.lend(hub.installation_id, hub.repository_id, {"issues": "write"}),
        hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan,
    ):
        await ask(hub, loan)
    (made,) = [one for one in hub.forge.requests if one.path.endswith(MINT)]
    assert json.loads(made.request_body)["permissions"] == READ


async def test_a_token_is_renewed_before_its_hour_ends(hub: Hub, clock: ManualClock) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
        first = await loan.value()
        clock.advance(3_600 - RENEW_BEFORE.total_seconds() - 1)
        assert await loan.value() == first
        clock.advance(2)
        await ask(hub, loan)
        assert await loan.value() != first
    assert minted(hub) == 2


async def test_a_job_of_three_hours_never_meets_an_expired_token(hub: Hub, clock: ManualClock) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
        for _ in range(180):
            await ask(hub, loan)
            clock.advance(60)
    assert 401 not in {one.status for one in hub.forge.requests}
    assert minted(hub) == 4


@pytest.mark.parametrize("is_write", [False, True])
async def test_a_token_that_github_no_longer_takes_is_minted_anew_once_and_the_call_repeated(
    hub: Hub, is_write: bool
) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, {"issues": "write"}) as loan:
        hub.forge.world.tokens[await loan.value()].is_revoked = True
        api = hub.app.repository(REPOSITORY, loan)
        if is_write:
            await api.create_comment(hub.issue, "Hello")
        else:
            assert await api.comments(hub.issue) == []
        assert [one.status for one in hub.forge.requests] == [201, 401, 201, 201 if is_write else 200]


async def test_many_who_meet_the_same_dead_token_mint_one_new_one(hub: Hub) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
        hub.forge.world.tokens[await loan.value()].is_revoked = True
        await asyncio.gather(*(ask(hub, loan) for _ in range(20)))
    assert minted(hub) == 2


async def test_a_second_refusal_ends_the_call_in_words(hub: Hub) -> None:
    hub.forge.faults.add("GET", "/issues/", Reply(401), times=None)
    async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
        with pytest.raises(Unauthorized, match="401"):
            await ask(hub, loan)
    assert sum("/issues/" in one.path for one in hub.forge.requests) == 2


async def test_those_who_wait_for_a_token_that_cannot_be_had_hear_why_and_the_next_tries_again(
    hub: Hub,
) -> None:
    hub.forge.faults.add("POST", f"{MINT}$", Reply(503))
    async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
        ends = await asyncio.gather(*(loan.value() for _ in range(10)), return_exceptions=True)
        assert {type(end) for end in ends} == {RetryLater}
        assert len(hub.forge.requests) == 1
        await ask(hub, loan)


async def test_one_who_is_cancelled_while_waiting_takes_the_token_from_nobody(hub: Hub) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
        first = asyncio.create_task(loan.value())
        second = asyncio.create_task(loan.value())
        await asyncio.sleep(0)
        first.cancel()
        assert await second
        await asyncio.gather(first, return_exceptions=True)
    assert (minted(hub), revoked(hub)) == (1, 1)


async def test_all_who_wait_may_be_cancelled_and_what_is_minted_then_is_given_back(hub: Hub) -> None:
    async def use() -> None:
        async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
            await loan.value()

    using = asyncio.create_task(use())
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    using.cancel()
    await asyncio.gather(using, return_exceptions=True)
    assert minted(hub) == revoked(hub)


async def test_at_the_stop_what_is_still_lent_is_given_back(hub: Hub) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
        await loan.value()
        await hub.app.close()
        assert revoked(hub) == 1
        await hub.app.close()
    assert revoked(hub) == 1


async def test_a_connection_that_is_cut_while_giving_back_is_no_error(hub: Hub) -> None:
    hub.forge.faults.add("DELETE", "installation/token", Drop())
    async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
        await loan.value()


async def test_a_suspension_in_the_middle_is_the_last_call(hub: Hub) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
        await ask(hub, loan)
        await hub.forge.suspend(hub.installation_id)
        with pytest.raises(Forbidden, match="suspended"):
            await ask(hub, loan)
        asked = len(hub.forge.requests)
        with pytest.raises(Forbidden):
            await ask(hub, loan)
    with pytest.raises(Forbidden):
        async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
            await loan.value()
    assert len(hub.forge.requests) == asked


async def test_an_uninstalled_app_asks_for_one_more_token_and_for_nothing_after_that(hub: Hub) -> None:
    async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
        await ask(hub, loan)
        await hub.forge.uninstall(hub.installation_id)
        with pytest.raises(Uninstalled):
            await ask(hub, loan)
        asked = [(one.method, one.status) for one in hub.forge.requests]
        # The last one asks whether it is really gone.
        assert asked[-3:] == [("GET", 401), ("POST", 404), ("GET", 404)]
        with pytest.raises(Uninstalled):
            await ask(hub, loan)
    assert len(hub.forge.requests) == len(asked)


async def test_one_odd_refusal_of_a_token_closes_nothing(hub: Hub) -> None:
    for status in (403, 404):
        hub.forge.faults.add("POST", f"{MINT}$", Reply(status))
        async with hub.app.lend(hub.installation_id, hub.repository_id, READ) as loan:
            with pytest.raises(Forbidden):
                await loan.value()
            await ask(hub, loan)


def test_a_renewal_leaves_time_for_the_longest_fetch() -> None:
    assert timedelta(minutes=1) < RENEW_BEFORE < timedelta(minutes=30)

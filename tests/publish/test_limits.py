"""A limit of GitHub, in all five shapes: one worker meets it, all of them are silent, nobody else is."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from itertools import pairwise

import aiohttp
import pytest
from sqlalchemy import select

from bot.db import tables, tenants
from bot.db.limits import NOTE_EVERY_SECONDS, StoredLimits
from bot.domain.enums import OperationKind, OperationState
from bot.domain.values import Scope
from bot.errors import RateLimited, RetryLater
from bot.github.app import GitHubApp
from bot.github.repository import RepositoryApi
from bot.limits import CONTENT_WRITES_PER_HOUR
from bot.publish.outbox import Outbox
from bot.standin.forge.faults import JSON, Hang, Reply
from tests.publish.conftest import REPOSITORY, Desk, make_tenant

both = pytest.mark.parametrize("database_url", ["sqlite", "postgres"], indirect=True)
ROUNDS = 20
WORDS = json.dumps({"message": "You have exceeded a secondary rate limit. Please wait."})
GRAPHQL = json.dumps({"data": None, "errors": [{"type": "RATE_LIMITED", "message": "API rate limit"}]})


def shapes(desk: Desk) -> dict[str, tuple[Reply, float]]:
    """Each shape, and the least number of seconds that it asks us to wait."""
    reset = {"x-ratelimit-limit": "5000", "x-ratelimit-remaining": "0"}
    reset["x-ratelimit-reset"] = str(int(desk.clock.now().timestamp()) + 300)
    return {
        "403 and retry-after": (Reply(403, headers={"retry-after": "45"}), 45.0),
        "429": (Reply(429), 60.0),
        "429 and retry-after": (Reply(429, headers={"retry-after": "7"}), 7.0),
        "403 and a reset": (Reply(403, headers=reset), 299.0),
        "403 and words": (Reply(403, WORDS, JSON), 60.0),
        "200 and GraphQL's word": (Reply(200, GRAPHQL, JSON | reset), 299.0),
        "200 and no header": (Reply(200, GRAPHQL, JSON), 60.0),
    }


@dataclass
class Neighbours:
    """The same installation seen by another worker, and another installation."""

    app: GitHubApp
    same: RepositoryApi
    other: RepositoryApi


@pytest.fixture
async def neighbours(desk: Desk) -> AsyncIterator[Neighbours]:
    other_id = await desk.forge.create_repository("acme/calc", {})
    acme = await desk.forge.install("acme")
    await make_tenant(desk.database, desk.clock, acme, other_id, "acme/calc")
    async with aiohttp.ClientSession() as session, AsyncExitStack() as stack:
        app = GitHubApp(
            api_url=desk.forge.api_url,
            app_id=desk.forge.app_id,
            private_keys=[desk.forge.private_key],
            session=session,
            clock=desk.clock,
            limits=StoredLimits(desk.database, desk.clock),
        )
        here = (desk.tenant.installation_id, desk.tenant.repository.id)
        same = await stack.enter_async_context(app.lend(*here, {"issues": "write"}))
        other = await stack.enter_async_context(app.lend(acme, other_id, {"issues": "write"}))
        yield Neighbours(app, app.repository(REPOSITORY, same), app.repository("acme/calc", other))


@pytest.mark.parametrize("shape", range(7))
async def test_a_limit_silences_every_worker_for_that_installation_and_for_no_other(
    desk: Desk, neighbours: Neighbours, shape: int
) -> None:
    elsewhere = await desk.forge.open_issue("acme/calc", "ann", "Sums")
    for _ in range(ROUNDS):
        await desk.api.comments(desk.issue)
        await neighbours.same.comments(desk.issue)
        reply, least_seconds = list(shapes(desk).values())[shape]
        desk.forge.faults.add("GET", "/comments$", reply)
        with pytest.raises(RateLimited) as caught:
            await desk.api.comments(desk.issue)
        wait_seconds = caught.value.after_seconds
        assert wait_seconds is not None and wait_seconds >= least_seconds

        asked = len(desk.forge.requests)
        for passed_seconds in (0.0, wait_seconds - 1.0):
            desk.clock.advance(passed_seconds)
            for api in (desk.api, neighbours.same):
                with pytest.raises(RateLimited):
                    await api.comments(desk.issue)
        assert len(desk.forge.requests) == asked

        await neighbours.other.comments(elsewhere)
        assert len(desk.forge.requests) > asked
        desk.clock.advance(1.0)
        await neighbours.same.comments(desk.issue)
        desk.clock.advance(7_200)  # The next limit is no repetition of this one.


@both
async def test_a_limit_that_repeats_without_a_word_on_its_length_is_waited_for_ever_longer(
    desk: Desk,
) -> None:
    waits = []
    for _ in range(8):
        desk.forge.faults.add("GET", "/issues/", Reply(429))
        with pytest.raises(RateLimited) as caught:
            await desk.api.issue(desk.issue)
        waits.append(caught.value.after_seconds)
        desk.clock.advance(waits[-1] or 0.0)
    assert waits == [60.0, 120.0, 240.0, 480.0, 960.0, 1920.0, 3840.0, 3900.0]


async def test_answers_to_calls_that_were_on_their_way_prolong_nothing(desk: Desk) -> None:
    limits = StoredLimits(desk.database, desk.clock)
    assert [await limits.limited(5, None) for _ in range(5)] == [60.0] * 5
    assert await limits.limited(5, 10.0) == 60.0
    assert await limits.limited(5, 100.0) == 100.0


async def test_a_limit_while_writing_leaves_the_write_open_and_is_not_destructive(
    desk: Desk, neighbours: Neighbours
) -> None:
    outbox = Outbox(desk.database, neighbours.app, desk.publisher, desk.clock, 5.0)
    payload = {"number": desk.issue, "comment_id": None}
    for number, content in enumerate(("eyes", "rocket", "heart")):
        await desk.freeze(
            OperationKind.REACTION, payload | {"content": content}, key=f"k{number}", sequence=-1
        )
    desk.forge.faults.add("POST", "/reactions$", Reply(403, headers={"retry-after": "50"}))

    await outbox.run_once()

    assert len(desk.asked("POST", "/reactions")) == 1
    states = [(await desk.operation(f"k{number}")).state for number in range(3)]
    assert states == [OperationState.SENT, OperationState.INTENT, OperationState.INTENT]
    desk.clock.advance(51.0)
    await outbox.run_once()
    assert [one.content for one in desk.thread.reactions] == ["eyes", "rocket", "heart"]


async def test_a_limit_on_the_apps_own_calls_is_one_of_its_own(desk: Desk, neighbours: Neighbours) -> None:
    await neighbours.same.info()
    desk.forge.faults.add("GET", "/app$", Reply(429, headers={"retry-after": "50"}))
    with pytest.raises(RateLimited):
        await desk.app.check()
    asked = len(desk.forge.requests)
    with pytest.raises(RateLimited):
        await neighbours.app.installation(desk.tenant.installation_id)
    assert len(desk.forge.requests) == asked
    await neighbours.same.info()


async def test_a_file_that_speaks_of_limits_limits_nothing(desk: Desk) -> None:
    await desk.forge.commit(REPOSITORY, "main", {"a.json": GRAPHQL}, "maria", "A trap")
    assert await desk.api.file("a.json") == GRAPHQL.encode()
    await desk.api.info()


@both
async def test_what_is_left_of_the_hour_is_kept_now_and_then(desk: Desk) -> None:
    columns = tables.installations.c

    async def left() -> int | None:
        async with desk.database.read() as connection:
            found: int | None = await connection.scalar(select(columns.rate_remaining))
        return found

    desk.clock.advance(NOTE_EVERY_SECONDS)
    await desk.api.info()
    first = await left()
    assert first == 5000 - len(desk.forge.requests)
    await desk.api.info()
    assert await left() == first
    desk.clock.advance(NOTE_EVERY_SECONDS)
    await desk.api.info()
    assert await left() == 5000 - len(desk.forge.requests)
    async with desk.database.read() as connection:
        row = (await connection.execute(select(columns.rate_limit, columns.rate_reset_at))).one()
    assert (row.rate_limit, row.rate_reset_at > desk.clock.now()) == (5000, True)


async def test_a_hundred_writes_for_one_repository_are_a_second_apart(desk: Desk) -> None:
    outbox = Outbox(desk.database, desk.app, desk.publisher, desk.clock, 5.0)
    threads = [await desk.forge.open_issue(REPOSITORY, "maria", "A dog") for _ in range(20)]
    for number in range(100):
        payload = {"number": threads[number % 20], "body": f"b{number}"}
        await desk.freeze(OperationKind.COMMENT, payload, key=f"k{number}", sequence=-1)
    while await outbox.run_once():
        pass
    times = [one.at for one in desk.asked("POST", "/comments")]
    assert len(times) == 100
    assert min(second - first for first, second in pairwise(times)) >= 1.0
    assert max(sum(0 <= one - start < 60 for one in times) for start in times) <= 80


async def test_the_hours_content_is_never_exceeded(desk: Desk) -> None:
    narrow = replace(desk.publisher, pace=replace(desk.publisher.pace, content_per_hour=3))
    assert desk.publisher.pace.content_per_hour == CONTENT_WRITES_PER_HOUR == 500
    for number in range(4):
        payload = {"number": desk.issue, "body": f"b{number}"}
        await desk.freeze(OperationKind.COMMENT, payload, key=f"k{number}", sequence=-1)
    outbox = Outbox(desk.database, desk.app, narrow, desk.clock, 5.0)
    await outbox.run_once()
    assert len(desk.thread.comments) == 3
    with pytest.raises(RetryLater, match="within the hour") as caught:
        await narrow.perform(await desk.operation("k3"), desk.api, _Own())
    assert caught.value.after_seconds is not None and caught.value.after_seconds > 3_000
    desk.clock.advance(caught.value.after_seconds + 1)
    await outbox.run_once()
    assert len(desk.thread.comments) == 4


class _Own:
    """A lease that is always ours."""

    fence = 0

    async def hold(self, seconds: float) -> None:
        """Nothing can be lost."""


async def test_an_installation_whose_calls_hang_holds_up_no_other(desk: Desk, neighbours: Neighbours) -> None:
    await neighbours.other.info()
    issue = await desk.forge.open_issue("acme/calc", "ann", "Sums")
    payload = {"number": desk.issue, "comment_id": None, "content": "eyes"}
    await desk.freeze(OperationKind.REACTION, payload, key="slow", sequence=-1)
    acme = next(one for one in desk.forge.world.installations.values() if one.account.login == "acme")
    found = desk.forge.world.repository("acme/calc")
    async with desk.database.read() as connection:
        tenant = await tenants.tenant_of(Scope.system(), connection, acme.id, found.id)
    assert tenant is not None
    other = replace(desk, tenant=tenant)
    await other.freeze(OperationKind.REACTION, payload | {"number": issue}, key="quick", sequence=-1)
    desk.forge.faults.add("POST", f"/repos/{REPOSITORY}/issues/.*/reactions$", Hang())

    outbox = Outbox(desk.database, desk.app, desk.publisher, desk.clock, 5.0)
    sending = asyncio.create_task(outbox.run_once())
    await desk.forge.faults.until_hanging()
    for _ in range(10_000):
        if (await other.operation("quick")).state is OperationState.DONE:
            break
    assert (await desk.operation("slow")).state is OperationState.SENT
    desk.forge.faults.clear()
    await sending
    assert len(found.threads[issue].reactions) == 1

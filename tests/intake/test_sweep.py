"""The sweep against a forge: what was missed comes in once, in order, whatever is in the way."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select, update

from bot.db.database import Database
from bot.db.limits import StoredLimits
from bot.db.tables import deliveries
from bot.domain.enums import DeliverySource, DeliveryState
from bot.domain.values import Json
from bot.errors import RateLimited, RetryLater
from bot.github.app import GitHubApp
from bot.github.log import Attempt, DeliveryLog
from bot.handlers.router import is_handled
from bot.intake.inbox import Inbox
from bot.intake.sweep import FIRST_RETRY_SECONDS, KEPT, MAX_TRIES, Later, Mark, Sweep, Swept
from bot.standin.forge.faults import Reply
from bot.standin.forge.forge import Forge
from tests.fakes import ManualClock

REPOSITORY = "octo/pets"
PAYLOAD = r"/app/hook/deliveries/\d+$"


@dataclass
class Post:
    """A forge whose webhooks reach nobody, and the sweep that looks for them."""

    forge: Forge
    app: GitHubApp
    database: Database
    inbox: Inbox
    clock: ManualClock
    number: int
    state: Json = field(default_factory=dict)
    max_pages: int = 300
    page_size: int = 100
    skew: timedelta = timedelta(0)

    async def miss(self, count: int, *, every_seconds: float = 1.0) -> None:
        """People write *count* comments; nobody takes their deliveries."""
        for number in range(count):
            await self.forge.comment(REPOSITORY, self.number, "maria", f"comment {number} – ünï")
            self.clock.advance(every_seconds)
        await self.forge.settle()

    async def sweep(self) -> Swept:
        """One turn of the chore."""

        async def keep(state: Json) -> None:
            self.state = state

        made = Sweep(
            database=self.database,
            log=DeliveryLog(self.app, self.page_size),
            store=self.inbox.store,
            is_handled=is_handled,
            clock=ManualClock(self.clock.now() + self.skew),
            app_id=self.forge.app_id,
            max_pages=self.max_pages,
        )
        return await made.run(self.state, keep)

    async def rows(self) -> list[Any]:
        """All deliveries in the order of their dispatch."""
        statement = select(deliveries).order_by(deliveries.c.received_at, deliveries.c.id)
        async with self.database.read() as connection:
            return list((await connection.execute(statement)).all())

    def asked(self) -> int:
        """How many pages of the log were read so far."""
        return sum(one.path == "/app/hook/deliveries" for one in self.forge.requests)

    def sent(self) -> list[str]:
        """The GUIDs of the comments' events, each once, in their order."""
        return list(dict.fromkeys(one.guid for one in self.forge.deliveries if one.event == "issue_comment"))


@pytest.fixture
async def post(forge: Forge, database: Database, clock: ManualClock) -> AsyncIterator[Post]:
    await forge.create_repository(REPOSITORY, {})
    forge.set_permission(REPOSITORY, "maria", "write")
    await forge.install("octo", [REPOSITORY])
    number = await forge.open_issue(REPOSITORY, "maria", "The dog meows", "It should bark.")
    forge.set_webhook("http://127.0.0.1:1/nobody", "a secret that nobody here knows")
    inbox = Inbox(database)
    async with aiohttp.ClientSession() as session:
        app = GitHubApp(
            api_url=forge.api_url,
            app_id=forge.app_id,
            private_keys=[forge.private_key],
            session=session,
            clock=clock,
            limits=StoredLimits(database, clock),
        )
        yield Post(forge, app, database, inbox, clock, number)
    await inbox.close()


async def test_after_an_outage_200_of_200_are_taken_in_and_a_second_sweep_takes_none(post: Post) -> None:
    await post.miss(200)

    assert (await post.sweep()).taken == 200
    assert [row.guid for row in await post.rows()] == post.sent()
    assert {row.state for row in await post.rows()} == {DeliveryState.RECEIVED}
    assert (await post.sweep()).taken == 0
    assert len(await post.rows()) == 200


async def test_what_is_swept_stands_as_a_webhook_would_but_for_its_source(post: Post) -> None:
    await post.miss(1)
    await post.sweep()

    (row,), sent = await post.rows(), post.forge.deliveries[-1]
    assert row.payload == sent.payload
    assert (row.event, row.action, row.guid) == ("issue_comment", "created", sent.guid)
    assert (row.target_type, row.target_id) == ("integration", str(post.forge.app_id))
    assert (row.repository, row.number, row.sender) == (REPOSITORY, post.number, "maria")
    assert row.installation_id == sent.installation_id
    assert row.source is DeliverySource.SWEEP


async def test_what_came_by_webhook_is_not_fetched_again(post: Post) -> None:
    await post.miss(2)
    await post.sweep()
    post.state = {}
    assert (await post.sweep()).taken == 0
    assert sum("/app/hook/deliveries/" in one.path for one in post.forge.requests) == 2


async def test_several_attempts_at_one_event_are_one_delivery(post: Post) -> None:
    await post.miss(3)
    for _ in range(2):
        post.forge.redeliver_failed()
        await post.forge.settle()

    assert (await post.sweep()).taken == 3
    assert [row.guid for row in await post.rows()] == post.sent()


async def test_events_that_concern_nobody_here_are_left_in_the_log(post: Post) -> None:
    await post.forge.edit_issue(REPOSITORY, post.number, "maria", title="Another title")
    await post.forge.settle()
    assert [one.action for one in post.forge.deliveries] == ["edited"]
    assert (await post.sweep()).taken == 0
    assert not await post.rows()


async def test_a_later_sweep_reads_one_page(post: Post) -> None:
    post.page_size = 4
    await post.miss(10, every_seconds=1_200)
    await post.sweep()
    await post.miss(2)
    before = post.asked()
    assert (await post.sweep()).taken == 2
    assert post.asked() - before == 1


async def test_after_a_long_pause_three_days_are_read_and_no_more(post: Post) -> None:
    await post.miss(1)
    await post.sweep()
    await post.miss(1)
    post.clock.advance(KEPT.total_seconds() - 60)
    await post.miss(1)
    assert (await post.sweep()).taken == 2
    await post.miss(1)
    post.clock.advance(KEPT.total_seconds() + 60)
    assert (await post.sweep()).taken == 0


async def test_one_delivery_that_is_gone_stops_no_other_and_is_not_asked_for_again(post: Post) -> None:
    await post.miss(4)
    post.forge.faults.add("GET", PAYLOAD, Reply(404))

    swept = await post.sweep()
    assert (swept.taken, swept.given_up) == (3, 1)
    failed = (await post.rows())[0]
    assert failed.state is DeliveryState.FAILED
    assert failed.guid == post.sent()[0]
    assert "404" in failed.error
    assert failed.payload is None
    swept = await post.sweep()
    assert (swept.taken, swept.given_up) == (0, 0)


async def test_a_failed_one_is_fetched_again_when_github_delivered_it_again(post: Post) -> None:
    await post.miss(1)
    await post.sweep()
    async with post.database.write() as connection:
        await connection.execute(update(deliveries).values(state=DeliveryState.FAILED, payload=None))
    assert (await post.sweep()).taken == 0
    post.clock.advance(5)
    post.forge.redeliver_failed()
    await post.forge.settle()

    assert (await post.sweep()).taken == 1
    (row,) = await post.rows()
    assert row.state is DeliveryState.RECEIVED
    assert row.payload is not None


async def test_one_whose_answer_is_broken_is_tried_again_later_each_time_and_then_given_up(
    post: Post,
) -> None:
    await post.miss(2)
    broken = next(one for one in post.forge.deliveries if one.event == "issue_comment")
    post.forge.faults.add("GET", f"/app/hook/deliveries/{broken.id}$", Reply(500), times=None)

    assert (await post.sweep()).taken == 1
    tries = 1
    assert (await post.sweep()).later[0].tries == tries
    while len(await post.rows()) < 2:
        post.clock.advance(FIRST_RETRY_SECONDS * 2.0 ** (tries - 1))
        await post.sweep()
        tries += 1
    assert tries == MAX_TRIES
    assert {row.state for row in await post.rows()} == {DeliveryState.RECEIVED, DeliveryState.FAILED}


async def test_a_row_of_broken_ones_does_not_hold_the_others_up_for_ever(post: Post) -> None:
    await post.miss(8)
    for broken in post.forge.deliveries[:5]:
        post.forge.faults.add("GET", f"/app/hook/deliveries/{broken.id}$", Reply(500), times=None)

    with pytest.raises(RetryLater):
        await post.sweep()
    assert (await post.sweep()).taken == 3


@pytest.mark.parametrize("answer", [Reply(503), Reply(429, headers={"retry-after": "60"})])
async def test_an_outage_in_mid_sweep_loses_nothing(post: Post, answer: Reply) -> None:
    await post.miss(6)
    post.forge.faults.add("GET", PAYLOAD, Reply(200, is_after=True), times=0)
    await post.sweep()
    await post.miss(6)
    post.forge.faults.add("GET", PAYLOAD, answer, times=None)
    with pytest.raises(RateLimited if answer.status == 429 else RetryLater):
        await post.sweep()
    post.forge.faults.clear()
    post.clock.advance(60)

    assert (await post.sweep()).taken == 6
    assert [row.guid for row in await post.rows()][:6] == post.sent()[:6]
    assert sorted(row.guid for row in await post.rows()) == sorted(post.sent())


async def test_a_log_that_is_too_long_for_one_turn_is_read_on_in_the_next(post: Post) -> None:
    post.max_pages, post.page_size = 2, 3
    await post.miss(15, every_seconds=1_200)
    taken = [(await post.sweep()).taken for _ in range(4)]
    assert taken == [6, 6, 3, 0]
    assert sorted(row.guid for row in await post.rows()) == sorted(post.sent())


async def test_where_the_place_in_a_long_log_is_gone_the_new_is_read_all_the_same(post: Post) -> None:
    post.max_pages, post.page_size = 1, 3
    await post.miss(5, every_seconds=1_200)
    await post.sweep()
    post.state["older"] = f"{post.forge.api_url}/app/hook/deliveries?per_page=100&cursor=gone"
    await post.miss(1)
    assert (await post.sweep()).taken == 1
    assert post.state["older"] is None


@pytest.mark.parametrize("hours", [1, -1])
async def test_a_clock_of_ours_that_jumps_by_an_hour_loses_nothing(post: Post, hours: int) -> None:
    await post.miss(2)
    await post.sweep()
    post.skew = timedelta(hours=hours)
    await post.miss(1)
    assert (await post.sweep()).taken == 1
    post.skew = timedelta(0)
    await post.miss(1)
    assert (await post.sweep()).taken == 1
    assert (await post.sweep()).taken == 0


def test_what_is_noted_for_later_is_read_as_it_was_written(clock: ManualClock) -> None:
    attempt = Attempt(7, "guid", "issues", None, clock.now(), is_redelivery=False)
    later = Later(attempt, 3, clock.now() + timedelta(seconds=9))
    mark = Mark(clock.now(), (later,), "https://api/…", clock.now() - KEPT)
    assert Mark.from_json(mark.to_json()) == mark
    assert Mark.from_json({}) == Mark()

"""The App's log of deliveries, read from a forge."""

import pytest

from bot.errors import NotFound, RetryLater
from bot.github.log import DeliveryLog
from bot.standin.forge.faults import Reply
from tests.github.conftest import REPOSITORY, Hub


async def fill(hub: Hub, count: int) -> None:
    """*count* deliveries that nobody took."""
    hub.forge.set_webhook("http://127.0.0.1:1/nobody", "a secret that nobody knows")
    for number in range(count):
        await hub.forge.comment(REPOSITORY, hub.issue, "maria", f"comment {number} – ünï")
    await hub.forge.settle()


async def test_attempts_come_newest_first_page_after_page(hub: Hub) -> None:
    await fill(hub, 5)
    log = DeliveryLog(hub.app, page_size=3)
    newest = await log.page()
    assert newest.older is not None
    rest = await log.page(newest.older)
    assert rest.older is None
    ids = [one.id for one in (*newest.attempts, *rest.attempts)]
    assert ids == [one.id for one in reversed(hub.forge.deliveries)]
    assert {(one.event, one.action) for one in newest.attempts} == {("issue_comment", "created")}


async def test_a_redelivery_is_another_attempt_under_the_same_guid(hub: Hub) -> None:
    await fill(hub, 1)
    hub.forge.redeliver_failed()
    await hub.forge.settle()
    again, first = (await DeliveryLog(hub.app).page()).attempts
    assert again.guid == first.guid
    assert (again.is_redelivery, first.is_redelivery) == (True, False)


async def test_the_payload_is_the_object_that_was_sent(hub: Hub) -> None:
    await fill(hub, 1)
    log = DeliveryLog(hub.app)
    (attempt,) = (await log.page()).attempts
    payload = await log.payload(attempt.id)
    assert payload["comment"]["body"] == "comment 0 – ünï"


async def test_an_entry_that_github_no_longer_has_is_not_found(hub: Hub) -> None:
    with pytest.raises(NotFound):
        await DeliveryLog(hub.app).payload(12345)


@pytest.mark.parametrize(
    "body",
    ['[{"id": "x"}]', '[{"id": 1, "guid": "g", "event": "e", "delivered_at": "soon"}]'],
)
async def test_a_page_of_another_shape_is_no_answer(hub: Hub, body: str) -> None:
    hub.forge.faults.add(
        "GET", "/app/hook/deliveries$", Reply(200, body, {"content-type": "application/json"})
    )
    with pytest.raises(RetryLater):
        await DeliveryLog(hub.app).page()


async def test_a_payload_that_is_no_object_is_no_answer(hub: Hub) -> None:
    await fill(hub, 1)
    log = DeliveryLog(hub.app)
    (attempt,) = (await log.page()).attempts
    answer = '{"request": {"payload": "text"}}'
    hub.forge.faults.add("GET", "/deliveries/", Reply(200, answer, {"content-type": "application/json"}))
    with pytest.raises(RetryLater):
        await log.payload(attempt.id)

"""Deliveries: stored once, whatever comes twice and at once."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from bot.db import backlog, deliveries, delivery_log
from bot.db.database import Database
from bot.db.deliveries import Accepted, IncomingDelivery
from bot.db.delivery_log import DeliveryFilter
from bot.db.tables import deliveries as table
from bot.domain.enums import DeliveryState
from bot.domain.values import Scope
from tests.db.rows import MINUTE, NOW, SYSTEM, count, stored

DELIVERY = IncomingDelivery(
    target_type="integration",
    target_id="5",
    guid="g-1",
    event="issues",
    action="labeled",
    digest="d-1",
    payload=b'{"action":"labeled"}',
    installation_id=10,
    received_at=NOW,
    state=DeliveryState.RECEIVED,
)
REDELIVERY = replace(DELIVERY, received_at=NOW + MINUTE)


async def _finish(
    database: Database, delivery_id: str, state: DeliveryState, error: str | None = None
) -> bool:
    async with database.write() as connection:
        return await deliveries.finish(SYSTEM, connection, delivery_id, state, now=NOW, error=error)


async def _waiting(
    database: Database, *, minutes: int = 0, limit: int = 10
) -> list[deliveries.StoredDelivery]:
    now = NOW + minutes * MINUTE
    async with database.write() as connection:
        found = await backlog.take(SYSTEM, connection, now=now, until=now + MINUTE, limit=limit)
        await backlog.release(SYSTEM, connection, [one.id for one in found])
    return found


async def test_a_new_delivery_waits_with_its_payload(database: Database) -> None:
    accepted = await stored(database, DELIVERY)
    assert accepted == Accepted(accepted.delivery_id, is_new=True, state=DeliveryState.RECEIVED)
    assert await _waiting(database) == [
        deliveries.StoredDelivery(
            accepted.delivery_id, "issues", "labeled", b'{"action":"labeled"}', 0, NOW, 10
        )
    ]


@pytest.mark.parametrize(
    "again",
    [
        replace(DELIVERY, digest="d-2"),
        replace(DELIVERY, guid="g-2"),
        replace(DELIVERY, guid="g-2", target_id="6", event="ping"),
    ],
    ids=["same guid", "same body", "same body for another target"],
)
async def test_what_came_before_is_found_and_not_stored_again(
    database: Database, again: IncomingDelivery
) -> None:
    first = await stored(database, DELIVERY)
    assert await stored(database, again) == replace(first, is_new=False)
    assert await count(database, table) == 1


async def test_the_same_guid_for_another_target_is_another_delivery(database: Database) -> None:
    await stored(database, DELIVERY)
    assert (await stored(database, replace(DELIVERY, target_id="6", digest="d-2"))).is_new


@pytest.mark.parametrize("state", [DeliveryState.DISPATCHED, DeliveryState.IGNORED])
async def test_a_delivery_that_is_done_stays_done(database: Database, state: DeliveryState) -> None:
    first = await stored(database, DELIVERY)
    await _finish(database, first.delivery_id, state)
    assert await stored(database, REDELIVERY) == Accepted(first.delivery_id, is_new=False, state=state)
    assert await _waiting(database, minutes=1) == []


async def test_a_delivery_that_failed_gets_through_again(database: Database) -> None:
    first = await stored(database, DELIVERY)
    async with database.write() as connection:
        await deliveries.postpone(SYSTEM, connection, first.delivery_id, wake_at=NOW, error="no")
    await _finish(database, first.delivery_id, DeliveryState.FAILED, "no")
    assert await stored(database, REDELIVERY) == first
    [waiting] = await _waiting(database)
    assert (waiting.id, waiting.attempts, waiting.payload) == (first.delivery_id, 0, DELIVERY.payload)


async def test_a_failed_delivery_is_not_taken_up_by_one_that_nobody_handles(database: Database) -> None:
    first = await stored(database, DELIVERY)
    await _finish(database, first.delivery_id, DeliveryState.FAILED, "no")
    ignored = replace(REDELIVERY, event="unheard_of", payload=None, state=DeliveryState.IGNORED)
    assert await stored(database, ignored) == Accepted(
        first.delivery_id, is_new=False, state=DeliveryState.FAILED
    )


async def test_a_hundred_at_once_with_one_guid_make_one_row(database: Database) -> None:
    accepted = await asyncio.gather(*(stored(database, DELIVERY) for _ in range(100)))
    assert sum(one.is_new for one in accepted) == 1
    assert len({one.delivery_id for one in accepted}) == 1
    assert await count(database, table) == 1


async def test_a_hundred_at_once_with_one_body_make_one_row(database: Database) -> None:
    fresh = [replace(DELIVERY, guid=f"g-{number}") for number in range(100)]
    accepted = await asyncio.gather(*(stored(database, one) for one in fresh))
    assert sum(one.is_new for one in accepted) == 1
    assert await count(database, table) == 1


async def test_of_two_that_repeat_a_failed_one_at_once_only_one_is_new(database: Database) -> None:
    first = await stored(database, DELIVERY)
    await _finish(database, first.delivery_id, DeliveryState.FAILED, "no")

    both = await asyncio.gather(stored(database, REDELIVERY), stored(database, REDELIVERY))
    assert sorted(one.is_new for one in both) == [False, True]
    assert {one.state for one in both} == {DeliveryState.RECEIVED}


async def test_the_oldest_come_first_and_no_more_than_asked_for(database: Database) -> None:
    for number in (3, 1, 2):
        await stored(
            database,
            replace(DELIVERY, guid=f"g{number}", digest=f"d{number}", event=f"e{number}",
                    received_at=NOW + timedelta(seconds=number)),
        )  # fmt: skip
    assert [one.event for one in await _waiting(database, limit=2)] == ["e1", "e2"]


async def test_a_postponed_delivery_waits_until_its_time_and_counts_the_attempt(database: Database) -> None:
    first = await stored(database, DELIVERY)
    async with database.write() as connection:
        await deliveries.postpone(
            SYSTEM, connection, first.delivery_id, wake_at=NOW + MINUTE, error="GitHub is away"
        )
    assert await _waiting(database) == []
    [waiting] = await _waiting(database, minutes=1)
    assert waiting.attempts == 1


async def test_only_the_first_to_finish_a_delivery_has_done_it(database: Database) -> None:
    first = await stored(database, DELIVERY)
    assert await _finish(database, first.delivery_id, DeliveryState.DISPATCHED)
    assert not await _finish(database, first.delivery_id, DeliveryState.FAILED, "late")


async def test_an_ignored_delivery_loses_its_payload_and_keeps_its_digest(database: Database) -> None:
    first = await stored(database, DELIVERY)
    await _finish(database, first.delivery_id, DeliveryState.IGNORED)
    async with database.read() as connection:
        row = (await connection.execute(select(table))).one()
    assert (row.payload, row.digest, row.dispatched_at) == (None, "d-1", NOW)


async def test_a_failed_delivery_keeps_its_payload_and_says_why(database: Database) -> None:
    first = await stored(database, DELIVERY)
    await _finish(database, first.delivery_id, DeliveryState.FAILED, "no such repository")
    async with database.read() as connection:
        row = (await connection.execute(select(table))).one()
    assert (row.payload, row.error) == (DELIVERY.payload, "no such repository")


async def test_deliveries_belong_to_no_tenant(database: Database) -> None:
    with pytest.raises(ValueError, match="no tenant"):
        async with database.read() as connection:
            await backlog.take(Scope("o1"), connection, now=NOW, until=NOW, limit=1)


async def test_a_list_since_a_time_has_what_came_anew_since_then(database: Database) -> None:
    """It goes by the id, which one that failed keeps when GitHub sends it again."""
    day = timedelta(days=1)
    first = await stored(database, replace(DELIVERY, received_at=NOW - 3 * day))
    for days in (2, 30):
        old = replace(DELIVERY, guid=f"g{days}", digest=f"d{days}", received_at=NOW - days * day)
        await stored(database, old)
    await _finish(database, first.delivery_id, DeliveryState.FAILED, "no")
    await stored(database, REDELIVERY)
    for since, found in ((NOW - day, 1), (NOW - 2 * day, 2), (datetime.min.replace(tzinfo=UTC), 3)):
        async with database.read() as connection:
            lines = await delivery_log.recent(SYSTEM, connection, DeliveryFilter(since=since))
        assert len(lines) == found
        assert first.delivery_id in [line.id for line in lines]


WITHOUT_BODY = replace(
    DELIVERY,
    digest=deliveries.stand_in_digest(DELIVERY.target_id, DELIVERY.guid),
    payload=None,
    installation_id=None,
    state=DeliveryState.FAILED,
)
TOLD = replace(REDELIVERY, repository="o/r", number=7, sender="mona")


async def test_one_that_came_without_its_body_takes_over_all_that_its_body_tells(database: Database) -> None:
    first = await stored(database, WITHOUT_BODY)
    assert await stored(database, TOLD) == replace(first, state=DeliveryState.RECEIVED)
    [waiting] = await _waiting(database, minutes=1)
    assert (waiting.installation_id, waiting.repository, waiting.number) == (10, "o/r", 7)
    # The same body under another name is known from now on.
    again = replace(TOLD, guid="g-2")
    assert await stored(database, again) == Accepted(
        first.delivery_id, is_new=False, state=DeliveryState.RECEIVED
    )


async def test_a_digest_that_another_delivery_has_stays_with_it(database: Database) -> None:
    first = await stored(database, WITHOUT_BODY)
    other = await stored(database, replace(DELIVERY, guid="g-2", received_at=NOW + MINUTE))
    assert (
        await stored(database, replace(TOLD, received_at=NOW + 2 * MINUTE))
    ).delivery_id == first.delivery_id
    async with database.read() as connection:
        rows = (await connection.execute(select(table).order_by(table.c.received_at))).all()
    assert [row.id for row in rows] == [other.delivery_id, first.delivery_id]
    assert [row.digest for row in rows] == [DELIVERY.digest, WITHOUT_BODY.digest]
    assert (rows[1].payload, rows[1].number) == (DELIVERY.payload, 7)


async def test_a_digest_of_a_body_is_never_forgotten(database: Database) -> None:
    """The sweep writes a body in its own form; what was sent first stays known, under whatever name."""
    first = await stored(database, replace(DELIVERY, number=3))
    await _finish(database, first.delivery_id, DeliveryState.FAILED, "no")
    assert (await stored(database, replace(REDELIVERY, digest="d-2"))).is_new
    [waiting] = await _waiting(database, minutes=1)
    assert waiting.number == 3
    assert not (await stored(database, replace(DELIVERY, guid="g-9"))).is_new

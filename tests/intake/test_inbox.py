"""The inbox: what it returned for is committed, and what fails leaves nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert

from bot.db import deliveries as queries
from bot.db import retention
from bot.db.database import Database
from bot.db.deliveries import PART_BYTES, Accepted
from bot.db.tables import deliveries, delivery_parts
from bot.domain.enums import DeliveryState
from bot.errors import RetryLater
from bot.intake.inbox import RETRY_AFTER_SECONDS, Inbox
from tests.db.rows import MINUTE, NOW, SYSTEM, count, drop_due, stored
from tests.db.test_deliveries import DELIVERY


@pytest.fixture
async def inbox(database: Database) -> AsyncIterator[Inbox]:
    opened = Inbox(database)
    yield opened
    await opened.close()


async def test_what_was_stored_is_there_for_another_connection(inbox: Inbox, database_url: str) -> None:
    accepted = await inbox.store(DELIVERY)
    other = Database(database_url)
    assert await count(other, deliveries) == 1
    await other.close()
    assert (accepted.is_new, accepted.state) == (True, DeliveryState.RECEIVED)


async def test_a_hundred_at_once_are_one_delivery(inbox: Inbox) -> None:
    fresh = [replace(DELIVERY, guid=f"g-{number}") for number in range(50)]
    accepted = await asyncio.gather(*(inbox.store(one) for one in [DELIVERY] * 50 + fresh))
    assert sum(one.is_new for one in accepted) == 1
    assert len({one.delivery_id for one in accepted}) == 1


async def test_fifty_different_ones_at_once_are_all_kept(inbox: Inbox, database: Database) -> None:
    different = [replace(DELIVERY, guid=f"g-{number}", digest=f"d-{number}") for number in range(50)]
    accepted = await asyncio.gather(*(inbox.store(one) for one in different))
    assert all(one.is_new for one in accepted)
    assert await count(database, deliveries) == 50


async def test_an_ignored_one_is_stored_without_its_payload(inbox: Inbox) -> None:
    ignored = replace(DELIVERY, payload=None, state=DeliveryState.IGNORED)
    assert (await inbox.store(ignored)).state is DeliveryState.IGNORED


async def test_what_cannot_be_stored_leaves_nothing_and_is_asked_for_again(
    inbox: Inbox, database: Database
) -> None:
    broken = replace(DELIVERY, event=None)  # type: ignore[arg-type]  # a bug of the caller
    with pytest.raises(RetryLater, match="IntegrityError") as raised:
        await inbox.store(broken)
    assert raised.value.after_seconds == RETRY_AFTER_SECONDS
    assert await count(database, deliveries) == 0


async def test_a_database_that_is_away_is_asked_again_later(tmp_path: Path) -> None:
    away = Database(f"postgresql+asyncpg://postgres@/postgres?host={tmp_path}")
    with pytest.raises(RetryLater):
        await stored(away, DELIVERY)
    await away.close()


async def test_the_log_says_under_which_id_a_delivery_stands_and_nothing_of_its_body(
    inbox: Inbox, capsys: pytest.CaptureFixture[str]
) -> None:
    accepted = await inbox.store(DELIVERY)
    await inbox.close()
    told = "".join(capsys.readouterr())
    assert f"{DELIVERY.guid} {accepted.delivery_id} issues" in told
    assert str(DELIVERY.payload) not in told


async def test_a_large_body_comes_back_as_it_was(inbox: Inbox, database: Database) -> None:
    large = bytes(range(256)) * 4 * 1024 + b"the end"
    accepted = await inbox.store(replace(DELIVERY, payload=large))
    async with database.read() as connection:
        assert await queries.body(SYSTEM, connection, accepted.delivery_id) == large
        assert await queries.body(SYSTEM, connection, "nobody's") is None
    again = await inbox.store(replace(DELIVERY, payload=large, guid="g-2"))
    assert again == replace(accepted, is_new=False)
    assert await count(database, delivery_parts) == 5


async def test_a_large_body_that_comes_twice_at_once_is_kept_once(inbox: Inbox, database: Database) -> None:
    large = replace(DELIVERY, payload=b"x" * 3 * PART_BYTES)
    both = await asyncio.gather(inbox.store(large), inbox.store(replace(large, guid="g-2")))
    assert sorted(one.is_new for one in both) == [False, True]
    assert (await count(database, deliveries), await count(database, delivery_parts)) == (1, 3)


async def test_a_failed_large_delivery_gets_its_body_anew(inbox: Inbox, database: Database) -> None:
    large = replace(DELIVERY, payload=b"x" * 3 * PART_BYTES)
    first = await inbox.store(large)
    async with database.write() as connection:
        await queries.finish(SYSTEM, connection, first.delivery_id, DeliveryState.FAILED, now=NOW)
    due = retention.old_bodies(SYSTEM, before=NOW + MINUTE)
    assert [await drop_due(database, due) for _ in range(2)] == [1, 0]
    async with database.read() as connection:
        assert await queries.body(SYSTEM, connection, first.delivery_id) is None
    assert await count(database, delivery_parts) == 0
    assert await inbox.store(large) == first
    async with database.read() as connection:
        assert await queries.body(SYSTEM, connection, first.delivery_id) == large.payload


async def test_parts_without_a_delivery_are_dropped_after_a_while(inbox: Inbox, database: Database) -> None:
    await inbox.store(replace(DELIVERY, payload=b"x" * 2 * PART_BYTES))
    async with database.write() as connection:
        lost = {"delivery_id": "lost", "number": 0, "content": b"x", "created_at": NOW}
        await connection.execute(insert(delivery_parts), lost)
    assert await drop_due(database, retention.orphaned_parts(SYSTEM, before=NOW)) == 0
    assert await drop_due(database, retention.orphaned_parts(SYSTEM, before=NOW + MINUTE)) == 1
    assert await count(database, delivery_parts) == 2


async def test_one_that_the_database_refuses_does_not_harm_its_neighbours(
    inbox: Inbox, database: Database
) -> None:
    different = [replace(DELIVERY, guid=f"g-{number}", digest=f"d-{number}") for number in range(20)]
    different[7] = replace(different[7], event=None)  # type: ignore[arg-type]  # a bug of the caller
    outcomes = await asyncio.gather(*(inbox.store(one) for one in different), return_exceptions=True)
    assert [number for number, one in enumerate(outcomes) if isinstance(one, RetryLater)] == [7]
    assert await count(database, deliveries) == 19


async def test_a_caller_who_gives_up_disturbs_nobody(inbox: Inbox, database: Database) -> None:
    different = [replace(DELIVERY, guid=f"g-{number}", digest=f"d-{number}") for number in range(20)]
    storing = [asyncio.create_task(inbox.store(one)) for one in different]
    await asyncio.sleep(0)
    for task in storing[::2]:
        task.cancel()
    outcomes = await asyncio.gather(*storing, return_exceptions=True)
    assert all(isinstance(one, Accepted) for one in outcomes[1::2])
    await inbox.close()
    # Who gave up was told that it was not stored, and it is not.
    assert await count(database, deliveries) == 10


async def test_a_thousand_equal_ones_in_parallel_make_one_row(inbox: Inbox, database: Database) -> None:
    same = [DELIVERY] * 500 + [replace(DELIVERY, guid=f"g-{number}") for number in range(500)]
    accepted = await asyncio.gather(*(inbox.store(one) for one in same))
    assert sum(one.is_new for one in accepted) == 1
    assert len({one.delivery_id for one in accepted}) == 1
    assert await count(database, deliveries) == 1

"""The inbox: what it returned for is committed, and what fails leaves nothing."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from bot.db.database import Database
from bot.db.tables import deliveries
from bot.domain.enums import DeliveryState
from bot.errors import RetryLater
from bot.intake.inbox import RETRY_AFTER_SECONDS, Inbox
from tests.db.rows import count, stored
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

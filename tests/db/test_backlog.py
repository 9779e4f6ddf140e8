"""Which deliveries are dispatched next."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, text, update

from bot.db import backlog, deliveries, tables
from bot.db.backlog import MAX_BLOCKING_ATTEMPTS
from bot.db.database import Database
from bot.db.deliveries import IncomingDelivery, StoredDelivery
from bot.domain.enums import DeliveryState
from bot.domain.values import Scope
from tests.db.rows import NOW, stored

SYSTEM = Scope.system()
SECOND = timedelta(seconds=1)


def delivery(second: int, *, installation: int | None = 1, number: int | None = None) -> IncomingDelivery:
    return IncomingDelivery(
        target_type="integration",
        target_id="1",
        guid=f"g{second}",
        event=f"e{second}",
        action=None,
        digest=f"d{second}",
        payload=b"{}",
        installation_id=installation,
        received_at=NOW + second * SECOND,
        state=DeliveryState.RECEIVED,
        repository=f"o/r{installation}",
        number=number,
    )


async def take(database: Database, limit: int = 10, *, minutes: int = 1) -> list[StoredDelivery]:
    now = NOW + timedelta(minutes=minutes)
    async with database.write() as connection:
        return await backlog.take(SYSTEM, connection, now=now, until=now + SECOND, limit=limit)


def names(found: list[StoredDelivery]) -> list[str]:
    return [one.event for one in found]


async def test_an_installation_that_floods_us_waits_for_the_others(database: Database) -> None:
    for second in range(5):
        await stored(database, delivery(second, installation=1))
    await stored(database, delivery(5, installation=2))
    await stored(database, delivery(6, installation=3))
    assert names(await take(database, 4)) == ["e0", "e5", "e6", "e1"]


async def test_whoever_was_served_last_goes_last(database: Database) -> None:
    for installation in (1, 2, 3, None):
        await stored(database, delivery(installation or 9, installation=installation))
    async with database.write() as connection:
        served: dict[int | None, int] = {1: 4, None: 3, 2: 7, 3: 0}
        found = await backlog.take(SYSTEM, connection, now=NOW, until=NOW, limit=9, served=served.__getitem__)
    assert names(found) == ["e3", "e9", "e1", "e2"]


async def test_one_installation_gets_no_more_than_there_is_room_for(database: Database) -> None:
    for second in range(6):
        await stored(database, delivery(second, installation=1 + second % 2))
    async with database.write() as connection:
        room: dict[int | None, int] = {1: 0, 2: 2}
        found = await backlog.take(SYSTEM, connection, now=NOW, until=NOW, limit=9, room=room.__getitem__)
    assert names(found) == ["e1", "e3"]


async def test_however_much_an_installation_has_put_off_no_other_waits_for_it(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its window is full of what GitHub's limit put off until tomorrow."""
    monkeypatch.setattr(backlog, "WINDOW", 3)
    monkeypatch.setattr(backlog, "_HEADS", backlog._heads_of_many())
    for second in range(5):
        await stored(database, delivery(second, installation=1))
    async with database.write() as connection:
        await connection.execute(update(tables.deliveries).values(wake_at=NOW + timedelta(days=1)))
    await stored(database, delivery(5, installation=2))
    assert names(await take(database)) == ["e5"]


async def test_the_way_to_the_next_one_goes_by_the_index_of_those_that_wait(database: Database) -> None:
    first = await stored(database, delivery(0))
    for second in range(1, 20):
        await stored(database, delivery(second, installation=1 + second % 3))
    explain = "EXPLAIN QUERY PLAN " if database.is_sqlite else "EXPLAIN "

    def ask_for_the_plan(*call: Any) -> tuple[str, Any]:
        return explain + call[2], call[3]

    asked = {"now": NOW, "without": [], "most": 3, "firsts": [first.delivery_id]}
    async with database.write() as connection:
        if not database.is_sqlite:
            await connection.execute(text("SET LOCAL enable_seqscan TO off"))
        event.listen(database.engine.sync_engine, "before_cursor_execute", ask_for_the_plan, retval=True)
        plans = [
            [tuple(row) for row in (await connection.execute(statement, values)).cursor.fetchall()]
            for statement, values in (
                (backlog._FIRSTS, {}),
                (backlog._HEADS, asked),
                (backlog._HEADS_OF_NONE, asked),
            )
        ]
    for plan in plans:
        assert "deliveries_waiting_idx" in str(plan)


async def test_that_nothing_is_due_takes_few_statements_to_see_however_many_wait(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What holds up each thread is put off; what waits behind it is not."""
    monkeypatch.setattr(backlog, "FEW", 2)
    for installation in range(1, 31):
        for place in range(2):
            await stored(database, delivery(100 * installation + place, installation=installation, number=7))
    first = tables.deliveries.c.event.like("e%00")
    async with database.write() as connection:
        put_off = update(tables.deliveries).where(first).values(wake_at=NOW + timedelta(days=1))
        await connection.execute(put_off)
    asked: list[str] = []

    def keep(*call: Any) -> None:
        asked.append(call[2])

    event.listen(database.engine.sync_engine, "before_cursor_execute", keep)
    assert await take(database) == []
    event.remove(database.engine.sync_engine, "before_cursor_execute", keep)
    # On Postgres two more settle whose turn it is.
    assert 3 <= len([one for one in asked if "deliveries" in one]) <= 4
    await stored(database, delivery(9_000, installation=25, number=8))
    assert names(await take(database, minutes=60)) == ["e9000"]
    assert names(await take(database, minutes=60 * 25, limit=99))[:3] == ["e100", "e200", "e300"]


async def test_only_the_first_of_a_thread_is_given_out(database: Database) -> None:
    for second in range(3):
        await stored(database, delivery(second, number=7))
    await stored(database, delivery(3, number=8))
    assert names(await take(database)) == ["e0", "e3"]


async def test_one_that_waits_holds_up_the_later_ones_of_its_thread(database: Database) -> None:
    first = await stored(database, delivery(0, number=7))
    await stored(database, delivery(1, number=7))
    await _postpone(database, first.delivery_id, minutes=5)
    assert await take(database) == []
    assert names(await take(database, minutes=6)) == ["e0"]


async def test_one_that_failed_often_holds_up_nobody(database: Database) -> None:
    first = await stored(database, delivery(0, number=7))
    await stored(database, delivery(1, number=7))
    for _ in range(MAX_BLOCKING_ATTEMPTS):
        await _postpone(database, first.delivery_id, minutes=5)
    assert names(await take(database)) == ["e1"]


async def test_what_has_no_number_is_a_thread_of_its_own(database: Database) -> None:
    for second in range(3):
        await stored(database, delivery(second))
    assert names(await take(database)) == ["e0", "e1", "e2"]


async def test_what_one_worker_took_no_other_gets_for_a_while(database: Database) -> None:
    await stored(database, replace(delivery(0), number=3))
    (mine,) = await take(database)
    others = await take(database)
    # On SQLite two workers may do the same; `finish` lets one of them be the one.
    assert others == ([mine] if database.is_sqlite else [])
    assert names(await take(database, minutes=2)) == ["e0"]


async def test_what_is_given_back_can_be_taken_at_once(database: Database) -> None:
    await stored(database, delivery(0))
    (mine,) = await take(database)
    async with database.write() as connection:
        await backlog.release(SYSTEM, connection, [mine.id])
    assert names(await take(database)) == ["e0"]


async def test_what_ended_is_not_given_back(database: Database) -> None:
    await stored(database, delivery(0))
    (mine,) = await take(database)
    async with database.write() as connection:
        await deliveries.finish(SYSTEM, connection, mine.id, DeliveryState.DISPATCHED, now=NOW)
        await backlog.release(SYSTEM, connection, [mine.id])
    assert await take(database, minutes=9) == []


async def _postpone(database: Database, delivery_id: str, *, minutes: int) -> None:
    until = NOW + timedelta(minutes=minutes)
    async with database.write() as connection:
        await deliveries.postpone(SYSTEM, connection, delivery_id, wake_at=until, error="GitHub is away")

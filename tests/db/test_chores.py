"""Chores as rows: one turn at a time, fenced by its owner, due by a clock that may jump."""

from datetime import timedelta

import pytest

from bot.db import chores
from bot.db.chores import ChoreTurn
from bot.db.database import Database
from bot.errors import LeaseLost
from tests.db.rows import LEASE, MINUTE, NOW, SYSTEM, overlap

HOUR = timedelta(hours=1)


async def _enroll(database: Database) -> None:
    async with database.write() as connection:
        await chores.enroll(SYSTEM, connection, "sweep", now=NOW)


async def _claim(database: Database, owner: str, *, at: timedelta = timedelta(0)) -> ChoreTurn | None:
    async with database.write() as connection:
        return await chores.claim(SYSTEM, connection, "sweep", owner, now=NOW + at, lease=LEASE)


async def _turn(database: Database, owner: str = "a") -> ChoreTurn:
    await _enroll(database)
    turn = await _claim(database, owner)
    assert turn is not None
    return turn


async def _end(database: Database, turn: ChoreTurn, *, at: timedelta = timedelta(0)) -> None:
    async with database.write() as connection:
        await chores.end(SYSTEM, connection, turn, wake_at=NOW + at + 5 * MINUTE, now=NOW + at)


async def test_a_chore_is_due_at_once_and_enrolling_again_changes_nothing(database: Database) -> None:
    turn = await _turn(database)
    await _enroll(database)
    assert turn == ChoreTurn("sweep", "a", 0, {})
    assert await _claim(database, "b") is None


async def test_two_workers_that_claim_at_one_time_get_one_turn(database: Database) -> None:
    await _enroll(database)
    turns = await overlap(
        database,
        lambda connection: chores.claim(SYSTEM, connection, "sweep", "a", now=NOW, lease=LEASE),
        lambda connection: chores.claim(SYSTEM, connection, "sweep", "b", now=NOW, lease=LEASE),
    )
    assert [turn.owner if turn else None for turn in turns] == ["a", None]


async def test_what_a_turn_writes_down_is_there_for_the_next(database: Database) -> None:
    turn = await _turn(database)
    async with database.write() as connection:
        await chores.keep(SYSTEM, connection, turn, {"seen": 7}, now=NOW)
    await _end(database, turn)
    assert await _claim(database, "b", at=4 * MINUTE) is None
    following = await _claim(database, "b", at=5 * MINUTE)
    assert following is not None
    assert following.state == {"seen": 7}


async def test_an_owner_that_froze_is_fenced_out_of_every_write(database: Database) -> None:
    frozen = await _turn(database)
    assert await _claim(database, "b", at=LEASE) is not None
    later = NOW + LEASE
    async with database.write() as connection:
        with pytest.raises(LeaseLost):
            await chores.keep(SYSTEM, connection, frozen, {"seen": 1}, now=later)
        with pytest.raises(LeaseLost):
            await chores.end(SYSTEM, connection, frozen, wake_at=later, now=later)
        with pytest.raises(LeaseLost):
            await chores.fail(SYSTEM, connection, frozen, "late", wake_at=later, now=later)
        with pytest.raises(LeaseLost):
            await chores.give_back(SYSTEM, connection, frozen, now=later)


async def test_an_owner_whose_time_is_over_writes_nothing_though_nobody_took_the_turn(
    database: Database,
) -> None:
    turn = await _turn(database)
    async with database.write() as connection:
        with pytest.raises(LeaseLost):
            await chores.keep(SYSTEM, connection, turn, {"seen": 1}, now=NOW + LEASE)


async def test_failures_are_counted_with_their_words_until_a_turn_goes_well(database: Database) -> None:
    turn = await _turn(database)
    async with database.write() as connection:
        await chores.fail(SYSTEM, connection, turn, "GitHub is away", wake_at=NOW + MINUTE, now=NOW)
    again = await _claim(database, "a", at=MINUTE)
    assert again is not None
    assert again.failures == 1
    async with database.read() as connection:
        (found,) = await chores.facts(SYSTEM, connection)
    assert (found.error, found.failures) == ("GitHub is away", 1)
    await _end(database, again, at=MINUTE)
    async with database.read() as connection:
        (found,) = await chores.facts(SYSTEM, connection)
    assert (found.error, found.failures, found.ended_at) == (None, 0, NOW + MINUTE)


async def test_a_turn_that_fails_leaves_the_time_at_which_the_chore_last_went_well(
    database: Database,
) -> None:
    await _end(database, await _turn(database))
    turn = await _claim(database, "b", at=5 * MINUTE)
    assert turn is not None
    later = NOW + 5 * MINUTE
    async with database.write() as connection:
        await chores.fail(SYSTEM, connection, turn, "GitHub is away", wake_at=later, now=later)
        (found,) = await chores.facts(SYSTEM, connection)
    assert (found.failures, found.ended_at) == (1, NOW)


async def test_a_worker_that_stops_lets_the_next_one_begin_at_once(database: Database) -> None:
    turn = await _turn(database)
    async with database.write() as connection:
        await chores.give_back(SYSTEM, connection, turn, now=NOW)
    assert await _claim(database, "b") is not None


@pytest.mark.parametrize("has_ended", [True, False])
async def test_a_clock_set_back_by_an_hour_holds_no_chore_up(database: Database, has_ended: bool) -> None:
    turn = await _turn(database)
    if has_ended:
        await _end(database, turn)
    assert await _claim(database, "b", at=-HOUR) is not None


async def test_a_clock_set_forward_by_an_hour_makes_the_chore_due_and_fences_its_owner(
    database: Database,
) -> None:
    turn = await _turn(database)
    assert await _claim(database, "b", at=HOUR) is not None
    async with database.write() as connection:
        with pytest.raises(LeaseLost):
            await chores.keep(SYSTEM, connection, turn, {}, now=NOW + HOUR)


async def test_the_time_of_the_next_turn_is_known_and_a_chore_without_row_has_none(
    database: Database,
) -> None:
    async with database.read() as connection:
        assert await chores.wake_at(SYSTEM, connection, "sweep") is None
    turn = await _turn(database)
    async with database.read() as connection:
        assert await chores.wake_at(SYSTEM, connection, "sweep") == NOW + LEASE
    await _end(database, turn)
    async with database.read() as connection:
        assert await chores.wake_at(SYSTEM, connection, "sweep") == NOW + 5 * MINUTE

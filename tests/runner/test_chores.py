"""Chores at work: whatever a chore does, the runner goes on, and says what happened."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import update

from bot.db import chores, upkeep_tables
from bot.db.chores import ChoreFacts
from bot.db.database import Database
from bot.domain.values import Scope
from bot.errors import RateLimited, RetryLater
from bot.runner.chores import FIRST_RETRY_SECONDS, Chore, ChoreRunner, Turn
from tests.fakes import ManualClock
from tests.runner.stands import ShakyDatabase

EVERY_SECONDS = 60.0


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


def make_chore(work: Callable[[Turn], Awaitable[None]], *, limit_seconds: float = 30.0) -> Chore:
    return Chore("tidy", EVERY_SECONDS, limit_seconds, work)


async def stands(database: Database) -> ChoreFacts:
    async with database.read() as connection:
        (found,) = await chores.facts(Scope.system(), connection)
    return found


def waits_seconds(found: ChoreFacts, clock: ManualClock) -> float:
    return (found.wake_at - clock.now()).total_seconds()


async def test_a_chore_runs_at_the_start_and_again_after_its_interval(
    database: Database, clock: ManualClock
) -> None:
    states = []

    async def count(turn: Turn) -> None:
        states.append(turn.state)
        await turn.keep({"turns": len(states)})

    runner = ChoreRunner(database, clock, "w1")
    assert await runner.seconds_until(make_chore(count)) < 1
    assert await runner.turn(make_chore(count))
    assert not await runner.turn(make_chore(count))
    assert await runner.seconds_until(make_chore(count)) == EVERY_SECONDS
    clock.advance(EVERY_SECONDS)
    assert await runner.turn(make_chore(count))
    assert states == [{}, {"turns": 1}]


async def test_a_chore_that_fails_keeps_its_words_and_is_tried_again_later_each_time(
    database: Database, clock: ManualClock
) -> None:
    async def fail(_: Turn) -> None:
        raise RetryLater("GitHub cannot be reached")

    runner, waits = ChoreRunner(database, clock, "w1"), []
    for _ in range(6):
        assert await runner.turn(make_chore(fail))
        waits.append(waits_seconds(await stands(database), clock))
        clock.advance(waits[-1])
    assert waits == [5.0, 10.0, 20.0, 40.0, 60.0, 60.0]
    found = await stands(database)
    assert (found.error, found.failures) == ("GitHub cannot be reached", 6)


async def test_a_chore_that_failed_for_months_is_still_tried(database: Database, clock: ManualClock) -> None:
    async def fail(_: Turn) -> None:
        raise RetryLater("GitHub cannot be reached")

    runner = ChoreRunner(database, clock, "w1")
    await runner.turn(make_chore(fail))
    async with database.write() as connection:
        await connection.execute(update(upkeep_tables.chores).values(failures=2_000, wake_at=clock.now()))
    assert await runner.turn(make_chore(fail))
    assert waits_seconds(await stands(database), clock) == EVERY_SECONDS


async def test_a_limit_of_github_is_waited_for(database: Database, clock: ManualClock) -> None:
    async def fail(_: Turn) -> None:
        raise RateLimited("slow down", after_seconds=1_800)

    await ChoreRunner(database, clock, "w1").turn(make_chore(fail))
    assert waits_seconds(await stands(database), clock) == 1_800


async def test_a_bug_in_a_chore_is_kept_without_its_words_and_comes_not_through(
    database: Database, clock: ManualClock
) -> None:
    async def crash(_: Turn) -> None:
        raise RuntimeError("somebody's secret text")

    assert await ChoreRunner(database, clock, "w1").turn(make_chore(crash))
    assert (await stands(database)).error == "RuntimeError in our own code"


async def test_a_chore_that_hangs_is_ended_and_what_it_kept_stays(
    database: Database, clock: ManualClock
) -> None:
    async def hang(turn: Turn) -> None:
        await turn.keep({"page": 3})
        await asyncio.Event().wait()

    await ChoreRunner(database, clock, "w1").turn(make_chore(hang, limit_seconds=0.05))
    assert (await stands(database)).error == "it took longer than 0.05 s"
    clock.advance(FIRST_RETRY_SECONDS)
    states = []

    async def look(turn: Turn) -> None:
        states.append(turn.state)

    await ChoreRunner(database, clock, "w2").turn(make_chore(look))
    assert states == [{"page": 3}]


@pytest.mark.parametrize("end", [None, RetryLater("too late")])
async def test_a_worker_that_froze_in_mid_turn_changes_nothing_when_it_wakes(
    database: Database, clock: ManualClock, end: Exception | None
) -> None:
    async def overtaken(_: Turn) -> None:
        clock.advance(100)

        async def other(turn: Turn) -> None:
            await turn.keep({"by": "w2"})

        assert await ChoreRunner(database, clock, "w2").turn(make_chore(other))
        if end is not None:
            raise end

    async def late(turn: Turn) -> None:
        await overtaken(turn)
        await turn.keep({"by": "w1"})

    await ChoreRunner(database, clock, "w1").turn(make_chore(overtaken))
    clock.advance(EVERY_SECONDS)
    await ChoreRunner(database, clock, "w1").turn(make_chore(late))
    found = await stands(database)
    assert (found.error, found.failures, waits_seconds(found, clock)) == (None, 0, EVERY_SECONDS)


async def test_a_worker_that_stops_in_mid_turn_gives_it_back(database: Database, clock: ManualClock) -> None:
    began = asyncio.Event()

    async def hang(_: Turn) -> None:
        began.set()
        await asyncio.Event().wait()

    async def look(_: Turn) -> None:
        began.clear()

    task = asyncio.create_task(ChoreRunner(database, clock, "w1").turn(make_chore(hang)))
    await began.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    assert await ChoreRunner(database, clock, "w2").turn(make_chore(look))
    assert not began.is_set()


async def test_a_stop_while_the_database_is_away_ends_all_the_same(
    database_url: str, clock: ManualClock
) -> None:
    database, began = ShakyDatabase(database_url), asyncio.Event()

    async def hang(_: Turn) -> None:
        began.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(ChoreRunner(database, clock, "w1").turn(make_chore(hang)))
    await began.wait()
    database.is_away = True
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert task.cancelled()
    await database.close()


async def test_a_worker_goes_through_its_chores_and_is_woken_after_each_turn(
    database: Database, clock: ManualClock
) -> None:
    woken: list[float] = []

    async def work(_: Turn) -> None:
        clock.advance(1.0)

    runner = ChoreRunner(database, clock, "w1", (make_chore(work),))
    (once,) = runner.loops(lambda: woken.append(clock.monotonic()))
    for _ in range(3):
        await once()
    assert woken == [1.0, 2.0 + EVERY_SECONDS, 3.0 + 2 * EVERY_SECONDS]
    assert clock.slept == [EVERY_SECONDS] * 3

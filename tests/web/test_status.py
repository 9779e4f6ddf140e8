"""What the health page learns from a real database, and from one that is away."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from bot.db import chores, migrate, pauses, workers
from bot.db.database import Database
from bot.db.workers import WorkerReport
from bot.domain.enums import PauseKind, Tier
from bot.domain.values import Scope
from bot.web.status import DatabaseStatus
from tests.fakes import ManualClock


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    url = f"sqlite+aiosqlite:///{tmp_path / 'test.db'}"
    await migrate.upgrade(url)
    made = Database(url)
    yield made
    await made.close()


def report(name: str, clock: ManualClock, silent_seconds: float) -> WorkerReport:
    """A heartbeat, *silent_seconds* ago."""
    then = clock.now() - timedelta(seconds=silent_seconds)
    return WorkerReport(
        name, "host", 1, "0.1.0", Tier.NONE, "no bwrap", "ok", then, None, None, 0, then, then
    )


async def test_the_facts_are_those_of_the_workers_that_live(database: Database, clock: ManualClock) -> None:
    async with database.write() as connection:
        for name, silent_seconds in (("new", 5.0), ("old", 31.0)):
            await workers.beat(Scope.system(), connection, report(name, clock, silent_seconds))
    status = DatabaseStatus(database, clock, worker_silence_seconds=30)
    assert await status.is_ready()
    facts = await status.facts()
    assert facts is not None
    (worker,) = facts.workers
    assert (worker.sandbox_tier, worker.sandbox_reason) == (Tier.NONE, "no bwrap")
    assert (worker.model_word, worker.github_word) == ("ok", None)
    assert (facts.pending, facts.running, facts.failed_last_hour) == (0, 0, 0)
    assert dict(facts.queue) == {"admitted": 0, "deliveries": 0}
    assert (facts.paused, facts.chores) == ((), ())


async def test_the_facts_tell_the_queues_trouble_and_what_is_paused(
    database: Database, clock: ManualClock
) -> None:
    said = replace(report("new", clock, 1.0), concurrency=5, queue_word="Redis is full", queue_at=clock.now())
    async with database.write() as connection:
        await workers.beat(Scope.system(), connection, said)
        repository = (Scope.system(), connection, PauseKind.REPOSITORY, "42")
        await pauses.pause(*repository, reason="a freeze", now=clock.now())
    facts = await DatabaseStatus(database, clock, worker_silence_seconds=30).facts()
    assert facts is not None
    assert [worker.queue_word for worker in facts.workers] == ["Redis is full"]
    assert facts.paused == (PauseKind.REPOSITORY,)


async def test_the_facts_tell_how_each_chore_stands(database: Database, clock: ManualClock) -> None:
    now, scope = clock.now(), Scope.system()
    async with database.write() as connection:
        await chores.enroll(scope, connection, "sweep", now=now)
        turn = await chores.claim(scope, connection, "sweep", "a", now=now, lease=timedelta(seconds=30))
        assert turn is not None
        await chores.fail(scope, connection, turn, "GitHub is away", wake_at=now, now=now)
    facts = await DatabaseStatus(database, clock, worker_silence_seconds=30).facts()
    assert facts is not None
    assert [(chore.name, chore.failures) for chore in facts.chores] == [("sweep", 1)]


async def test_a_database_that_is_away_is_told_and_never_raised(clock: ManualClock) -> None:
    database = Database("postgresql+asyncpg://me@127.0.0.1:1/x")
    status = DatabaseStatus(database, clock, worker_silence_seconds=30)
    assert not await status.is_ready()
    assert await status.facts() is None
    await database.close()


async def test_a_database_that_says_nothing_is_not_waited_for(clock: ManualClock) -> None:
    callers: list[asyncio.StreamWriter] = []
    silent = await asyncio.start_server(lambda _, writer: callers.append(writer), "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    database = Database(f"postgresql+asyncpg://me@127.0.0.1:{port}/x")
    status = DatabaseStatus(database, clock, worker_silence_seconds=30, timeout_seconds=0.05)
    assert not await status.is_ready()
    assert await status.facts() is None
    await database.close()
    silent.close()
    for caller in callers:
        caller.close()
        await caller.wait_closed()

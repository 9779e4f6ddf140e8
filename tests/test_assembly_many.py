"""The worker's parts where many work together: Postgres rings, and Redis carries where there is one."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace

import pytest

from bot.assembly import assembled
from bot.config import Secret, Settings
from bot.db.bell import ring
from bot.db.database import Database
from bot.errors import ConfigError
from bot.queue.inprocess import InProcessEngine
from bot.queue.redis import RedisEngine
from bot.standin import sample
from bot.standin.forge.forge import Forge
from tests.postgres import Postgres
from tests.test_assembly import WAIT_SECONDS, forge, model, pass_on, rows, settings
from tests.valkey import Valkey

__all__ = ["forge", "model", "settings"]  # fixtures
NEVER_SECONDS = 3600.0


async def test_without_redis_jobs_are_carried_in_memory(settings: Settings) -> None:
    async with assembled(settings, None, network={}) as worker:
        assert isinstance(worker.engine, InProcessEngine)
        assert worker.database_bell is None, "SQLite has no bell"


async def test_with_redis_all_workers_share_its_queue(settings: Settings, valkey: Valkey) -> None:
    made = replace(settings, redis_url=Secret(valkey.url))
    async with assembled(made, None, network={}) as worker:
        assert isinstance(worker.engine, RedisEngine)


async def test_a_redis_url_that_its_client_does_not_know_is_told_before_work_begins(
    settings: Settings,
) -> None:
    made = replace(settings, redis_url=Secret("redis://:a-secret@127.0.0.1:1/0?colour=blue"))
    with pytest.raises(ConfigError, match="REDIS_URL") as refused:
        async with assembled(made, None, network={}):
            pass
    assert "a-secret" not in str(refused.value)


@pytest.fixture
def on_postgres(settings: Settings, postgres: Postgres) -> Iterator[Settings]:
    """A worker's settings on Postgres; it never looks by itself."""
    with postgres.emptied() as url:
        yield replace(settings, database_url=url, poll_seconds=NEVER_SECONDS)


@pytest.mark.parametrize("has_redis", [False, True], ids=["in memory", "on Redis"])
async def test_what_any_process_commits_to_postgres_wakes_a_worker_at_once(
    on_postgres: Settings, forge: Forge, valkey: Valkey, has_redis: bool
) -> None:
    made = replace(on_postgres, redis_url=Secret(valkey.url)) if has_redis else on_postgres
    stop = asyncio.Event()
    async with assembled(made, None, network={}) as worker:
        working = asyncio.create_task(worker.run(stop))
        async with asyncio.timeout(WAIT_SECONDS):
            while not await rows(made, "workers"):  # noqa: ASYNC110 - a row is looked at
                await asyncio.sleep(0.02)
            await asyncio.sleep(0.5)  # whatever its start has woken is over by then
            number = await forge.open_issue(sample.REPOSITORY, sample.PERSON, sample.TITLE, sample.BODY)
            await forge.add_label(sample.REPOSITORY, number, sample.LABEL, sample.PERSON)
            await pass_on(made, forge)
            database = Database(made.database_url)
            async with database.write() as connection:
                await ring(connection)
            await database.close()
            while not any(row.started_at for row in await rows(made, "agent_jobs")):
                assert not working.done(), "the worker has ended"
                await asyncio.sleep(0.05)
        stop.set()
        await working

"""Workers on Redis: whatever is done to it, each job ends once, and nobody restarts anything."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from bullmq import Job, Queue
from sqlalchemy import select

from bot.db import pauses, tables
from bot.domain.clock import SystemClock
from bot.domain.enums import Cause, JobStatus, PauseKind
from bot.domain.ids import new_id
from bot.domain.values import Scope
from bot.queue.redis import RedisEngine
from bot.runner.serving import BY_QUEUE, NO_SUCH_JOB
from tests.queue.conftest import LONG, SHORT, members, until
from tests.runner.conftest import ANSWER, LEASE_SECONDS, Stack, World
from tests.runner.shop import WAIT_SECONDS, Shop, at_work, job_ids
from tests.valkey import Valkey


def engine_on(valkey: Valkey, name: str = "worker-1", **changes: Any) -> RedisEngine:
    waits = changes.pop("waits", LONG)
    return RedisEngine(valkey.url, name=name, concurrency=2, waits=waits, clock=SystemClock())


@pytest.fixture
async def shop(world: World, stack: Stack, valkey: Valkey) -> AsyncIterator[Shop]:
    """A worker on Redis, with a model that says that nothing is to be done."""
    world.model.turns[:] = ANSWER
    async with at_work(world, stack, engine=engine_on(valkey)) as shop:
        yield shop


@asynccontextmanager
async def board(valkey: Valkey) -> AsyncIterator[Queue]:
    """What a person with bull-board can do."""
    queue = Queue("issuewright", {"connection": f"{valkey.url}&socket_timeout=30"})
    try:
        yield queue
    finally:
        await queue.close()


def hold_the_model(world: World) -> tuple[asyncio.Event, asyncio.Event]:
    """The model waits: an event that it was asked, and one to let it answer."""
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def wait() -> None:
        asked.set()
        await may_answer.wait()

    world.model.on_ask = wait
    return asked, may_answer


async def let_a_lease_pass(world: World) -> None:
    """So that what was admitted and forgotten is admitted again, by workers that go on saying they live."""
    world.clock.advance(LEASE_SECONDS + 1)
    await world.clock.until_somebody_waits()
    world.clock.tick()


async def has_status(world: World, job_id: str, *states: JobStatus) -> bool:
    return (await world.facts(job_id)).status in states


async def until_completed(world: World, shop: Shop, job_id: str) -> None:
    """Ring until the job has ended well."""
    async with asyncio.timeout(WAIT_SECONDS):
        while not await has_status(world, job_id, JobStatus.COMPLETED):
            shop.bell.ring()
            await asyncio.sleep(0.05)


async def test_a_job_comes_to_its_end_and_redis_shows_it(world: World, shop: Shop, valkey: Valkey) -> None:
    job_id = await world.submit()
    assert await shop.until_ended(job_id) is Cause.NO_CHANGE_NEEDED
    await until(lambda: members(valkey, "completed") == [job_id])
    assert len(world.said(job_id)) == 1


async def test_a_job_that_failed_is_told_in_its_own_words(world: World, stack: Stack, valkey: Valkey) -> None:
    async with at_work(world, stack, engine=engine_on(valkey)) as shop:
        asked, may_answer = hold_the_model(world)
        job_id = await world.submit()
        shop.bell.ring()
        await asked.wait()
        async with world.database.write() as connection:
            run = tables.job_runs.update().where(tables.job_runs.c.job_id == job_id)
            await connection.execute(run.values(cancel_reason="maria closed the issue"))
        await world.clock.until_somebody_waits()
        world.clock.tick()
        assert await shop.until_ended(job_id) is Cause.CANCELLED
        may_answer.set()
        await until(lambda: members(valkey, "failed") == [job_id])
    said = valkey.ask("HGET", f"bull:issuewright:{job_id}", "failedReason")
    assert said == "This job was cancelled: maria closed the issue."


async def test_what_strangers_put_into_the_queue_runs_nothing(
    world: World, shop: Shop, valkey: Valkey
) -> None:
    async with world.database.write() as connection:
        everything = (Scope.system(), connection, PauseKind.EVERYTHING, "")
        await pauses.pause(*everything, reason="a test", now=world.clock.now())
    unknown, paused = new_id(world.clock.now()), await world.submit()
    async with board(valkey) as queue:
        for job_id in (unknown, paused):
            await queue.add("run", {"job": paused, "tenant": "*"}, {"jobId": job_id})
        await until(lambda: members(valkey, "failed") == [unknown])
        assert valkey.ask("HGET", f"bull:issuewright:{unknown}", "failedReason") == NO_SUCH_JOB
        await until(lambda: members(valkey, "active") == [])
    facts = await world.facts(paused)
    assert (facts.status, facts.attempts) == (JobStatus.PENDING, 0)


async def test_a_paused_job_that_strangers_pushed_runs_once_the_pause_ends(
    world: World, shop: Shop, valkey: Valkey
) -> None:
    async with world.database.write() as connection:
        everything = (Scope.system(), connection, PauseKind.EVERYTHING, "")
        await pauses.pause(*everything, reason="a test", now=world.clock.now())
    job_id = await world.submit()
    async with board(valkey) as queue:
        await queue.add("run", {}, {"jobId": job_id})
        await until(lambda: members(valkey, "delayed") == [job_id])
    async with world.database.write() as connection:
        assert await pauses.unpause(Scope.system(), connection, PauseKind.EVERYTHING, "")
    assert await shop.until_ended(job_id) is Cause.NO_CHANGE_NEEDED


async def test_flushall_in_mid_run_loses_and_doubles_nothing(
    world: World, shop: Shop, valkey: Valkey
) -> None:
    asked, may_answer = hold_the_model(world)
    jobs = [await world.submit(f"Bug {number}") for number in range(5)]
    shop.bell.ring()
    await asked.wait()
    valkey.ask("FLUSHALL")
    may_answer.set()
    await let_a_lease_pass(world)
    for job_id in jobs:
        assert await shop.until_ended(job_id) is Cause.NO_CHANGE_NEEDED
        assert len(world.said(job_id)) == 1


@pytest.mark.parametrize("is_emptied", [False, True], ids=["with its file", "empty"])
async def test_redis_killed_in_mid_run_loses_and_doubles_nothing(
    world: World, stack: Stack, valkey: Valkey, is_emptied: bool
) -> None:
    world.model.turns[:] = ANSWER
    async with at_work(world, stack, engine=engine_on(valkey, waits=SHORT)) as shop:
        asked, may_answer = hold_the_model(world)
        jobs = [await world.submit(f"Bug {number}") for number in range(4)]
        shop.bell.ring()
        await asked.wait()
        valkey.kill()
        may_answer.set()
        await until(lambda: shop.worker.engine.trouble() == "Redis cannot be reached")
        jobs.append(await world.submit("Meanwhile"))
        if is_emptied:
            valkey.start_empty()
        else:
            valkey.start()
        await let_a_lease_pass(world)
        for job_id in jobs:
            await until_completed(world, shop, job_id)
        for job_id in jobs:
            assert len(world.said(job_id)) == 1
        await until(lambda: shop.worker.engine.trouble() is None)


async def test_a_redis_that_is_full_in_mid_run_loses_and_doubles_nothing(
    world: World, stack: Stack, valkey: Valkey
) -> None:
    world.model.turns[:] = ANSWER
    async with at_work(world, stack, engine=engine_on(valkey, waits=SHORT)) as shop:
        asked, may_answer = hold_the_model(world)
        jobs = [await world.submit(f"Bug {number}") for number in range(4)]
        shop.bell.ring()
        await asked.wait()
        valkey.ask("CONFIG", "SET", "maxmemory", "1")
        jobs.append(await world.submit("Meanwhile"))
        may_answer.set()
        await until(lambda: "full" in (shop.worker.engine.trouble() or ""))
        valkey.ask("CONFIG", "SET", "maxmemory", "0")
        await let_a_lease_pass(world)
        for job_id in jobs:
            await until_completed(world, shop, job_id)
            assert len(world.said(job_id)) == 1
        await until(lambda: shop.worker.engine.trouble() is None)


async def test_a_job_that_redis_does_not_take_waits_and_keeps_its_turn(
    world: World, stack: Stack, valkey: Valkey
) -> None:
    world.model.turns[:] = ANSWER
    valkey.kill()
    async with at_work(world, stack, engine=engine_on(valkey, waits=SHORT)) as shop:
        job_id = await world.submit()
        shop.bell.ring()
        await until(lambda: shop.worker.engine.trouble() is not None)
        valkey.start()
        await until_completed(world, shop, job_id)
    assert len(world.said(job_id)) == 1


async def test_a_lock_lost_in_mid_run_has_one_visible_effect(
    world: World, stack: Stack, valkey: Valkey
) -> None:
    world.model.turns[:] = ANSWER
    asked, may_answer = hold_the_model(world)
    async with (
        world.stack("w2") as other_stack,
        at_work(world, stack, engine=engine_on(valkey, waits=SHORT)) as shop,
        at_work(world, other_stack, id="w2", engine=engine_on(valkey, "w2", waits=SHORT)) as other,
    ):
        job_id = await world.submit()
        shop.bell.ring()
        other.bell.ring()
        await asked.wait()
        # What Redis sees of a worker whose loop was blocked for longer than its lock:
        valkey.ask("SET", f"bull:issuewright:{job_id}:lock", "another", "PX", "1")
        await until(lambda: members(valkey, "delayed") == [job_id])
        assert await has_status(world, job_id, JobStatus.RUNNING)
        may_answer.set()
        assert await shop.until_ended(job_id) is Cause.NO_CHANGE_NEEDED
    assert len(world.said(job_id)) == 1
    assert (await world.facts(job_id)).attempts == 1


async def test_a_stop_gives_the_running_job_to_the_others_at_once(
    world: World, stack: Stack, valkey: Valkey
) -> None:
    world.model.turns[:] = ANSWER
    asked, may_answer = hold_the_model(world)
    async with at_work(world, stack, engine=engine_on(valkey)) as shop:
        job_id = await world.submit()
        shop.bell.ring()
        await asked.wait()
        async with asyncio.timeout(2):
            await shop.close()
    assert members(valkey, "active") == []
    may_answer.set()
    async with (
        world.stack("w2") as other_stack,
        at_work(world, other_stack, id="w2", engine=engine_on(valkey, "w2")) as other,
    ):
        assert await other.until_ended(job_id) is Cause.NO_CHANGE_NEEDED


async def test_a_retry_of_an_ended_job_is_a_new_job_once_for_each_retry(
    world: World, shop: Shop, valkey: Valkey
) -> None:
    first = await world.submit()
    await shop.until_ended(first)
    await until(lambda: members(valkey, "completed") == [first])
    async with board(valkey) as queue:
        for retries in (1, 2):
            await (await Job.fromId(queue, first)).retry("completed")

            async def has_made_one(number: int = retries) -> bool:
                return len(await job_ids(world)) == 1 + number

            await shop.until(has_made_one)
            (*_, newest) = await job_ids(world)
            world.threads[newest] = world.threads[first]
            assert await shop.until_ended(newest) is Cause.NO_CHANGE_NEEDED
            await until(lambda: members(valkey, "active") == [])
    async with world.database.read() as connection:
        runs = (await connection.execute(select(tables.job_runs.c.job_id, tables.job_runs.c.authority))).all()
    assert sorted(run.authority == BY_QUEUE for run in runs) == [False, True, True]


async def test_a_job_that_comes_again_because_its_worker_was_lost_is_no_retry(
    world: World, shop: Shop, valkey: Valkey
) -> None:
    job_id = await world.submit()
    await shop.until_ended(job_id)
    await until(lambda: members(valkey, "completed") == [job_id])
    # The worker ended it here, and died before Redis heard of it:
    valkey.ask("ZREM", "bull:issuewright:completed", job_id)
    valkey.ask("HSET", f"bull:issuewright:{job_id}", "atm", 0, "stc", 1)
    valkey.ask("RPUSH", "bull:issuewright:wait", job_id)
    valkey.ask("ZADD", "bull:issuewright:marker", 0, "0")
    await until(lambda: members(valkey, "completed") == [job_id])
    assert await job_ids(world) == [job_id]


async def test_a_retry_that_comes_twice_makes_one_job(world: World, shop: Shop, valkey: Valkey) -> None:
    first = await world.submit()
    await shop.until_ended(first)
    await until(lambda: members(valkey, "completed") == [first])
    async with board(valkey) as queue:
        await (await Job.fromId(queue, first)).retry("completed")
        await until(lambda: members(valkey, "completed") == [first])
    valkey.ask("ZREM", "bull:issuewright:completed", first)
    valkey.ask("HSET", f"bull:issuewright:{first}", "atm", 1, "stc", 1)
    valkey.ask("RPUSH", "bull:issuewright:wait", first)
    valkey.ask("ZADD", "bull:issuewright:marker", 0, "0")
    await until(lambda: first in members(valkey, "completed"))
    assert len(await job_ids(world)) == 2


async def test_a_retry_beside_an_open_job_of_the_thread_is_refused_in_words(
    world: World, shop: Shop, valkey: Valkey
) -> None:
    first = await world.submit()
    await shop.until_ended(first)
    await until(lambda: members(valkey, "completed") == [first])
    asked, may_answer = hold_the_model(world)
    async with board(valkey) as queue:
        await (await Job.fromId(queue, first)).retry("completed")
        shop.bell.ring()
        await asked.wait()
        await until(lambda: first in members(valkey, "completed"))
        await (await Job.fromId(queue, first)).retry("completed")
        await until(lambda: members(valkey, "failed") == [first])
    assert "of the same thread is open" in valkey.ask("HGET", f"bull:issuewright:{first}", "failedReason")
    may_answer.set()

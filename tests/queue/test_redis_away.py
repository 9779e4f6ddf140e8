"""Redis is killed, emptied, full, silent or locked: ids come again, nobody restarts anything."""

import asyncio
import time
from dataclasses import replace

import pytest

from bot.errors import RetryLater
from bot.queue.base import Ended
from bot.queue.redis import RedisEngine
from tests.db.rows import WAIT_SECONDS
from tests.queue.conftest import LONG, SHORT, Start, ids, members, until
from tests.queue.proxy import line_to
from tests.valkey import Valkey

BACK_SECONDS = 10.0


async def pushed(engine: RedisEngine, job_ids: list[str]) -> None:
    """Push until it is taken, as the worker does."""
    async with asyncio.timeout(BACK_SECONDS):
        while True:
            try:
                return await engine.push(job_ids)
            except RetryLater:
                await asyncio.sleep(0.05)


async def works(engine: RedisEngine) -> None:
    """A new id goes through the engine, which has nothing to complain of."""
    (job_id,) = ids(1)
    await pushed(engine, [job_id])
    async with asyncio.timeout(BACK_SECONDS):
        while (ticket := await engine.pop()).job_id != job_id:
            await engine.end(ticket, Ended())
    await engine.end(ticket, Ended())
    await until(lambda: engine.trouble() is None)


async def test_the_engine_starts_while_redis_is_down_and_works_once_it_is_there(
    start: Start, valkey: Valkey
) -> None:
    valkey.kill()
    engine = await start(waits=SHORT)
    assert await until(engine.trouble) == "Redis cannot be reached"
    with pytest.raises(RetryLater, match="Redis cannot be reached"):
        await engine.push(ids(1))
    valkey.start()
    await works(engine)


async def test_a_redis_that_is_killed_comes_back_with_what_waited(start: Start, valkey: Valkey) -> None:
    engine = await start(waits=SHORT)
    job_ids = ids(5)
    await engine.push(job_ids)
    at_work = [await engine.pop() for _ in range(3)]
    await asyncio.sleep(1.1)  # "everysec": longer ago than what a power cut may take
    valkey.kill()
    assert await until(engine.trouble) == "Redis cannot be reached"
    for ticket in at_work:
        await engine.end(ticket, Ended())
    valkey.start()
    async with asyncio.timeout(BACK_SECONDS):
        waited: set[str] = set()
        while not set(job_ids[3:]) <= waited:
            ticket = await engine.pop()
            waited.add(ticket.job_id)
            await engine.end(ticket, Ended())
    await works(engine)


async def test_a_redis_that_comes_back_empty_is_filled_again(start: Start, valkey: Valkey) -> None:
    engine = await start(waits=SHORT)
    job_ids = ids(2)
    await engine.push(job_ids)
    lost = [await engine.pop() for _ in job_ids]
    valkey.start_empty()
    for ticket in lost:
        await engine.end(ticket, Ended())
    await pushed(engine, job_ids)
    assert [(await engine.pop()).job_id for _ in job_ids] == job_ids
    await works(engine)


async def test_flushall_in_mid_run_costs_what_waited_and_nothing_else(start: Start, valkey: Valkey) -> None:
    engine = await start()
    at_work, forgotten = ids(2)
    await engine.push([at_work])
    ticket = await engine.pop()
    valkey.ask("FLUSHALL")
    await engine.push([forgotten])
    await engine.end(ticket, Ended())
    assert (await engine.pop()).job_id == forgotten
    await works(engine)


async def test_a_full_redis_refuses_at_once_in_words_and_takes_jobs_when_there_is_room(
    start: Start, valkey: Valkey
) -> None:
    engine = await start()
    await works(engine)
    valkey.ask("CONFIG", "SET", "maxmemory", "1")
    began = time.monotonic()
    with pytest.raises(RetryLater, match="Redis is full"):
        await engine.push(ids(1))
    assert time.monotonic() - began < LONG.push_seconds
    assert engine.trouble() == "Redis is full (maxmemory) and takes no new jobs"
    valkey.ask("CONFIG", "SET", "maxmemory", "0")
    await works(engine)


async def test_a_read_only_replica_is_named(start: Start, valkey: Valkey) -> None:
    engine = await start()
    valkey.ask("REPLICAOF", "127.0.0.1", "1")
    try:
        with pytest.raises(RetryLater, match="read-only replica"):
            await engine.push(ids(1))
    finally:
        valkey.ask("REPLICAOF", "NO", "ONE")
    await works(engine)


async def test_a_wrong_password_is_told_in_words_without_the_password(start: Start, valkey: Valkey) -> None:
    valkey.ask("CONFIG", "SET", "requirepass", "the-right-one")
    try:
        engine = await start(f"unix://:a-wrong-one@{valkey.socket}?db=0", waits=SHORT)
        words = await until(engine.trouble)
        assert "refuses the user or the password" in words
        assert "wrong-one" not in words
        with pytest.raises(RetryLater, match="refuses the user or the password"):
            await engine.push(ids(1))
    finally:
        valkey.start_empty()
    await works(await start())


async def test_a_half_open_connection_holds_nobody_longer_than_its_bound(
    start: Start, valkey: Valkey
) -> None:
    waits = replace(SHORT, answer_seconds=1.5)
    async with line_to(valkey.socket) as line:
        engine = await start(line.url, waits=waits)
        await works(engine)
        line.hold()
        began = time.monotonic()
        with pytest.raises(RetryLater, match="Redis does not answer"):
            await engine.push(ids(1))
        assert time.monotonic() - began < 2 * waits.push_seconds
        assert engine.trouble() == "Redis does not answer"
        line.release()
        await works(engine)
        await engine.close()


async def test_a_redis_that_answers_slowly_is_late_and_works(start: Start, valkey: Valkey) -> None:
    async with line_to(valkey.socket) as line:
        engine = await start(line.url)
        line.hold()
        pushing = asyncio.create_task(engine.push(ids(1)))
        await asyncio.sleep(0.5)
        line.release()
        await pushing
        await engine.end(await engine.pop(), Ended())
        await works(engine)
        await engine.close()


async def test_closing_takes_no_longer_than_its_bound_when_redis_is_away(
    start: Start, valkey: Valkey
) -> None:
    engine = await start(waits=replace(SHORT, close_seconds=1))
    await engine.push(ids(1))
    await engine.pop()
    valkey.kill()
    began = time.monotonic()
    await engine.close()
    assert time.monotonic() - began < 5
    valkey.start()


async def test_what_nobody_popped_is_given_back_by_an_engine_that_closes(
    start: Start, valkey: Valkey
) -> None:
    first, second = await start(name="worker-1"), None
    job_ids = ids(3)
    await first.push(job_ids)
    await until(lambda: first.depth() == 3)
    await first.close()
    assert members(valkey, "active") == []
    second = await start(name="worker-2")
    async with asyncio.timeout(WAIT_SECONDS):
        assert {(await second.pop()).job_id for _ in job_ids} == set(job_ids)

"""What a Node process sees of our queue, and what its people can do there."""

import json
from datetime import timedelta
from pathlib import Path

from sqlalchemy import select

from bot.db import tables
from bot.domain.clock import SystemClock
from bot.domain.enums import Cause, JobStatus
from bot.queue.base import Ended
from bot.queue.redis import NOT_OURS, RedisEngine
from bot.runner.serving import BY_QUEUE
from tests.node.conftest import HERE, Board
from tests.queue.conftest import LONG, ids, members, started, until
from tests.runner.conftest import ANSWER, Stack, World
from tests.runner.shop import at_work, job_ids
from tests.valkey import Valkey


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads((HERE / "package-lock.json").read_text())
    assert not [name for name, package in lock["packages"].items() if "resolved" in package]
    assert all("integrity" in package for name, package in lock["packages"].items() if name)
    assert "omit-lockfile-registry-resolved=true" in Path(HERE / ".npmrc").read_text()


async def test_node_sees_our_jobs_with_their_states(valkey: Valkey, board: Board) -> None:
    async with started(valkey.url, LONG) as engine:
        done, failed, waits, works, more, last, new = job_ids_ = ids(7)
        await engine.push(job_ids_)
        tickets = [await engine.pop() for _ in range(3)]
        await engine.end(tickets[0], Ended())
        await engine.end(tickets[1], Ended(reason="GitHub refused the change."))
        await engine.end(tickets[2], Ended(wake_at=SystemClock().now() + timedelta(hours=1)))
        assert [(await engine.pop()).job_id for _ in range(3)] == [works, more, last]
        await until(lambda: members(valkey, "delayed"))
        states = {job_id: (await board.job(job_id))["state"] for job_id in (done, failed, waits, works, new)}
        assert states == {
            done: "completed",
            failed: "failed",
            waits: "delayed",
            works: "active",
            new: "waiting",
        }
        seen = await board.job(failed)
        assert (seen["name"], seen["data"]) == ("job", {"job": failed})
        assert seen["why"] == "GitHub refused the change."
        assert [job["id"] for job in await board.listed("failed")] == [failed]
        counts = await board.counts()
        assert {name: counts[name] for name in ("completed", "failed", "delayed", "active", "waiting")} == {
            "completed": 1,
            "failed": 1,
            "delayed": 1,
            "active": 3,
            "waiting": 1,
        }


async def test_a_retry_in_bull_board_is_a_new_job_of_ours_that_runs(
    world: World, stack: Stack, valkey: Valkey, board: Board
) -> None:
    world.model.turns[:] = ANSWER
    engine = RedisEngine(valkey.url, name="worker-1", concurrency=2, waits=LONG, clock=SystemClock())
    world.forge.set_permission("octo/pets", "maria", "read")
    async with at_work(world, stack, engine=engine) as shop:
        first = await world.submit()
        assert await shop.until_ended(first) is Cause.DENIED
        await until(lambda: members(valkey, "failed") == [first])
        (listed,) = await board.listed("failed")
        assert listed["id"] == first
        world.forge.set_permission("octo/pets", "maria", "write")
        assert await board.retry(first) == 204

        async def has_made_one() -> bool:
            return len(await job_ids(world)) == 2

        await shop.until(has_made_one)
        (_, again) = await job_ids(world)
        world.threads[again] = world.threads[first]
        assert await shop.until_ended(again) is Cause.NO_CHANGE_NEEDED
        await until(lambda: set(members(valkey, "completed")) == {first, again})
        assert (await board.job(again))["state"] == "completed"
    async with world.database.read() as connection:
        of_new = select(tables.job_runs.c.authority).where(tables.job_runs.c.job_id == again)
        assert await connection.scalar(of_new) == BY_QUEUE
    assert (await world.facts(first)).status is JobStatus.FAILED


async def test_a_job_that_node_made_is_refused_in_words(valkey: Valkey, board: Board) -> None:
    async with started(valkey.url, LONG) as engine:
        await board.add("invoice-17")
        await until(lambda: members(valkey, "failed") == ["invoice-17"])
        assert (await board.job("invoice-17"))["why"] == NOT_OURS
        (job_id,) = ids(1)
        await engine.push([job_id])
        assert (await engine.pop()).job_id == job_id

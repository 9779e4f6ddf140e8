"""The default engine: in order, each id once, and nobody's time spent on waiting."""

import asyncio

import pytest

from bot.queue.base import QueueEngine
from bot.queue.inprocess import InProcessEngine


@pytest.fixture
def engine() -> QueueEngine:
    return InProcessEngine()


async def test_ids_come_out_in_the_order_in_which_they_went_in(engine: QueueEngine) -> None:
    await engine.push(["b", "a"])
    await engine.push(["c"])
    assert [(await engine.pop()).job_id for _ in range(3)] == ["b", "a", "c"]


async def test_an_id_that_waits_is_not_added_again(engine: QueueEngine) -> None:
    await engine.push(["a", "a"])
    await engine.push(["a", "b"])
    assert engine.depth() == 2
    assert [(await engine.pop()).job_id for _ in range(2)] == ["a", "b"]


async def test_an_id_that_was_taken_can_come_again(engine: QueueEngine) -> None:
    await engine.push(["a"])
    assert (await engine.pop()).job_id == "a"
    assert engine.depth() == 0
    await engine.push(["a"])
    assert (await engine.pop()).job_id == "a"


async def test_whoever_asks_waits_for_an_id(engine: QueueEngine) -> None:
    waiting = asyncio.create_task(engine.pop())
    await asyncio.sleep(0)
    assert not waiting.done()
    await engine.push(["a"])
    assert (await waiting).job_id == "a"


async def test_an_id_is_not_lost_with_one_who_stopped_waiting(engine: QueueEngine) -> None:
    gone = asyncio.create_task(engine.pop())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await engine.push(["a"])
    assert (await engine.pop()).job_id == "a"

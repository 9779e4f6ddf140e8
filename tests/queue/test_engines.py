"""What every engine does: in order, each id once, and nobody's time spent on waiting."""

import asyncio

import pytest

from bot.queue.base import Ended, QueueEngine
from bot.queue.inprocess import InProcessEngine
from tests.db.rows import WAIT_SECONDS
from tests.queue.conftest import Start, ids


@pytest.fixture(params=["in-process", "redis"])
async def engine(request: pytest.FixtureRequest, start: Start) -> QueueEngine:
    if request.param == "redis":
        return await start()
    memory = InProcessEngine()
    await memory.start()
    return memory


async def test_ids_come_out_in_the_order_in_which_they_went_in(engine: QueueEngine) -> None:
    first, second, third = ids(3)
    await engine.push([second, first])
    await engine.push([third])
    assert [(await engine.pop()).job_id for _ in range(3)] == [second, first, third]


async def test_an_id_that_waits_is_not_added_again(engine: QueueEngine) -> None:
    first, second, third = ids(3)
    await engine.push([first, first])
    await engine.push([first, second])
    await engine.push([third])
    assert [(await engine.pop()).job_id for _ in range(3)] == [first, second, third]


@pytest.mark.parametrize("ended", [Ended(), Ended(reason="It did not work.")], ids=["done", "failed"])
async def test_an_id_whose_work_has_ended_can_come_again(engine: QueueEngine, ended: Ended) -> None:
    (first,) = ids(1)
    await engine.push([first])
    ticket = await engine.pop()
    assert ticket.job_id == first
    await engine.end(ticket, ended)
    async with asyncio.timeout(WAIT_SECONDS):
        while engine.depth() == 0:
            await engine.push([first])
            await asyncio.sleep(0.01)
    assert (await engine.pop()).job_id == first


async def test_whoever_asks_waits_for_an_id(engine: QueueEngine) -> None:
    (first,) = ids(1)
    waiting = asyncio.create_task(engine.pop())
    await asyncio.sleep(0)
    assert not waiting.done()
    await engine.push([first])
    assert (await waiting).job_id == first


async def test_an_id_is_not_lost_with_one_who_stopped_waiting(engine: QueueEngine) -> None:
    (first,) = ids(1)
    gone = asyncio.create_task(engine.pop())
    await asyncio.sleep(0)
    gone.cancel()
    await asyncio.gather(gone, return_exceptions=True)
    await engine.push([first])
    assert (await engine.pop()).job_id == first


async def test_a_first_run_is_nobodys_retry_and_the_engine_works(engine: QueueEngine) -> None:
    await engine.push(ids(1))
    assert (await engine.pop()).again == 0
    assert engine.trouble() is None


async def test_ending_twice_and_closing_twice_change_nothing(engine: QueueEngine) -> None:
    await engine.push(ids(1))
    ticket = await engine.pop()
    await engine.end(ticket, Ended())
    await engine.end(ticket, Ended(reason="Too late."))
    await engine.close()
    await engine.close()

"""One timer for many waits: each ends in its time, and nothing else is disturbed."""

import asyncio

import pytest

from bot.web.patience import Patience

NEVER_SECONDS = 3_600.0


async def forever() -> None:
    await asyncio.Event().wait()


async def value() -> int:
    await asyncio.sleep(0)
    return 7


async def test_what_ends_in_time_is_given_back_and_its_errors_too() -> None:
    patience = Patience(NEVER_SECONDS)
    assert await asyncio.gather(*(patience.wait(value()) for _ in range(9))) == [7] * 9

    async def broken() -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await patience.wait(broken())


async def test_whoever_is_late_is_ended_and_the_others_are_not() -> None:
    patience, on = Patience(0.01), asyncio.Event()
    late = [asyncio.create_task(patience.wait(forever())) for _ in range(3)]
    assert await patience.wait(value()) == 7
    done = await asyncio.wait_for(asyncio.gather(*late, return_exceptions=True), timeout=60)
    assert [type(one) for one in done] == [TimeoutError] * 3
    on.set()
    assert await patience.wait(on.wait()) is True


async def test_a_later_one_is_ended_too_once_its_own_time_has_come() -> None:
    patience = Patience(0.01)
    for _ in range(2):
        with pytest.raises(TimeoutError, match="more than"):
            await asyncio.wait_for(patience.wait(forever()), timeout=60)


async def test_whoever_is_cancelled_by_somebody_else_stays_cancelled() -> None:
    patience = Patience(NEVER_SECONDS)
    task = asyncio.create_task(patience.wait(forever()))
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_what_was_over_in_time_is_not_ended_later() -> None:
    patience = Patience(0.01)

    async def quick_then_long() -> str:
        await patience.wait(value())
        with pytest.raises(TimeoutError):
            await Patience(0.05).wait(forever())
        return "whole"

    assert await quick_then_long() == "whole"

"""A job on which workers die begins alone in its worker, so that no other is blamed for its deaths."""

import asyncio
from contextlib import AbstractAsyncContextManager

import pytest

from bot.runner.company import Company


class Seat:
    """One job that asks for a place and holds it until it is told to leave."""

    def __init__(self, company: Company, job_id: str, *, is_suspect: bool = False) -> None:
        self.has: bool | None = None
        self._leaving = asyncio.Event()
        self.task = asyncio.create_task(self._hold(company.place(job_id, is_suspect=is_suspect)))

    async def _hold(self, place: AbstractAsyncContextManager[bool]) -> None:
        async with place as self.has:
            await self._leaving.wait()
        self.has = None

    async def leave(self) -> None:
        self._leaving.set()
        await self.task


async def settled() -> None:
    """Whoever can go on has done so."""
    for _ in range(10):
        await asyncio.sleep(0)


@pytest.fixture
def company() -> Company:
    return Company()


async def test_jobs_work_beside_each_other(company: Company) -> None:
    seats = [Seat(company, f"job{number}") for number in range(4)]
    await settled()
    assert [seat.has for seat in seats] == [True] * 4
    for seat in seats:
        await seat.leave()


async def test_a_suspect_waits_for_those_at_work_and_goes_before_those_who_come(company: Company) -> None:
    early = Seat(company, "early")
    await settled()
    suspect = Seat(company, "suspect", is_suspect=True)
    await settled()
    late = Seat(company, "late")
    await settled()
    assert (early.has, suspect.has, late.has) == (True, None, None)
    await early.leave()
    await settled()
    assert (suspect.has, late.has) == (True, None)
    await suspect.leave()
    await settled()
    assert late.has
    await late.leave()


async def test_others_come_in_as_soon_as_it_has_got_further(company: Company) -> None:
    suspect = Seat(company, "suspect", is_suspect=True)
    await settled()
    others = [Seat(company, "second", is_suspect=True), Seat(company, "sound")]
    await settled()
    company.got_further("sound")
    await settled()
    assert [seat.has for seat in others] == [None, None]
    company.got_further("suspect")
    company.got_further("suspect")
    await settled()
    # The other suspect still waits until it can be alone, and so does whoever came after it.
    assert [seat.has for seat in others] == [None, None]
    await suspect.leave()
    await settled()
    assert [seat.has for seat in others] == [True, None]
    await others[0].leave()
    await settled()
    assert others[1].has
    await others[1].leave()


async def test_a_second_ticket_of_a_suspect_gets_no_place(company: Company) -> None:
    sound, suspect = Seat(company, "sound"), Seat(company, "suspect", is_suspect=True)
    await settled()
    for _ in range(2):
        again = Seat(company, "suspect", is_suspect=True)
        await settled()
        assert again.has is False
        await again.leave()
        await sound.leave()
        await settled()
        assert suspect.has
    await suspect.leave()


async def test_a_suspect_that_is_told_to_stop_while_it_waits_holds_nobody_up(company: Company) -> None:
    sound, suspect = Seat(company, "sound"), Seat(company, "suspect", is_suspect=True)
    await settled()
    suspect.task.cancel()
    late = Seat(company, "late")
    await settled()
    assert late.has
    await late.leave()
    await sound.leave()

"""When a thread first hears of a job: at once where files will change, else after a minute."""

import asyncio
from dataclasses import replace
from typing import cast

import pytest

from bot.db import job_messages
from bot.domain.values import ClaimedJob, Scope
from bot.errors import Permanent
from bot.runner.announcing import QUIET_SECONDS, Announcing
from bot.runner.lease import JobLease
from bot.runner.publishing import Publishing
from tests.fakes import ManualClock
from tests.runner.conftest import ANSWER, Stack, World, attempt


class Heard:
    """Publishing that only counts what it was asked to announce."""

    def __init__(self, *, is_refused: bool = False) -> None:
        self.jobs: list[str] = []
        self.refusal = Permanent("the thread is locked") if is_refused else None
        self.has_spoken = asyncio.Event()

    async def announce(self, job: ClaimedJob, lease: JobLease) -> None:
        self.jobs.append(job.id)
        self.has_spoken.set()
        if self.refusal is not None:
            raise self.refusal


class StillClock(ManualClock):
    """A clock on which a wait ends when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []
        self.is_over = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        self.waits.append(seconds)
        await self.is_over.wait()


def _announcing(heard: Heard, lease: JobLease, clock: StillClock) -> Announcing:
    return Announcing(cast(Publishing, heard), lease, clock)


async def _claimed(stack: Stack, job_id: str, agent_type: str) -> tuple[ClaimedJob, JobLease]:
    job = await stack.claim(job_id)
    assert job is not None
    return replace(job, agent_type=agent_type), stack.runner._lease(job)


async def test_who_changes_files_is_announced_before_the_work(stack: Stack, job_id: str) -> None:
    heard, clock = Heard(), StillClock()
    job, lease = await _claimed(stack, job_id, "code.fix")
    async with _announcing(heard, lease, clock).told(job):
        assert heard.jobs == [job_id]
    assert (heard.jobs, clock.waits) == ([job_id], [])


async def test_a_thread_that_takes_no_comment_ends_such_work_before_it_begins(
    stack: Stack, job_id: str
) -> None:
    job, lease = await _claimed(stack, job_id, "code.fix")
    with pytest.raises(Permanent, match="locked"):
        async with _announcing(Heard(is_refused=True), lease, StillClock()).told(job):
            pytest.fail("the work began")


async def test_an_answer_within_a_minute_is_not_announced(stack: Stack, job_id: str) -> None:
    heard, clock = Heard(), StillClock()
    job, lease = await _claimed(stack, job_id, "meta.research")
    async with _announcing(heard, lease, clock).told(job):
        await asyncio.sleep(0)
    assert (heard.jobs, clock.waits) == ([], [QUIET_SECONDS])


async def test_work_on_an_answer_that_takes_longer_is_announced_beside_it(stack: Stack, job_id: str) -> None:
    heard, clock = Heard(), StillClock()
    job, lease = await _claimed(stack, job_id, "meta.research")
    async with _announcing(heard, lease, clock).told(job):
        await asyncio.sleep(0)
        clock.is_over.set()
        await heard.has_spoken.wait()
    assert heard.jobs == [job_id]


async def test_trouble_with_a_late_announcement_is_no_trouble_of_the_work(stack: Stack, job_id: str) -> None:
    clock = StillClock()
    clock.is_over.set()
    job, lease = await _claimed(stack, job_id, "meta.plan")
    async with _announcing(Heard(is_refused=True), lease, clock).told(job):
        await asyncio.sleep(0)


async def test_work_that_fails_is_not_announced_any_more(stack: Stack, job_id: str) -> None:
    heard, clock = Heard(), StillClock()
    job, lease = await _claimed(stack, job_id, "meta.plan")
    with pytest.raises(RuntimeError):
        async with _announcing(heard, lease, clock).told(job):
            raise RuntimeError
    assert heard.jobs == []


async def test_the_end_says_that_a_comment_came_too_late(world: World, stack: Stack, job_id: str) -> None:
    async def speak() -> None:
        async with world.database.write() as connection:
            await job_messages.add(
                Scope.system(), connection, job_id, 5, world.actor, "Wait!", now=world.clock.now()
            )

    world.model.turns[:] = ANSWER
    world.model.on_ask = speak
    await attempt(world, stack, job_id)
    assert "One comment came too late to be read; `/agent continue` goes on" in world.said(job_id)[-1]

"""Cuts one after the other in one job, and a worker that wakes up late; what people see stays single.

`tests/chaos/test_boundaries.py` cuts at every single boundary.
"""

from collections import Counter

import pytest

from bot.domain.enums import Cause, JobStatus, OperationState
from bot.errors import LeaseLost
from bot.runner.reconcile import Reaper
from tests.chaos.fuse import Fuse, PowerCut
from tests.runner.conftest import LEASE_SECONDS, PROPOSE, Stack, World, attempt


async def steps_of_a_run(world: World) -> list[str]:
    """Every step of a run that nothing hinders."""
    fuse = Fuse()
    async with world.stack("w0", fuse) as stack:
        facts = await attempt(world, stack, await world.submit())
    assert facts.cause is Cause.PULL_REQUEST
    return fuse.steps


async def cut_and_go_on(world: World, healthy: Stack, blows_at: int) -> str:
    """Cut the power of one worker at a step, let another one finish; the job's id."""
    job_id = await world.submit()
    async with world.stack("w1", Fuse(blows_at)) as stack:
        try:
            job = await stack.claim(job_id)
            assert job is not None
            await stack.runner.run(job)
        except PowerCut:
            world.clock.advance(LEASE_SECONDS + 1)
    await Reaper(world.database, world.clock).run_once()
    if (await world.facts(job_id)).status is JobStatus.PENDING:
        await attempt(world, healthy, job_id)
    return job_id


async def check_that_all_stands_once(world: World, job_id: str) -> None:
    """One comment, one branch, one draft, one end, and nothing left open."""
    facts = await world.facts(job_id)
    assert (facts.status, facts.cause) == (JobStatus.COMPLETED, Cause.PULL_REQUEST)
    (comment,) = world.said(job_id)
    (pull,) = world.pulls(job_id)
    assert f"#{pull.number} is ready for review" in comment
    assert [one.login for one in pull.assignees] == ["maria"]
    states = {row.state for row in (await world.operations(job_id)).values()}
    assert states == {OperationState.DONE}
    kinds = Counter(row.type.value for row in await world.rows("agent_artifacts", job_id))
    assert kinds == {"ANALYSIS": 1, "CODE_CHANGE": 1, "PULL_REQUEST": 1}
    ends = [row for row in await world.rows("events", job_id) if row.kind == "job.ended"]
    assert len(ends) == 1


async def test_cuts_again_and_again_while_it_is_published_are_seen_by_nobody(
    world: World, stack: Stack
) -> None:
    steps = await steps_of_a_run(world)
    tree = next(number for number, name in enumerate(steps) if name.endswith("/git/trees"))
    job_id = await world.submit()
    places = [tree, 10, 10, 43, 10]  # each dies a little further on, never three times at one place
    for place in places:
        async with world.stack("dying", Fuse(place)) as dying:
            job = await dying.claim(job_id)
            assert job is not None
            with pytest.raises(PowerCut):
                await dying.runner.run(job)
        world.clock.advance(LEASE_SECONDS + 1)
        await Reaper(world.database, world.clock).run_once()
    await attempt(world, stack, job_id)
    await check_that_all_stands_once(world, job_id)


async def test_the_model_is_not_asked_again_once_the_end_is_frozen(world: World, stack: Stack) -> None:
    steps = await steps_of_a_run(world)
    frozen_at = next(number for number, name in enumerate(steps) if name.endswith("/git/trees"))
    asked = len(world.model.requests)
    await cut_and_go_on(world, stack, frozen_at + 1)
    assert len(world.model.requests) - asked == len(PROPOSE)


async def test_a_worker_that_wakes_up_late_writes_nothing_more(world: World, stack: Stack) -> None:
    job_id = await world.submit()
    late = await stack.claim(job_id)
    assert late is not None
    world.clock.advance(LEASE_SECONDS + 1)
    await Reaper(world.database, world.clock).run_once()
    async with world.stack("w2") as other:
        owned = await other.claim(job_id)
        assert owned is not None
        requests = len(world.forge.requests)

        await stack.runner.run(late)  # finds its lease lost, and says nothing
        with pytest.raises(LeaseLost):
            await stack.runner._lease(late).renew()

        assert len(world.forge.requests) - requests <= 2
        assert (await world.facts(job_id)).status is JobStatus.RUNNING
        await other.runner.run(owned)
    await check_that_all_stands_once(world, job_id)

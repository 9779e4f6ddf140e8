"""A label that was taken away while nobody could tell us: its job ends without a word."""

import pytest

from bot.domain.enums import Cause, IssueStatus, JobStatus
from tests.runner.conftest import REPOSITORY, Stack, World, attempt


@pytest.mark.parametrize("how", ["label", "closed"])
async def test_a_job_whose_label_is_gone_or_issue_closed_ends_quietly_before_it_spends(
    world: World, stack: Stack, job_id: str, how: str
) -> None:
    number = world.threads[job_id]
    if how == "label":
        await world.forge.remove_label(REPOSITORY, number, "agent", "maria")
    else:
        await world.forge.close_issue(REPOSITORY, number, "maria")

    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.issue_status) == (JobStatus.CANCELLED, IssueStatus.CANCELLED)
    assert facts.cause is Cause.CANCELLED
    assert facts.error is not None
    assert ("removed" if how == "label" else "closed") in facts.error
    assert world.said(job_id) == []
    assert world.model.requests == []
    assert world.space.checkouts == []


async def test_where_the_thread_was_told_of_the_job_it_hears_of_its_end_too(
    world: World, stack: Stack, job_id: str
) -> None:
    job = await stack.claim(job_id)
    assert job is not None

    async def cut() -> None:
        await world.forge.remove_label(REPOSITORY, world.threads[job_id], "agent", "maria")
        raise OSError("the disk is gone")

    world.space.on_checkout = cut
    with pytest.raises(OSError, match="the disk"):
        await stack.runner.run(job)
    await stack.runner.crashed(job, OSError("the disk is gone"))
    world.space.on_checkout = None
    world.clock.advance(3_600)

    assert (await attempt(world, stack, job_id)).cause is Cause.CANCELLED
    (said,) = world.said(job_id)
    assert "the label `agent` was removed" in said


async def test_upper_and_lower_case_of_a_label_are_one(world: World, stack: Stack, job_id: str) -> None:
    await world.forge.remove_label(REPOSITORY, world.threads[job_id], "agent", "maria")
    await world.forge.add_label(REPOSITORY, world.threads[job_id], "Agent", "maria")
    assert (await attempt(world, stack, job_id)).cause is Cause.PULL_REQUEST

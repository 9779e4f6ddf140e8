"""What became of our pull requests, and what else no longer moves, is found by looking."""

from typing import Any

import pytest
from sqlalchemy import select, update

from bot.db.tables import agent_issues, installations, job_runs
from bot.domain.enums import IssueStatus
from bot.domain.intents import EndReview
from bot.domain.values import Json
from bot.errors import RetryLater
from bot.runner import reconcile_pulls
from bot.runner.reconcile import Reaper
from bot.runner.reconcile_pulls import PullsCheck
from bot.runner.reconcile_rows import RowsCheck
from bot.standin.forge.faults import Reply
from tests.runner.conftest import LEASE_SECONDS, PROPOSE, REPOSITORY, Stack, World, attempt
from tests.runner.shop import make_worker
from tests.runner.stands import PlayedModel


class Circle:
    """The chore on pull requests, with what it remembers."""

    def __init__(self, world: World, stack: Stack) -> None:
        self.check = PullsCheck(stack.database, stack.app, world.clock)
        self.state: Json = {}

    async def turn(self) -> int:
        """One turn; how many issues it ended."""

        async def keep(state: Json) -> None:
            self.state = state

        return await self.check.run(self.state, keep)


@pytest.fixture
async def circle(world: World, stack: Stack) -> Circle:
    return Circle(world, stack)


async def opened(world: World, stack: Stack) -> tuple[str, int]:
    """A job that opened a pull request; its id and the pull request's number."""
    world.model = PlayedModel(*PROPOSE)
    job_id = await world.submit()
    async with world.stack() as made:
        facts = await attempt(world, made, job_id)
    assert facts.issue_status is IssueStatus.REVIEW
    (pull,) = world.pulls(job_id)
    return job_id, pull.number


async def issue_status(world: World, job_id: str) -> IssueStatus:
    return (await world.facts(job_id)).issue_status


@pytest.mark.parametrize("is_merged", [True, False])
async def test_a_pull_request_that_people_decided_on_ends_its_issue(
    world: World, stack: Stack, circle: Circle, is_merged: bool
) -> None:
    job_id, number = await opened(world, stack)
    assert await circle.turn() == 0
    if is_merged:
        await world.forge.merge_pull(REPOSITORY, number, "octo")
    else:
        await world.forge.close_issue(REPOSITORY, number, "octo")

    assert await circle.turn() == 1
    expected = IssueStatus.COMPLETED if is_merged else IssueStatus.CANCELLED
    assert await issue_status(world, job_id) is expected
    assert await circle.turn() == 0


async def test_all_that_wait_are_asked_for_in_a_circle(
    world: World, stack: Stack, circle: Circle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reconcile_pulls, "BATCH", 1)
    found = [await opened(world, stack) for _ in range(2)]
    for _, number in found:
        await world.forge.close_issue(REPOSITORY, number, "octo")
    assert [await circle.turn() for _ in range(3)] == [1, 1, 0]


async def test_while_github_cannot_say_nothing_is_decided(world: World, stack: Stack, circle: Circle) -> None:
    job_id, number = await opened(world, stack)
    await world.forge.close_issue(REPOSITORY, number, "octo")
    world.forge.faults.add("GET", r"/pulls/\d+$", Reply(502))
    with pytest.raises(RetryLater):
        await circle.turn()
    assert await issue_status(world, job_id) is IssueStatus.REVIEW
    assert await circle.turn() == 1


@pytest.mark.parametrize("status", [404, 403])
async def test_a_pull_request_that_is_not_to_be_seen_is_left_as_it_is(
    world: World, stack: Stack, circle: Circle, status: int
) -> None:
    job_id, _ = await opened(world, stack)
    world.forge.faults.add("GET", r"/pulls/\d+$", Reply(status))
    assert await circle.turn() == 0
    assert await issue_status(world, job_id) is IssueStatus.REVIEW


async def test_a_repository_that_we_no_longer_serve_is_asked_nothing(
    world: World, stack: Stack, circle: Circle
) -> None:
    job_id, _ = await opened(world, stack)
    await world.forge.uninstall(world.tenant.installation_id)
    async with world.database.write() as connection:
        await connection.execute(update(installations).values(deleted_at=world.clock.now()))
    before = len(world.forge.requests)
    assert await circle.turn() == 0
    assert len(world.forge.requests) == before
    assert await issue_status(world, job_id) is IssueStatus.REVIEW


async def test_rows_that_no_longer_agree_are_mended_once(world: World, stack: Stack) -> None:
    job_id, _ = await opened(world, stack)
    async with world.database.write() as connection:
        await connection.execute(update(agent_issues).values(status=IssueStatus.QUEUED))
    check = RowsCheck(world.database, world.clock, LEASE_SECONDS)
    assert await check.run_once() == 1
    assert await issue_status(world, job_id) is IssueStatus.REVIEW
    assert await check.run_once() == 0


async def lease(world: World, job_id: str) -> Any:
    async with world.database.read() as connection:
        return await connection.scalar(select(job_runs.c.lease_until).where(job_runs.c.job_id == job_id))


async def test_after_a_clock_set_back_by_an_hour_a_dead_owners_job_waits_for_one_lease(
    world: World, stack: Stack, job_id: str
) -> None:
    assert await stack.claim(job_id) is not None
    world.clock.advance(-3_600)
    reaper = Reaper(world.database, world.clock)
    await reaper.run_once()
    assert await RowsCheck(world.database, world.clock, LEASE_SECONDS).run_once() == 1
    world.clock.advance(LEASE_SECONDS)
    await reaper.run_once()
    assert await lease(world, job_id) is None


async def test_leave_that_a_fast_clock_gave_and_its_waits_are_over_after_one_round(
    world: World, stack: Stack, job_id: str
) -> None:
    world.clock.advance(7_200)
    async with world.database.write() as connection:
        ahead = world.clock.now()
        await connection.execute(update(job_runs).values(admitted_at=ahead, wake_at=ahead))
    world.clock.advance(-7_200)
    check = RowsCheck(world.database, world.clock, LEASE_SECONDS)
    assert await check.run_once() == 2
    assert await check.run_once() == 0
    world.model = PlayedModel(*PROPOSE)
    await attempt(world, stack, job_id)
    assert len(world.pulls(job_id)) == len(world.said(job_id)) == 1


async def test_after_a_clock_set_forward_by_an_hour_the_owner_is_fenced_and_the_job_goes_on(
    world: World, stack: Stack, job_id: str
) -> None:
    first = await stack.claim(job_id)
    assert first is not None
    world.clock.advance(3_600)
    await Reaper(world.database, world.clock).run_once()
    async with world.stack("w2") as other:
        world.model = PlayedModel(*PROPOSE)
        await attempt(world, other, job_id)
    await stack.runner.run(first)
    assert len(world.pulls(job_id)) == 1
    assert len(world.said(job_id)) == 1


@pytest.mark.parametrize("is_merged", [True, False])
async def test_the_event_of_a_pull_request_of_ours_ends_its_issue_at_once(
    world: World, stack: Stack, is_merged: bool
) -> None:
    job_id, number = await opened(world, stack)
    tenant = world.tenant

    async def told(number: int, installation_id: int) -> bool:
        intent = EndReview(tenant.repository, installation_id, number, is_merged)
        change = await make_worker(world, stack).dispatcher.applier.decide(intent)
        if change is None:
            return False
        async with world.database.write() as connection:
            await change(connection)
        return True

    assert not await told(number + 1, tenant.installation_id)
    assert not await told(number, 999)
    assert await issue_status(world, job_id) is IssueStatus.REVIEW
    assert await told(number, tenant.installation_id)
    expected = IssueStatus.COMPLETED if is_merged else IssueStatus.CANCELLED
    assert await issue_status(world, job_id) is expected
    assert not await told(number, tenant.installation_id)

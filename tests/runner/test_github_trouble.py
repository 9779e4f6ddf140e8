"""Jobs that meet a GitHub that limits, moves, refuses or is away: late or ended in words, never stuck."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta
from itertools import pairwise

import pytest

from bot.domain.enums import Cause, JobStatus, OperationState, Phase
from bot.standin.forge.faults import JSON, Drop, Reply
from tests.runner.conftest import ANSWER, REPOSITORY, Facts, Stack, World, attempt

HOUR_SECONDS = 3_600.0
BAD_CREDENTIALS = '{"message": "Bad credentials"}'
TOO_LONG = Reply(422, '{"errors": [{"message": "body is too long"}], "message": "Validation Failed"}', JSON)


async def until_settled(world: World, stack: Stack, job_id: str, *, most: int = 40) -> Facts:
    """Attempts at the job as its waits come to their end."""
    facts = await world.facts(job_id)
    for _ in range(most):
        if facts.phase is Phase.SETTLED:
            break
        world.clock.advance((facts.waits_seconds or 0.0) + 0.01)
        facts = await attempt(world, stack, job_id)
    return facts


def rest_calls(world: World) -> int:
    """How many calls were made so far."""
    return sum(one.kind == "rest" for one in world.forge.requests)


LIMITS = {
    "403 and retry-after": Reply(403, headers={"retry-after": "120"}),
    "429": Reply(429),
    "429 and retry-after": Reply(429, headers={"retry-after": "120"}),
    "403 and nothing left": Reply(403, headers={"x-ratelimit-remaining": "0"}),
    "403 and words": Reply(
        403,
        '{"message": "You have exceeded a secondary rate limit"}',
        JSON,
    ),
}
PLACES = [
    ("GET", "/permission$"),
    ("POST", "/issues/[0-9]+/comments$"),
    ("GET", f"/repos/{REPOSITORY}$"),
    ("GET", "/git/ref/heads/issuewright"),
    ("POST", "/git/refs$"),
    ("POST", "/pulls$"),
    ("PATCH", "/issues/comments/"),
    ("POST", "/access_tokens$"),
]


@pytest.mark.parametrize("limit", LIMITS.values(), ids=LIMITS)
async def test_a_limit_in_the_middle_costs_no_attempt_and_no_call(
    world: World, stack: Stack, limit: Reply
) -> None:
    # One shape everywhere; how each shape is read is the same wherever it comes.
    for place in PLACES if "retry-after" in limit.headers and limit.status == 403 else PLACES[1::4]:
        job_id = await world.submit()
        world.forge.faults.add(*place, limit)
        facts = await attempt(world, stack, job_id)
        assert (facts.status, facts.attempts) == (JobStatus.PENDING, 0), place
        assert facts.waits_seconds is not None and facts.waits_seconds >= 59.0, place

        asked = rest_calls(world)
        world.clock.advance(50.0)
        await world.change_run(job_id, wake_at=world.clock.now() - timedelta(seconds=1))
        again = await attempt(world, stack, job_id)
        assert (again.status, again.attempts, rest_calls(world)) == (JobStatus.PENDING, 0, asked), place

        facts = await until_settled(world, stack, job_id)
        assert (facts.status, facts.cause) == (JobStatus.COMPLETED, Cause.PULL_REQUEST), place
        assert (len(world.pulls(job_id)), len(world.said(job_id))) == (1, 1), place
        world.clock.advance(2 * HOUR_SECONDS)


async def test_an_hour_without_github_fails_no_job_and_what_waited_is_done_once(
    world: World, stack: Stack
) -> None:
    world.forge.faults.add("*", ".", Drop(), times=None)
    jobs = [await world.submit() for _ in range(3)]
    ends_at = world.clock.monotonic() + HOUR_SECONDS
    for _ in range(12):
        for job_id in jobs:
            await world.change_run(job_id, wake_at=world.clock.now() - timedelta(seconds=1))
            facts = await attempt(world, stack, job_id)
            assert (facts.status, facts.attempts) == (JobStatus.PENDING, 0)
        world.clock.advance(300.0)
    assert world.clock.monotonic() >= ends_at

    world.forge.faults.clear()
    for job_id in jobs:
        facts = await until_settled(world, stack, job_id)
        assert (facts.status, facts.cause) == (JobStatus.COMPLETED, Cause.PULL_REQUEST)
        assert (len(world.pulls(job_id)), len(world.said(job_id))) == (1, 1)
    # What has waited goes out no faster than GitHub asks for: a write a second.
    writes = [one for one in world.forge.requests if one.method in {"POST", "PATCH"} and one.status]
    times = sorted(one.at for one in writes if re.search(r"/(comments|comments/\d+|pulls)$", one.path))
    assert len(times) >= 3 * len(jobs)
    assert min(later - earlier for earlier, later in pairwise(times)) >= 1.0


@pytest.mark.parametrize(
    ("level", "cause"), [("write", Cause.PULL_REQUEST), ("read", Cause.DENIED)], ids=["may", "may not"]
)
async def test_a_finished_change_waits_for_github_to_say_who_may_and_is_not_tried_again(
    world: World, stack: Stack, job_id: str, level: str, cause: Cause
) -> None:
    async def lose_github() -> None:
        world.forge.faults.add("GET", "/permission$", Reply(503), times=None)

    world.model.on_ask = lose_github
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.phase, facts.attempts) == (JobStatus.PENDING, Phase.FROZEN, 0)
    assert (world.asked("POST", "/git/trees"), len(world.space.hosts)) == (0, 1)

    world.forge.faults.clear()
    world.forge.set_permission(REPOSITORY, "maria", level)
    facts = await until_settled(world, stack, job_id)
    assert (facts.phase, facts.cause, len(world.space.hosts)) == (Phase.SETTLED, cause, 1)
    assert len(world.pulls(job_id)) == (cause is Cause.PULL_REQUEST)
    (comment,) = world.said(job_id)
    assert ("needs write permission" in comment) == (cause is Cause.DENIED)


Event = Callable[[World], Awaitable[object]]


def happens(world: World, event: Event) -> None:
    """Let it happen when the model is asked first."""

    async def happen() -> None:
        world.model.on_ask = None
        await event(world)

    world.model.on_ask = happen


async def _revoke(world: World) -> None:
    for token in world.forge.world.tokens.values():
        token.is_revoked = True


async def _expire(world: World) -> None:
    for token in world.forge.world.tokens.values():
        token.expires_at = 0.0


async def _rename(world: World) -> None:
    world.forge.world.rename(REPOSITORY, "animals")


async def _delete(world: World) -> None:
    del world.forge.world.repositories[REPOSITORY]


async def _suspend(world: World) -> None:
    await world.forge.suspend(world.tenant.installation_id)


async def _uninstall(world: World) -> None:
    await world.forge.uninstall(world.tenant.installation_id)


@pytest.mark.parametrize("event", [_revoke, _expire])
async def test_a_token_that_dies_in_the_middle_is_made_anew_and_the_job_goes_on(
    world: World, stack: Stack, job_id: str, event: Event
) -> None:
    happens(world, event)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.COMPLETED, Cause.PULL_REQUEST)
    assert (len(world.pulls(job_id)), len(world.said(job_id))) == (1, 1)


async def test_a_github_that_takes_no_token_any_more_is_waited_for_a_day_and_the_job_ends_in_words(
    world: World, stack: Stack, job_id: str
) -> None:
    def minted() -> int:
        return sum(one.status == 201 and one.path.endswith("access_tokens") for one in world.forge.requests)

    before = 0

    async def refuse(_: World) -> None:
        nonlocal before
        before = minted()
        world.forge.faults.add("*", f"/repos/{REPOSITORY}", Reply(401, BAD_CREDENTIALS, JSON), times=None)

    happens(world, refuse)
    assert (await attempt(world, stack, job_id)).status is JobStatus.PENDING
    world.clock.advance(25 * HOUR_SECONDS)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.phase, facts.cause) == (JobStatus.FAILED, Phase.SETTLED, Cause.GITHUB_ERROR)
    assert facts.error is not None and "401" in facts.error
    refused = sum(one.status == 401 for one in world.forge.requests)
    assert minted() - before <= refused


async def test_a_repository_that_is_renamed_in_the_middle_is_followed_by_its_number(
    world: World, stack: Stack, job_id: str
) -> None:
    number = world.threads[job_id]
    happens(world, _rename)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.COMPLETED, Cause.PULL_REQUEST)
    threads = world.forge.world.repository("octo/animals").threads
    assert sum(one.pull is not None for one in threads.values()) == 1
    assert len(threads[number].comments) == 1


@pytest.mark.parametrize("event", [_delete, _suspend, _uninstall])
async def test_what_is_gone_in_the_middle_ends_the_job_in_words_and_without_another_try(
    world: World, stack: Stack, job_id: str, event: Event
) -> None:
    happens(world, event)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.phase) == (JobStatus.FAILED, Phase.SETTLED)
    assert facts.cause in {Cause.GITHUB_ERROR, Cause.DENIED}
    assert facts.error
    asked = rest_calls(world)
    world.clock.advance(HOUR_SECONDS)
    other = await world.submit() if event is not _delete else job_id
    if event is not _delete:
        assert (await attempt(world, stack, other)).status is JobStatus.FAILED
    assert rest_calls(world) == asked


@pytest.mark.parametrize("status", [404, 410, 451])
async def test_a_repository_that_github_no_longer_shows_ends_the_job_in_words(
    world: World, stack: Stack, job_id: str, status: int
) -> None:
    world.forge.faults.add(
        "GET", f"/repos/{REPOSITORY}$", Reply(status, '{"url": "", "message": "Gone"}', JSON), times=None
    )
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause, facts.phase) == (JobStatus.FAILED, Cause.GITHUB_ERROR, Phase.SETTLED)
    assert facts.error is not None and str(status) in facts.error


async def test_a_comment_that_github_calls_too_long_is_shortened_once(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = ANSWER
    world.forge.faults.add("PATCH", "/issues/comments/", TOO_LONG)
    facts = await attempt(world, stack, job_id)
    assert facts.cause is Cause.NO_CHANGE_NEEDED
    assert world.asked("PATCH", "") == 2
    assert (await world.operations(job_id))["final"].state is OperationState.DONE


async def test_a_text_that_is_too_long_even_then_is_given_up_with_its_reason(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = ANSWER
    world.forge.faults.add("PATCH", "/issues/comments/", TOO_LONG, times=None)
    facts = await attempt(world, stack, job_id)
    assert facts.phase is Phase.SETTLED
    assert world.asked("PATCH", "") == 2
    final = (await world.operations(job_id))["final"]
    assert final.state is OperationState.FAILED and "too long" in final.error

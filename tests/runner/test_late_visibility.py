"""What we have just made is not shown everywhere at once (R-16): what refers to it waits, and stands once."""

import pytest

from bot.domain.enums import Cause, OperationState, Phase
from bot.standin.forge.faults import Delay
from tests.runner.conftest import Stack, World, attempt

MOST_SECONDS = 30.0
GOLDEN = 0.618  # steps of this size, by whole ones, lie evenly however many there are


@pytest.mark.parametrize("made", [r"/pulls$", r"/issues/\d+/comments$", r"/git/refs$"])
async def test_what_refers_to_something_that_github_does_not_show_yet_is_sent_later(
    made: str, world: World, stack: Stack, job_id: str, play: int
) -> None:
    """The first play waits for as long as it may take, the others for any time up to then."""
    world.forge.faults.add("POST", made, Delay(MOST_SECONDS * (1 - play * GOLDEN % 1)))
    for _ in range(10):
        facts = await attempt(world, stack, job_id)
        if facts.phase is Phase.SETTLED:
            break
        world.clock.advance(facts.waits_seconds or 0.0)
    assert (facts.cause, facts.error) == (Cause.PULL_REQUEST, None)
    (pull,) = world.pulls(job_id)
    (comment,) = world.said(job_id)
    assert f"#{pull.number} is ready for review" in comment
    assert [one.login for one in pull.assignees] == ["maria"]
    assert {row.state for row in (await world.operations(job_id)).values()} == {OperationState.DONE}

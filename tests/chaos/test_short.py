"""A handful of blows on each stack: one case of a fixed seed, one of a fresh one that is printed."""

import os
import random

import pytest

from tests.chaos.plan import Case, Tally
from tests.chaos.playing import play

KILLS = 2
FRESH = "fresh"


@pytest.mark.parametrize(
    ("scenario", "seed", "stack"), [("worker", "1", "sqlite"), ("web", FRESH, "postgres-redis")]
)
def test_what_dies_is_seen_by_nobody(scenario: str, seed: str, stack: str) -> None:
    if seed == FRESH:
        seed = os.environ.get("ISSUEWRIGHT_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
    case, tally = Case(scenario, stack, seed, 0, KILLS), Tally(scenario, stack)
    print(case.replay)  # noqa: T201
    assert play(case, tally, print), "\n".join(tally.found.all)
    assert tally.kills == KILLS

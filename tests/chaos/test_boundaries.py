"""The power is cut at the boundaries of every kind of request; what people see stays single.

`ISSUEWRIGHT_CHAOS_SHARE=1` cuts at every boundary (`make chaos` does so), else at a share of them that the
printed seed chooses: `ISSUEWRIGHT_TEST_SEED=… pytest -s tests/chaos/test_boundaries.py` chooses them again.
"""

import os
import random

import pytest

from bot.standin.model.server import ModelServer
from tests.chaos.boundaries import cut_everywhere
from tests.chaos.kinds import KINDS, Kind
from tests.chaos.oracle import unpaid
from tests.runner.conftest import World

SEED = os.environ.get("ISSUEWRIGHT_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
SHARE = float(os.environ.get("ISSUEWRIGHT_CHAOS_SHARE", "0.008"))


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
async def test_a_cut_at_any_boundary_is_seen_by_nobody(
    kind: Kind, town: World, model_server: ModelServer
) -> None:
    chance = random.Random(f"{SEED}:{kind.name}")
    report = await cut_everywhere(town, kind, lambda _: chance.random() < SHARE)
    print(  # noqa: T201
        f"{kind.name}: {report.cuts} cuts at {report.boundaries} boundaries, {len(report.wrong)} wrong, "
        f"ISSUEWRIGHT_TEST_SEED={SEED} ISSUEWRIGHT_CHAOS_SHARE={SHARE}"
    )
    assert not report.wrong, "\n".join(report.wrong)
    assert not await unpaid(town.database, len(model_server.requests))

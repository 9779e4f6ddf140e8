"""Plays chosen tests many times, and gives each play dice of its own that a printed seed fixes.

`ISSUEWRIGHT_TEST_PLAYS=20 pytest tests/…::test_…` plays each test twenty times (`make chaos` does so for its
list of faults); `ISSUEWRIGHT_TEST_SEED` throws the same dice again.
"""

import os
import random

import pytest

PLAYS = int(os.environ.get("ISSUEWRIGHT_TEST_PLAYS", "1"))
SEED = os.environ.get("ISSUEWRIGHT_TEST_SEED") or str(random.SystemRandom().randrange(10**6))


@pytest.fixture
def play() -> int:
    """The number of this play, from 0 on."""
    return 0


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """One test becomes as many as it is to be played."""
    if PLAYS > 1:
        metafunc.fixturenames.append("play")
        metafunc.parametrize("play", range(PLAYS), ids=lambda number: f"play{number}")


@pytest.fixture
def dice(request: pytest.FixtureRequest) -> random.Random:
    """Randomness of this play alone; a test that fails shows its seed."""
    print(f"ISSUEWRIGHT_TEST_SEED={SEED}")  # noqa: T201
    return random.Random(f"{SEED}:{request.node.nodeid}")

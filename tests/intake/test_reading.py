"""Large bodies: read in another process, which may die, hang, or never be needed."""

import asyncio
import json
import os
import signal
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest

from bot.domain.intents import Event, Intent, StartJob
from bot.errors import RetryLater
from bot.handlers import router
from bot.intake.reading import LargeBodies, read
from tests import payloads

ROUTE = partial(router.route, own_app_id=None)


@pytest.fixture
def bodies() -> Iterator[LargeBodies]:
    made = LargeBodies()
    yield made
    made.close()


def labeled() -> bytes:
    """The label `agent` is put on an issue of a very long text."""
    event: dict[str, Any] = payloads.issues_event("labeled", label="agent")
    event["issue"]["body"] = "x" * 400_000
    return json.dumps(event).encode()


def kill_yourself(_event: Event) -> list[Intent]:
    os.kill(os.getpid(), signal.SIGKILL)
    return []


def hang(_event: Event) -> list[Intent]:
    signal.pause()
    return []


def where(_event: Event) -> list[Any]:
    return [os.getpid()]


async def test_the_intents_are_those_of_our_own_process(bodies: LargeBodies) -> None:
    body = labeled()
    intents = await bodies.read(ROUTE, "issues", None, body)
    assert intents == read(ROUTE, "issues", None, body)
    assert isinstance(intents[0], StartJob)


async def test_all_are_read_in_one_other_process(bodies: LargeBodies) -> None:
    found: list[Any] = await asyncio.gather(*(bodies.read(where, "issues", None, b"{}") for _ in range(3)))
    assert found[0] == found[1] == found[2] != [os.getpid()]


async def test_what_is_no_object_asks_for_nothing(bodies: LargeBodies) -> None:
    for body in (b"", b"[" * 100_000, b"[1]"):
        assert await bodies.read(ROUTE, "issues", None, body) == []


async def test_when_the_other_process_dies_the_next_gets_a_new_one(bodies: LargeBodies) -> None:
    with pytest.raises(RetryLater):
        await bodies.read(kill_yourself, "issues", None, b"{}")
    found: list[Any] = await bodies.read(where, "issues", None, b"{}")
    assert found != [os.getpid()]


async def test_a_body_that_takes_too_long_ends_the_other_process() -> None:
    bodies = LargeBodies(read_seconds=0.05)
    with pytest.raises(RetryLater, match="TimeoutError"):
        await bodies.read(hang, "issues", None, b"{}")
    bodies.close()

"""SIGTERM at any boundary, and exactly while a write is on its way (R-11): handed back, and done once."""

import asyncio
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from bot.domain.enums import JobStatus
from bot.standin.forge.faults import Hang
from tests.chaos.boundaries import LIFE_SECONDS, after_death, live_and_die
from tests.chaos.fuse import Fuse
from tests.chaos.kinds import KINDS
from tests.chaos.oracle import held, unfinished, verdict_of
from tests.runner.conftest import World
from tests.runner.shop import HandBell

GRACE_SECONDS = 30.0
CHANGE = {kind.name: kind for kind in KINDS}["pull request"]
# A comment first: nothing but our own look keeps it single.
WRITES = [
    ("POST", r"/issues/\d+/comments$"),
    ("POST", r"/reactions$"),
    ("POST", r"/git/trees$"),
    ("POST", r"/git/commits$"),
    ("POST", r"/git/refs$"),
    ("POST", r"/pulls$"),
    ("POST", r"/assignees$"),
    ("PATCH", r"/issues/comments/\d+$"),
]
Record = Callable[[str, object], None]


@dataclass
class Stopper(Fuse):
    """Tells the worker to stop at the chosen boundary, and holds up nothing."""

    def pass_through(self, step: str) -> None:
        self.steps.append(step)
        if len(self.steps) == self.blows_at:
            self.stop.set()


@dataclass
class Canceller(Fuse):
    """Cancels a task when its second transaction is about to be committed."""

    task: "asyncio.Task[Any] | None" = None

    def pass_through(self, step: str) -> None:
        self.steps.append(step)
        is_second = step == "before a commit" and self.steps.count(step) == 2
        if self.task is not None and is_second:
            self.task.cancel()


async def is_told_to_stop_and_leaves(world: World, fuse: Fuse, bell: HandBell) -> float:
    """A worker that leaves in the middle of its work: how many seconds that took; it holds nothing more."""
    left = asyncio.create_task(live_and_die(world, fuse, bell))
    async with asyncio.timeout(LIFE_SECONDS):
        await asyncio.wait({left, asyncio.create_task(fuse.stop.wait())}, return_when="FIRST_COMPLETED")
        began = time.monotonic()
        await left
    assert await held(world.database) == 0
    return time.monotonic() - began


async def test_a_stop_at_any_boundary_is_seen_by_nobody(
    town: World, dice: random.Random, record_property: Record
) -> None:
    kind, quiet = dice.choice(KINDS), Fuse()
    for fuse in (quiet, Stopper()):
        bell = HandBell()
        fuse.blows_at = None if fuse is quiet else dice.randint(1, len(quiet.steps))
        asked = await kind.asked(town)
        if kind.prepare:
            kind.prepare(town, asked.number, bell.ring)
        seconds = await is_told_to_stop_and_leaves(town, fuse, bell)
        if fuse.blows_at is not None:
            record_property("shutdown_seconds", seconds)
            assert seconds < GRACE_SECONDS
            await after_death(town, lease_seconds=0)
            await live_and_die(town, Fuse(), bell)
        found = await verdict_of(town.database, town.forge, asked)
        assert not found.all, (kind.name, fuse.blows_at, found.all)


async def test_a_stop_between_a_write_and_its_answer_leaves_one_effect(
    town: World, play: int, record_property: Record
) -> None:
    asked, bell, fuse = await CHANGE.asked(town), HandBell(), Fuse()
    write, has_landed = WRITES[play % len(WRITES)], play // len(WRITES) % 2 == 0
    town.forge.faults.add(*write, Hang(is_after=has_landed))

    async def stop_it() -> None:
        await town.forge.faults.until_hanging()
        fuse.stop.set()

    stopping = asyncio.create_task(stop_it())
    seconds = await is_told_to_stop_and_leaves(town, fuse, bell)
    await stopping
    record_property("shutdown_seconds", seconds)
    assert seconds < GRACE_SECONDS
    assert await unfinished(town.database), "it was not in the middle"
    town.forge.faults.clear()
    await live_and_die(town, Fuse(), bell)
    found = await verdict_of(town.database, town.forge, asked)
    assert not found.all, (write, has_landed, found.all)


async def test_a_stop_while_a_job_is_claimed_gives_it_back_at_once(town: World) -> None:
    """It was claimed by a worker that had left, until its lease ran out (found at a random boundary)."""
    job_id, fuse = await town.submit(), Canceller()
    async with town.stack("leaving", fuse) as stack:
        fuse.task = asyncio.create_task(stack.claim(job_id))
        await asyncio.wait([fuse.task])
    assert fuse.task.cancelled()
    assert await held(town.database) == 0
    facts = await town.facts(job_id)
    assert (facts.status, facts.attempts) == (JobStatus.PENDING, 0)

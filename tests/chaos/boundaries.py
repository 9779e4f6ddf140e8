"""Cutting one kind of request at one boundary after the other, until a run goes through without a cut."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import bot
from bot.queue.inprocess import InProcessEngine
from tests.chaos.fuse import Fuse, FusedEngine, PowerCut
from tests.chaos.kinds import Kind
from tests.chaos.oracle import Asked, unfinished, verdict, verdict_of
from tests.runner.conftest import LEASE_SECONDS, World
from tests.runner.shop import HandBell, make_worker

LIFE_SECONDS = 60.0
_PRODUCT: Final = Path(bot.__file__).parent
_LOOK_SECONDS = 0.005
_LOOKS_A_SECOND = 10  # so many looks without an end let a second of the product's time pass
_MAX_BOUNDARIES = 2_000


@dataclass
class Report:
    """How many boundaries a kind has, which were cut, and what was wrong after which."""

    kind: str
    boundaries: int = 0
    cuts: int = 0
    wrong: list[str] = field(default_factory=list)


async def cut_everywhere(world: World, kind: Kind, is_chosen: Callable[[int], bool]) -> Report:
    """Cut at each boundary that *is_chosen*; the last run goes through without reaching its boundary."""
    report = Report(kind.name)
    everything: list[Asked] = []
    for number in range(_MAX_BOUNDARIES):
        if report.boundaries and number > report.boundaries:
            break
        if report.boundaries and not is_chosen(number):
            continue
        # The first run is quiet, and says how many boundaries there are.
        fuse = Fuse(number if report.boundaries else None)
        bell = HandBell()
        asked = await kind.asked(world)
        everything.append(asked)
        if kind.prepare:
            kind.prepare(world, asked.number, bell.ring)
        await live_and_die(world, fuse, bell)
        if fuse.is_blown:
            report.cuts += 1
            await after_death(world)
            await live_and_die(world, Fuse(), bell)
        # A run that was cut may come to more boundaries than the quiet one had.
        report.boundaries = max(report.boundaries, len(fuse.steps) + fuse.is_blown)
        found = await verdict_of(world.database, world.forge, asked)
        report.wrong += [f"{kind.name}, cut {number} ({fuse.steps[-1]}): {line}" for line in found.all]
    report.wrong += (await verdict(world.database, world.forge, everything)).all
    return report


async def live_and_die(world: World, fuse: Fuse, bell: HandBell) -> None:
    """One worker from its start until everything is over or its power is cut."""
    async with world.stack("mortal", fuse) as stack:
        engine = FusedEngine(InProcessEngine(), fuse)
        worker = make_worker(world, stack, engine=engine, bell=bell)
        working = asyncio.create_task(worker.run(fuse.stop))
        watching = asyncio.create_task(_until_over(world, bell))
        await asyncio.wait({working, watching}, return_when=asyncio.FIRST_COMPLETED)
        fuse.stop.set()
        watching.cancel()
        ended, *_ = await asyncio.gather(working, watching, return_exceptions=True)
        await _bury()
        if ended is not None and not isinstance(ended, PowerCut):
            raise ended


async def _bury() -> None:
    """End what the dead worker's own clearing up, refused as well, has left of its tasks."""
    left = [task for task in asyncio.all_tasks() if _is_ours(task)]
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)


def _is_ours(task: "asyncio.Task[Any]") -> bool:
    code = getattr(task.get_coro(), "cr_code", None)
    return (
        code is not None
        and Path(code.co_filename).is_relative_to(_PRODUCT)
        and "standin" not in code.co_filename
    )


async def _until_over(world: World, bell: HandBell) -> None:
    """Ring and look until nothing waits any more; time passes slowly, for what waits for a time."""
    looks = 0
    async with asyncio.timeout(LIFE_SECONDS):
        bell.ring()
        while await unfinished(world.database):
            looks += 1
            if looks % _LOOKS_A_SECOND == 0:
                world.clock.advance(1.0)
                bell.ring()
            await asyncio.sleep(_LOOK_SECONDS)


async def after_death(world: World, *, lease_seconds: float = LEASE_SECONDS + 1) -> None:
    """What was on its way to the forge lands; the dead worker's lease runs out."""
    async with asyncio.timeout(LIFE_SECONDS):
        while any(one.status is None for one in world.forge.requests[-50:]):  # noqa: ASYNC110
            await asyncio.sleep(_LOOK_SECONDS)
    world.clock.advance(lease_seconds)

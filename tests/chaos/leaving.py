"""SIGTERM to every worker while ten jobs run: nothing more is begun, all is handed back, and done once."""

import asyncio
import time
from datetime import timedelta
from typing import Final

from sqlalchemy import func, select

from bot.db import tables
from bot.domain.clock import SystemClock
from tests.chaos.installation import Installation
from tests.chaos.kinds import BOOK
from tests.chaos.oracle import held
from tests.chaos.plan import Tally
from tests.system.places import FOR_EVER

JOBS: Final = 10
GRACE_SECONDS: Final = 30.0
NO_MORE_SECONDS: Final = 1.0
HANGS: Final = {**BOOK, "faults": [{"kind": "hang", "times": FOR_EVER, "turn": 0}]}


async def leaving_workers(installation: Installation, tally: Tally) -> None:
    """As often as the case says: ten jobs run and one waits, SIGTERM, a new start, all come to their end."""
    for _ in range(installation.case.kills):
        await _ten_run(installation)
        await installation.ask(is_change=False)
        await _stop_all(installation, tally)
        tally.kills += 1
        installation.product.model.play(BOOK)
        for mortal in installation.workers:
            await mortal.start()
        await installation.until_ready()
        await installation.until_over()


async def _ten_run(installation: Installation) -> None:
    """Wait until the model was asked by each of ten new jobs, and answers none."""
    model = installation.product.model
    model.play(HANGS)
    before = len(model.requests)
    for place in range(JOBS):
        await installation.ask(is_change=place % 2 == 0, town=place)

    async def all_hang() -> bool:
        return len(model.requests) - before >= JOBS

    await installation.product.until(all_hang, timeout_seconds=120)


async def _stop_all(installation: Installation, tally: Tally) -> None:
    stopped_at, began = SystemClock().now(), time.monotonic()
    codes = await asyncio.gather(*(mortal.stop() for mortal in installation.workers))
    seconds = time.monotonic() - began
    tally.worst("shutdown ms", seconds)
    if any(codes) or seconds > GRACE_SECONDS:
        tally.found.stuck.append(f"a stop took {seconds:.1f} s and ended with {codes}")
    if number := await held(installation.database):
        tally.found.stuck.append(f"{number} jobs were not handed back")
    job = tables.agent_jobs
    late = stopped_at + timedelta(seconds=NO_MORE_SECONDS)
    async with installation.database.read() as connection:
        begun = await connection.scalar(select(func.count()).select_from(job).where(job.c.started_at > late))
    if begun:
        tally.found.stuck.append(f"{begun} jobs were begun after the stop")

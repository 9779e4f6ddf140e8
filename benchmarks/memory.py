"""What the web process holds in memory, beside the least that such a process needs.

The reference imports aiohttp, gidgethub and SQLAlchemy, has an async engine open on an SQLite file, and
answers on a port. Both idle, take deliveries, and idle again. USS is what a process has for itself, PSS also
its share of what others use too. Use: python benchmarks/memory.py [--deliveries 2000]
"""

import argparse
import asyncio
import contextlib
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import intake

GOAL = 1.3
SETTLE_SECONDS = 3.0
OURS, REFERENCE = "ours", "aiohttp + gidgethub + SQLAlchemy"


async def reference(port: int) -> None:
    """The least: a signature that gidgethub checks, a look at the database, an answer."""
    import sqlalchemy as sa  # noqa: PLC0415 - the other process does without it
    from aiohttp import web  # noqa: PLC0415
    from gidgethub import aiohttp as _client  # noqa: F401, PLC0415
    from gidgethub import sansio  # noqa: PLC0415
    from sqlalchemy.ext.asyncio import create_async_engine  # noqa: PLC0415

    engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['ISSUEWRIGHT_DATA_DIR']}/reference.db")

    async def hook(request: web.Request) -> web.Response:
        sansio.Event.from_http(request.headers, await request.read(), secret=intake.SECRET)
        async with engine.connect() as connection:
            await connection.execute(sa.text("SELECT 1"))
        return web.Response(status=202)

    app = web.Application()
    app.router.add_post(intake.PATH, hook)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    async with engine.connect():
        await asyncio.Event().wait()


def memory_mib(pid: int) -> dict[str, float]:
    """PSS and USS of one process."""
    rows = (line.split() for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:])
    kib = {row[0].rstrip(":"): int(row[1]) for row in rows}
    return {"PSS": kib["Pss"] / 1024, "USS": (kib["Private_Clean"] + kib["Private_Dirty"]) / 1024}


async def deliver(subject: intake.Subject, count: int) -> None:
    """*count* deliveries, each another body, over a few connections."""
    connections = [await subject.open() for _ in range(8)]

    async def some(connection: Any) -> None:
        for _ in range(count // len(connections)):
            await intake.send(connection, subject.fresh())

    await asyncio.gather(*map(some, connections))
    for _, writer in connections:
        writer.close()


def main() -> None:
    """Print both, before and after the deliveries, and the ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--deliveries", type=int, default=2000)
    parser.add_argument("--reference", type=int, help="be the reference on this port")
    chosen = parser.parse_args()
    if chosen.reference:
        asyncio.run(reference(chosen.reference))
        return
    intake.COMMANDS[REFERENCE] = [sys.executable, __file__, "--reference"]
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        subjects = [
            stack.enter_context(intake.running(name, folder / str(number)))
            for number, name in enumerate((OURS, REFERENCE))
        ]
        time.sleep(SETTLE_SECONDS)
        idle = [memory_mib(subject.pids()[-1]) for subject in subjects]
        for subject in subjects:
            asyncio.run(deliver(subject, chosen.deliveries))
        time.sleep(SETTLE_SECONDS)
        after = [memory_mib(subject.pids()[-1]) for subject in subjects]
    for words, both in (("idle", idle), (f"after {chosen.deliveries} deliveries", after)):
        told = [f"{kind} {both[0][kind]:.1f} : {both[1][kind]:.1f} MiB" for kind in ("PSS", "USS")]
        ratio = both[0]["PSS"] / both[1]["PSS"]
        print(f"memory {words}: web process : reference, {', '.join(told)}, ratio {ratio:.2f} (goal: {GOAL})")


if __name__ == "__main__":
    main()

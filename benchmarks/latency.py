"""From a webhook to the first request to GitHub, after 10 s of idleness, beside a bare round trip.

Each sample: everything idles, then a person puts a label on an issue of the forge, which sends the webhook.
Measured are the time until the forge gets the first request about it, and, out of the database, the time
from the delivery to the start of its job. The reference is the same label on a forge whose webhook goes to
a bare aiohttp server that checks the signature and answers; it idles as long, and they take turns.
"""

import argparse
import asyncio
import contextlib
import hmac
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.standin import sample
from bot.standin.forge.forge import Forge
from tests.system.rig import WEBHOOK_SECRET, Rig, rig
from tests.system.stacks import SHORT_BOOK, stack_environment

GOAL = 20.0
WAIT_SECONDS = 60.0


def main() -> None:
    """Print both latencies of each engine and their ratio to the reference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=6)
    parser.add_argument("--idle-seconds", type=float, default=10.0)
    chosen = parser.parse_args()
    asyncio.run(measure(chosen.samples, chosen.idle_seconds))


async def measure(samples: int, idle_seconds: float) -> None:
    """All stacks at once: they idle together, and are asked one after the other."""
    async with contextlib.AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="iw-latency-")))
        subjects: dict[str, Rig] = {}
        for name in ("sqlite", "postgres-redis"):
            place = folder / name
            place.mkdir()
            environment = await stack.enter_async_context(stack_environment(name))
            product = await stack.enter_async_context(rig(place, book=SHORT_BOOK, environment=environment))
            await product.start()
            await product.install()
            subjects[name] = product
        reference = await stack.enter_async_context(bare(folder / "bare"))
        taken: dict[str, list[float]] = {name: [] for name in (*subjects, "bare")}
        await one_of_each(subjects, reference)  # a warm-up
        for _ in range(samples):
            await asyncio.sleep(idle_seconds)
            for name, seconds in (await one_of_each(subjects, reference)).items():
                taken[name].append(seconds)
        starts = {name: await job_starts(product, samples) for name, product in subjects.items()}
    report(taken, starts, idle_seconds)


async def one_of_each(subjects: dict[str, Rig], reference: Forge) -> dict[str, float]:
    """One sample of everything, in turn; waits until the jobs of it are over."""
    found = {"bare": await bare_round_trip(reference)}
    for name, product in subjects.items():
        found[name] = await first_request(product)
    for product in subjects.values():
        await product.until(partial(no_open_jobs, product))
    return found


async def no_open_jobs(product: Rig) -> bool:
    """Whether everything that was asked for is over."""
    sql = "SELECT count(*) AS n FROM agent_jobs WHERE status IN ('PENDING', 'RUNNING')"
    (row,) = await product.rows(sql)
    return not row["n"]


async def first_request(product: Rig) -> float:
    """Seconds from the label to the first request about it."""
    number = await product.forge.open_issue(sample.REPOSITORY, sample.PERSON, "Look at this", "Please.")
    await product.forge.settle()
    await asyncio.sleep(0.3)  # nothing is asked for by an issue alone
    known = len(product.forge.requests)
    began_at = time.time()
    await product.forge.add_label(sample.REPOSITORY, number, sample.LABEL, sample.PERSON)
    deadline = began_at + WAIT_SECONDS
    while len(product.forge.requests) == known:
        if time.time() > deadline:
            raise TimeoutError(f"no request within {WAIT_SECONDS:g} s: {product.said}")
        await asyncio.sleep(0.0005)
    return product.forge.requests[known].at - began_at


async def job_starts(product: Rig, samples: int) -> list[float]:
    """Seconds from each delivery's arrival to the start of its job."""
    jobs = await product.rows('SELECT "createdAt", "startedAt" FROM agent_jobs ORDER BY id')
    return [_seconds(job["startedAt"]) - _seconds(job["createdAt"]) for job in jobs[-samples:]]


def _seconds(instant: Any) -> float:
    moment = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return moment.replace(tzinfo=UTC).timestamp()


@asynccontextmanager
async def bare(folder: Path) -> AsyncIterator[Forge]:
    """A forge whose webhooks go to the least that a receiver can do."""

    async def receive(request: web.Request) -> web.Response:
        body = await request.read()
        signed = "sha256=" + hmac.new(WEBHOOK_SECRET.encode(), body, "sha256").hexdigest()
        is_right = hmac.compare_digest(signed, request.headers["X-Hub-Signature-256"])
        return web.Response(status=202 if is_right else 401)

    app = web.Application()
    app.router.add_post("/hook", receive)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    forge = Forge(root=folder)
    await forge.start()
    forge.create_user(sample.OWNER, "Organization")
    forge.create_user(sample.PERSON)
    await forge.create_repository(sample.REPOSITORY, dict(sample.FILES))
    forge.set_permission(sample.REPOSITORY, sample.PERSON, "write")
    forge.set_webhook(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", WEBHOOK_SECRET)
    await forge.install(sample.OWNER)
    await forge.settle()
    try:
        yield forge
    finally:
        await forge.stop()
        await runner.cleanup()


async def bare_round_trip(forge: Forge) -> float:
    """Seconds from the label to the answer of the receiver."""
    number = await forge.open_issue(sample.REPOSITORY, sample.PERSON, "Look at this", "Please.")
    await forge.settle()
    began_at = time.perf_counter()
    await forge.add_label(sample.REPOSITORY, number, sample.LABEL, sample.PERSON)
    await forge.settle()
    return time.perf_counter() - began_at


def report(taken: dict[str, list[float]], starts: dict[str, list[float]], idle_seconds: float) -> None:
    """One line for each subject."""
    base = statistics.median(taken["bare"])
    print(f"latency after {idle_seconds:g} s of idleness, {len(taken['bare'])} samples each, ms")
    print(f"{'':16} {'p50':>7} {'p99':>7} {'ratio':>7}   job starts after (p50, p99)")
    for name, values in taken.items():
        p50, p99 = statistics.median(values), _p99(values)
        line = f"{name:16} {p50 * 1e3:7.1f} {p99 * 1e3:7.1f} {p50 / base:7.1f}"
        if name in starts:
            line += f"   {statistics.median(starts[name]) * 1e3:7.1f} {_p99(starts[name]) * 1e3:7.1f}"
        print(line)
    print(f"goal: sqlite at most {GOAL:.0f} times the bare round trip")


def _p99(values: list[float]) -> float:
    return sorted(values)[min(len(values) - 1, int(len(values) * 0.99))]


if __name__ == "__main__":
    main()

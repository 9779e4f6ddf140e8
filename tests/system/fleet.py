"""Two web processes, three workers, many organizations: each request comes to exactly one effect.

    python -m tests.system.fleet --jobs 1000

It prints what was measured and ends with 1 where a promise was broken. The forge's webhooks go through
a splitter that sends each to one of the web processes, and many to both at once.
"""

import argparse
import asyncio
import contextlib
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import aiohttp
from aiohttp import web

from bot.standin import sample
from bot.standin.forge.forge import Forge
from tests.openapi import check_all
from tests.system.rig import WEBHOOK_SECRET, Rig, _free_port, rig
from tests.system.stacks import SHORT_BOOK, stack_environment

ORGANIZATIONS: Final = 10
WORKERS: Final = 3
WEBS: Final = 2
CAP: Final = 3
DOUBLED: Final = 0.3
KEPT: Final = ("X-", "Content-T")
LABEL: Final = "agent:fix"
LATE: Final = tuple(f"late-tenant-{number}" for number in range(20))
# Nobody is killed here: the times of the product, where the rig has shorter ones.
USUAL_TIMES: Final = {
    "ISSUEWRIGHT_LEASE_SECONDS": "30",
    "ISSUEWRIGHT_HEARTBEAT_SECONDS": "10",
    "ISSUEWRIGHT_POLL_SECONDS": "1",
}
FILES: Final = {"README.md": "# A shop\n"}


@dataclass(slots=True)
class Findings:
    """What was broken, in words; empty is right."""

    broken: list[str] = field(default_factory=list)

    def expect(self, is_so: object, words: str) -> None:
        """Note *words* unless *is_so*."""
        if not is_so:
            self.broken.append(words)


@dataclass(slots=True)
class Fleet:
    """The running processes around one forge."""

    product: Rig
    processes: list[asyncio.subprocess.Process] = field(default_factory=list)

    async def start(self, ports: Iterable[int]) -> None:
        """Start the web processes on *ports* and the workers."""
        for port in ports:
            await self._spawn(f"web-{port}", "serve", "--no-worker", "--port", str(port))
        for number in range(WORKERS):
            await self._spawn(f"worker-{number}", "worker")

    async def _spawn(self, name: str, *arguments: str) -> None:
        with (self.product.folder / f"{name}.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                *("setpriv", "--pdeathsig", "TERM", "--"),
                *(sys.executable, "-P", "-m", "bot.cli.main", *arguments),
                env=self.product.environment,
                cwd=self.product.folder,
                stderr=log,
                start_new_session=True,
            )
        self.processes.append(process)

    async def stop(self) -> list[int]:
        """SIGTERM to all; their exit codes."""
        for process in self.processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGTERM)
        return [await process.wait() for process in self.processes]


@asynccontextmanager
async def splitter(targets: list[str], seed: int) -> AsyncIterator[str]:
    """The URL of a receiver that sends each webhook on to one of *targets*, some to all at once."""
    dice = random.Random(seed)
    async with aiohttp.ClientSession() as session:

        async def forward(url: str, headers: Mapping[str, str], body: bytes) -> int:
            async with session.post(url, data=body, headers=headers) as answer:
                return answer.status

        async def receive(request: web.Request) -> web.Response:
            body = await request.read()
            kept = {
                name: text for name, text in request.headers.items() if name.startswith(("X-", "Content-T"))
            }
            chosen = targets if dice.random() < DOUBLED else [dice.choice(targets)]
            codes = await asyncio.gather(*(forward(url, kept, body) for url in chosen))
            return web.Response(status=max(codes))

        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_post("/", receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/"
        finally:
            await runner.cleanup()


async def populate(forge: Forge, names: Iterable[str]) -> None:
    """An organization, a repository and an installation for each name."""
    for name in names:
        forge.create_user(name, "Organization")
        await forge.create_repository(f"{name}/shop", dict(FILES))
        forge.set_permission(f"{name}/shop", sample.PERSON, "write")
        await forge.install(name)


async def ask(forge: Forge, name: str) -> float:
    """Open an issue and put the label on it; when."""
    number = await forge.open_issue(f"{name}/shop", sample.PERSON, "Look at the shop", "Please.")
    at = time.time()
    await forge.add_label(f"{name}/shop", number, LABEL, sample.PERSON)
    return at


def seconds(instant: Any) -> float:
    """A row's instant in seconds since the epoch."""
    moment = datetime.fromisoformat(instant) if isinstance(instant, str) else instant
    return float(moment.replace(tzinfo=UTC).timestamp())


async def late_job(product: Rig, name: str, patience_seconds: float = 60.0) -> tuple[float, ...]:
    """Ask for a job of *name*; after how many seconds it was made, started and ended."""
    asked_at = await ask(product.forge, name)
    sql = """SELECT d."receivedAt", j."createdAt", j."startedAt", j."completedAt" FROM agent_jobs j
             JOIN issuewright.job_origins origin ON origin."jobId" = j.id
             JOIN issuewright.deliveries d ON d.id = origin."deliveryId"
             JOIN organizations o ON o.id = j."organizationId"
             WHERE o.name = :name AND j."createdAt" >= :since AND j."completedAt" IS NOT NULL"""
    since = datetime.fromtimestamp(asked_at - 0.05, UTC).replace(tzinfo=None)

    async def ended() -> list[dict[str, Any]]:
        return await product.rows(sql, name=name, since=since)

    (job, *_) = await product.until(ended, patience_seconds)
    # The forge sends one webhook after the other: what waits there is not ours.
    received = seconds(job["receivedAt"])
    return tuple(seconds(job[name]) - received for name in ("createdAt", "startedAt", "completedAt"))


def overlaps(spans: list[tuple[float, float]]) -> int:
    """The most spans that cover one instant; one that ends when another begins does not overlap it."""
    edges = sorted([(end, -1) for _, end in spans] + [(start, 1) for start, _ in spans])
    most = running = 0
    for _, step in edges:
        running += step
        most = max(most, running)
    return most


async def judge(product: Rig, jobs: int, found: Findings) -> dict[str, Any]:
    """Hold the database and the forge against the promises."""
    rows = await product.rows(
        """SELECT j.id, j.status, j.attempts, j."organizationId", o."repositoryId", o.number, o."writeKey",
                  j."startedAt", j."completedAt", r.cause
           FROM agent_jobs j JOIN issuewright.job_origins o ON o."jobId" = j.id
           JOIN issuewright.job_runs r ON r."jobId" = j.id"""
    )
    found.expect(len(rows) == jobs, f"{len(rows)} jobs for {jobs} requests")
    odd = Counter((row["status"], row["cause"]) for row in rows) - Counter(
        {("COMPLETED", "no_change_needed"): jobs}
    )
    found.expect(not odd, f"other ends than expected: {dict(odd)}")
    retried = [row for row in rows if row["attempts"] != 1]
    for name, column, most in (("organization", "organizationId", CAP), ("write key", "writeKey", 1)):
        worst = max((overlaps(spans) for spans in spans_by(rows, column).values()), default=0)
        found.expect(worst <= most, f"{worst} jobs ran at once in one {name}")
    judge_threads(product, found)
    ages = sorted(seconds(row["startedAt"]) for row in rows)
    return {"jobs": len(rows), "retried": len(retried), "span_seconds": ages[-1] - ages[0] if ages else 0.0}


def spans_by(rows: list[dict[str, Any]], column: str) -> dict[str, list[tuple[float, float]]]:
    """From when to when each job ran, grouped by *column*."""
    groups: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row[column] is not None and row["completedAt"] is not None:
            span = (seconds(row["startedAt"]), seconds(row["completedAt"]))
            groups.setdefault(row[column], []).append(span)
    return groups


def judge_threads(product: Rig, found: Findings) -> None:
    """Each thread that was asked in has one answer and one reaction."""
    silent, doubled = 0, 0
    for repository in product.forge.world.repositories.values():
        for thread in repository.threads.values():
            asked = any(label.name == LABEL for label in thread.labels)
            silent += asked and not thread.comments
            doubled += len(thread.comments) > 1 or len(thread.reactions) > 1
    found.expect(not silent, f"{silent} threads without an answer")
    found.expect(not doubled, f"{doubled} threads with more than one answer")


async def run(jobs: int, seed: int, folder: Path, *, stack: str = "postgres-redis") -> Findings:
    """The whole of it; prints as it goes."""
    found = Findings()
    ports = [_free_port() for _ in range(WEBS)]
    names = [f"tenant-{number}" for number in range(ORGANIZATIONS)]
    async with (
        stack_environment(stack) as environment,
        rig(folder, book=SHORT_BOOK, environment=environment | USUAL_TIMES) as product,
    ):
        fleet = Fleet(product)
        try:
            await fleet.start(ports)
            for port in ports:
                product.port = port
                await product.until(product.is_ready)
            targets = [f"http://127.0.0.1:{port}/webhooks/github" for port in ports]
            async with splitter(targets, seed) as url:
                product.forge.set_webhook(url, WEBHOOK_SECRET)
                await populate(product.forge, [*names, *LATE])
                await _measure(product, names, jobs, found)
        finally:
            codes = await fleet.stop()
        found.expect(codes == [0] * len(codes), f"exit codes {codes}")
        check_all(product.forge.requests[:2000])
    return found


async def _measure(product: Rig, names: list[str], jobs: int, found: Findings) -> None:
    forge = product.forge
    await late_job(product, LATE[0])  # a warm-up
    idle = [await late_job(product, LATE[0]) for _ in range(3)]
    idle_made, idle_start, idle_end = min(idle, key=lambda one: one[1])
    began = time.monotonic()
    for number in range(jobs):
        await ask(forge, names[number % len(names)])
    say(f"{jobs} requests asked for in {time.monotonic() - began:.1f} s")
    late = await _late(product)
    while open_jobs := await _open_jobs(product):
        say(f"{time.monotonic() - began:7.1f} s, {open_jobs} jobs open")
        await asyncio.sleep(5)
    await forge.settle()
    facts = await judge(product, jobs + 4 + len(late), found)
    minutes = (time.monotonic() - began) / 60
    say(f"{facts['jobs']} jobs in {minutes:.1f} min, {facts['retried']} with more than one attempt")
    idle_words = f"{idle_made:.2f}, {idle_start:.2f}, {idle_end:.2f} s"
    say(f"on an idle system a job was made, started and ended after {idle_words}")
    for word, waits in zip(("made", "started", "ended"), zip(*late, strict=True), strict=True):
        waits_in_order = sorted(waits)
        middle, worst = waits_in_order[len(waits) // 2], waits_in_order[-1]
        say(f"{len(late)} late tenants: {word} after {middle:.2f} s in the middle, {worst:.2f} s at worst")
    for _, start, _ in late:
        found.expect(start <= 2 * idle_end, f"a late tenant waited {start:.2f} s")


async def _open_jobs(product: Rig) -> int:
    (row,) = await product.rows("SELECT count(*) AS n FROM agent_jobs WHERE status IN ('PENDING', 'RUNNING')")
    return int(row["n"])


async def _late(product: Rig) -> list[tuple[float, ...]]:
    """One job each of the late tenants, one after the other, while the others have much to do."""
    late: list[tuple[float, ...]] = []
    for name in LATE:
        if late and await _open_jobs(product) < 2 * ORGANIZATIONS * CAP:
            break
        late.append(await late_job(product, name, 600.0))
        say("{}: made, started, ended after {:.2f}, {:.2f}, {:.2f} s".format(name, *late[-1]))
    return late


def say(words: str) -> None:
    """One line of progress."""
    sys.stderr.write(f"fleet: {words}\n")


def main() -> int:
    """Run it from the command line; 1 where something was broken."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(2**32))
    parser.add_argument("--stack", default="postgres-redis")
    parser.add_argument("--keep", type=Path, help="folder for logs; kept")
    chosen = parser.parse_args()
    say(f"seed {chosen.seed}")
    folder = chosen.keep or Path(tempfile.mkdtemp(prefix="iw-fleet-"))
    folder.mkdir(exist_ok=True, parents=True)
    found = asyncio.run(run(chosen.jobs, chosen.seed, folder, stack=chosen.stack))
    for words in found.broken:
        say(f"BROKEN: {words} (logs in {folder})")
    say("every promise held" if not found.broken else f"{len(found.broken)} promises broken")
    return 1 if found.broken else 0


if __name__ == "__main__":
    sys.exit(main())

"""The whole way on Postgres and Redis: two web processes, three workers, and each request has one effect."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path

from bot.domain.enums import JobStatus
from tests.queue.conftest import members, until
from tests.queue.proxy import line_to
from tests.system import fleet
from tests.system.fleet import Findings, Fleet, splitter
from tests.system.rig import WEBHOOK_SECRET, Rig, _free_port, rig
from tests.system.stacks import SHORT_BOOK, stack_environment
from tests.valkey import Valkey

TENANTS = ("acme", "globex")
JOBS = 4
SLOW_SECONDS = 5.0
GITHUB_WAITS_SECONDS = 10.0


async def _asked_and_ended(product: Rig, jobs: int) -> None:
    for number in range(jobs):
        await fleet.ask(product.forge, TENANTS[number % len(TENANTS)])
    await _all_end(product, jobs)


async def _all_end(product: Rig, jobs: int) -> None:
    sql = "SELECT count(*) AS n FROM agent_jobs WHERE status = :done"

    async def is_over() -> bool:
        (row,) = await product.rows(sql, done=JobStatus.COMPLETED.value)
        return bool(row["n"] == jobs)

    await product.until(is_over, 120)
    await product.forge.settle()


def _valkey(environment: Mapping[str, str]) -> Valkey:
    """The stack's server, to ask it."""
    return Valkey(Path(environment["REDIS_URL"].removeprefix("unix://").split("?")[0]).parent)


async def _start(product: Rig, started: Fleet, ports: list[int]) -> None:
    await started.start(ports)
    for port in ports:
        product.port = port
        await product.until(product.is_ready)


async def test_two_web_processes_and_three_workers_do_each_job_once(tmp_path: Path) -> None:
    """Takes as long as five processes need to start: that they are apart is the subject."""
    ports = [_free_port(), _free_port()]
    async with (
        stack_environment("postgres-redis") as environment,
        rig(tmp_path, book=SHORT_BOOK, environment=environment) as product,
    ):
        started, found = Fleet(product), Findings()
        try:
            await _start(product, started, ports)
            targets = [f"http://127.0.0.1:{port}/webhooks/github" for port in ports]
            async with splitter(targets, seed=1) as url:
                product.forge.set_webhook(url, WEBHOOK_SECRET)
                await fleet.populate(product.forge, TENANTS)
                await _asked_and_ended(product, JOBS)
            await fleet.judge(product, JOBS, found)
            server = _valkey(environment)
            await until(lambda: len(members(server, "completed")) == JOBS)
            assert members(server, "failed") == []
            workers = await product.rows('SELECT "queueWord", concurrency FROM issuewright.workers')
            assert [(row["queueWord"], row["concurrency"]) for row in workers] == [("ok", 5)] * 3
        finally:
            began = time.monotonic()
            codes = await started.stop()
        assert codes == [0] * 5
        assert time.monotonic() - began < 30
        assert found.broken == []


async def test_a_redis_that_is_away_costs_no_delivery_and_no_readiness(tmp_path: Path) -> None:
    """One installation whose Redis is not there yet: received, stored, told; done once Redis comes."""
    async with (
        stack_environment("postgres") as environment,
        rig(
            tmp_path,
            book=SHORT_BOOK,
            environment={**environment, "REDIS_URL": f"unix://{tmp_path}/valkey.sock"},
        ) as product,
    ):
        await product.start()
        product.forge.set_webhook(f"{product.url}/webhooks/github", WEBHOOK_SECRET)
        await fleet.populate(product.forge, TENANTS[:1])
        await fleet.ask(product.forge, TENANTS[0])

        async def is_told() -> bool:
            rows = await product.rows('SELECT "queueWord" AS word FROM issuewright.workers')
            return [row["word"] for row in rows] == ["Redis cannot be reached"]

        await product.until(is_told)
        assert await product.is_ready()

        async def is_over() -> bool:
            rows = await product.rows("SELECT status FROM agent_jobs")
            return [row["status"] for row in rows] == [JobStatus.COMPLETED.value]

        redis = Valkey(tmp_path)
        redis.start()
        try:
            await product.until(is_over)
            assert await product.stop() == 0
        finally:
            redis.kill()


async def test_a_redis_that_is_half_open_or_slow_keeps_no_delivery_waiting(
    tmp_path: Path, play: int, record_property: Callable[[str, object], None]
) -> None:
    """What GitHub sends is answered as ever, and what was asked is done once Redis is itself again."""
    is_slow = play % 2 == 1
    async with (
        stack_environment("postgres-redis") as environment,
        line_to(_valkey(environment).socket) as line,
        rig(tmp_path, book=SHORT_BOOK, environment={**environment, "REDIS_URL": line.url}) as product,
    ):
        await product.start()
        product.forge.set_webhook(f"{product.url}/webhooks/github", WEBHOOK_SECRET)
        await fleet.populate(product.forge, TENANTS[:1])
        await _asked_and_ended(product, 1)
        line.lag_seconds = SLOW_SECONDS if is_slow else 0.0
        if not is_slow:
            line.hold()
        began = time.monotonic()
        await fleet.ask(product.forge, TENANTS[0])
        await product.forge.settle()
        seconds = time.monotonic() - began
        record_property("answer_seconds", seconds)
        assert seconds < GITHUB_WAITS_SECONDS
        assert all(one.is_ok for one in product.forge.deliveries)
        assert await product.is_ready()
        if not is_slow:
            await product.until(lambda: _says(product, "Redis does not answer"))
        began, line.lag_seconds = time.monotonic(), 0.0
        line.release()
        await _all_end(product, 2)
        record_property("resumed_seconds", time.monotonic() - began)
        assert await product.stop() == 0


async def _says(product: Rig, words: str) -> bool:
    rows = await product.rows('SELECT "queueWord" AS word FROM issuewright.workers')
    return [row["word"] for row in rows] == [words]

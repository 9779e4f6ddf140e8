"""A Postgres that is away at the start, restarts in mid-run or drops its connections: late, not lost."""

import asyncio
import hashlib
import hmac
import json
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from bot.db import migrate
from tests import payloads
from tests.postgres import END_OTHER_SESSIONS, Postgres, running_postgres
from tests.system.effects import jobs_of, one_pull_request
from tests.system.places import away
from tests.system.rig import WEBHOOK_SECRET, Rig, rig
from tests.system.test_shutdown import child


@asynccontextmanager
async def on_postgres(folder: Path) -> AsyncIterator[tuple[Rig, Postgres]]:
    """A product that is not started yet, on a Postgres of its own."""
    with running_postgres() as server:
        await server.command("CREATE DATABASE product TEMPLATE template0")
        await migrate.upgrade(server.url("product"))
        url = f"{server.url('product')}&options=-csearch_path%3Dpublic,issuewright"
        async with rig(folder, environment={"DATABASE_URL": url}) as product:
            yield product, server


async def status(product: Rig, path: str) -> int:
    """What the product answers, 0 when it does not."""
    try:
        async with aiohttp.ClientSession() as session, session.get(f"{product.url}{path}") as answer:
            return answer.status
    except aiohttp.ClientError:
        return 0


async def deliver(product: Rig) -> tuple[int, str | None]:
    """Send a signed webhook; the status and Retry-After."""
    body = json.dumps(payloads.issues_event("labeled", label="agent")).encode()
    signature = hmac.new(WEBHOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": "guid-1",
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    url = f"{product.url}/webhooks/github"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status, answer.headers.get("Retry-After")


async def test_a_product_whose_database_is_away_starts_waits_and_comes_up_by_itself(tmp_path: Path) -> None:
    async with on_postgres(tmp_path) as (product, server):
        await asyncio.to_thread(server.stop)
        await product.start(is_awaited=False)

        async def is_alive() -> bool:
            return await status(product, "/healthz") == 200

        await product.until(is_alive)
        assert await status(product, "/readyz") == 503
        code, retry_after = await deliver(product)
        assert (code, bool(retry_after)) == (503, True)
        assert product.said.count("the database does not answer yet") == 1

        async def has_noticed() -> bool:
            log = product.log_dir / "worker.log"
            return log.exists() and "database_away" in log.read_text()

        await product.until(has_noticed)

        await asyncio.to_thread(server.start)
        await product.until(product.is_ready)
        await product.install()
        await one_pull_request(product, await product.ask_by_label())
        for name in ("web", "worker"):
            log = (product.log_dir / f"{name}.log").read_text()
            assert log.count('"database_away"') == 1
            assert log.count('"database_back"') == 1


async def test_a_database_that_comes_without_the_revision_ends_the_start_with_the_command_to_run(
    tmp_path: Path,
) -> None:
    async with on_postgres(tmp_path) as (product, server):
        await migrate.downgrade(server.url("product"), "0004")
        await asyncio.to_thread(server.stop)
        await product.start(is_awaited=False)
        assert product.process is not None
        await product.until(lambda: _says(product, "does not answer yet"))
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(60):
            assert await product.process.wait() == 2
        product.process = None
        assert product.said.count("run `issuewright migrate` once") == 1


async def _says(product: Rig, words: str) -> bool:
    return words in product.said


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT], ids=["restart", "crash"])
async def test_a_database_that_restarts_in_mid_run_costs_neither_job_nor_attempt(
    tmp_path: Path, how: signal.Signals
) -> None:
    async with on_postgres(tmp_path) as (product, server):
        await product.start()
        await product.install()
        product.model.play(away("hang", turn=1, times=1, seconds=2.0))
        number = await product.ask_by_label()

        async def does_hang() -> bool:
            return len(product.model.requests) == 3  # the look, the first turn, and the one that hangs

        await product.until(does_hang)
        children = [child(product, name) for name in ("web", "worker")]
        await asyncio.to_thread(server.stop, how)
        assert (await deliver(product))[0] == 503

        async def has_no_way_to_give_it_back() -> bool:
            return "not_handed_back" in (product.log_dir / "worker.log").read_text()

        await product.until(has_no_way_to_give_it_back)
        await asyncio.to_thread(server.start)
        await one_pull_request(product, number)
        (job,) = await jobs_of(product, number)
        assert job["attempts"] == 1
        assert [child(product, name) for name in ("web", "worker")] == children


async def test_connections_that_drop_again_and_again_lose_nothing_and_double_nothing(tmp_path: Path) -> None:
    async with on_postgres(tmp_path) as (product, server):
        await product.start()
        await product.install()

        async def drop() -> None:
            while True:
                await asyncio.sleep(0.3)
                await server.command(END_OTHER_SESSIONS.replace("current_database()", "'product'"))

        dropping = asyncio.create_task(drop())
        numbers = [await product.ask_by_label() for _ in range(3)]
        await asyncio.sleep(3.0)
        dropping.cancel()
        await asyncio.gather(dropping, return_exceptions=True)
        await product.redeliver()
        for number in numbers:
            await one_pull_request(product, number)

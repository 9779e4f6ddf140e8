"""Leaving: a worker with its hands full is stopped, one is frozen and wakes up late; nothing twice."""

import asyncio
import contextlib
import os
import signal
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from bot.db import migrate
from bot.standin import sample
from tests.postgres import running_postgres
from tests.system.effects import ended, one_pull_request
from tests.system.places import away
from tests.system.rig import Rig, rig
from tests.system.test_shutdown import STOP_SECONDS, child, timed_stop

ORGANIZATIONS = ("acme-one", "acme-two", "acme-three", "acme-four")
JOBS = 10
# One place of five is kept for organizations of which nothing runs.
PLACES = 12
NO_MORE_SECONDS = 1.0
LEASE_SECONDS = 3.0
HANGS_AT_ONCE = away("hang", turn=0)


@asynccontextmanager
async def product_on(kind: str, folder: Path, **environment: str) -> AsyncIterator[Rig]:
    """A product that is not started yet, on the database of that *kind*."""
    if kind == "sqlite":
        async with rig(folder, environment=environment) as product:
            yield product
        return
    with running_postgres() as server:
        await server.command("CREATE DATABASE product TEMPLATE template0")
        await migrate.upgrade(server.url("product"))
        url = f"{server.url('product')}&options=-csearch_path%3Dpublic,issuewright"
        async with rig(folder, environment={"DATABASE_URL": url, **environment}) as product:
            yield product


async def ten_jobs(product: Rig) -> list[tuple[str, int]]:
    """Ten issues of four organizations, each with the label on it: repository and number."""
    asked = []
    for place in range(JOBS):
        owner = ORGANIZATIONS[place % len(ORGANIZATIONS)]
        repository = f"{owner}/pets"
        if place < len(ORGANIZATIONS):
            product.forge.create_user(owner, "Organization")
            await product.forge.create_repository(repository, dict(sample.FILES))
            product.forge.set_permission(repository, sample.PERSON, "write")
            await product.forge.install(owner)
        asked.append((repository, await product.ask_by_label(repository=repository)))
    return asked


async def pulls_of(product: Rig, repository: str) -> int:
    """How many pull requests there are."""
    threads = product.forge.world.repository(repository).threads.values()
    return sum(thread.pull is not None for thread in threads)


async def test_ten_running_jobs_are_handed_back_within_the_grace_and_end_once_elsewhere(
    tmp_path: Path,
) -> None:
    async with product_on("sqlite", tmp_path, AGENT_MAX_CONCURRENCY=str(PLACES)) as product:
        await product.start()
        await product.install()
        product.model.play(HANGS_AT_ONCE)
        asked = await ten_jobs(product)

        async def all_hang() -> bool:
            return len(product.model.requests) >= JOBS

        await product.until(all_hang, timeout_seconds=120)
        # One more that waits: it must not be begun any more.
        asked.append((asked[0][0], await product.ask_by_label(repository=asked[0][0])))
        began = time.time()
        code, seconds = await timed_stop(product)
        assert code == 0
        assert seconds < STOP_SECONDS
        jobs = await product.rows('SELECT status, attempts, "startedAt" FROM agent_jobs')
        assert {(job["status"], job["attempts"]) for job in jobs} == {("PENDING", 0)}
        assert all(_seconds(job["startedAt"]) < began + NO_MORE_SECONDS for job in jobs if job["startedAt"])

        product.model.play(sample.BOOK)
        await product.start()
        await product.redeliver()
        for repository, number in asked:
            assert await end_of(product, repository, number) == ("COMPLETED", 1)
        wanted = {name: sum(repository == name for repository, _ in asked) for name, _ in asked}
        assert {name: await pulls_of(product, name) for name in wanted} == wanted


async def end_of(product: Rig, repository: str, number: int) -> tuple[str, int]:
    """The state and the attempts of the thread's only job, once it has ended."""

    async def has_ended() -> list[dict[str, Any]]:
        return await ended(product, number, repository)

    (job,) = await product.until(has_ended, timeout_seconds=180)
    return job["status"], job["attempts"]


def _seconds(stored: Any) -> float:
    """The Unix time of a stored instant (SQLite: text, UTC)."""
    return datetime.fromisoformat(str(stored)).replace(tzinfo=UTC).timestamp()


async def freeze(worker: int, product: Rig) -> None:
    """SIGSTOP at a moment at which it holds no lock: on SQLite nobody could write until it wakes."""
    while True:
        os.kill(worker, signal.SIGSTOP)
        database = product.folder / "data" / "issuewright.db"
        if not database.exists() or is_free(database):
            return
        os.kill(worker, signal.SIGCONT)
        await asyncio.sleep(0.01)


def is_free(database: Path) -> bool:
    """Whether somebody else can write into the file."""
    with contextlib.closing(sqlite3.connect(database, timeout=0.5, isolation_level=None)) as connection:
        try:
            connection.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            return False
        connection.execute("ROLLBACK")
        return True


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_a_worker_that_was_frozen_for_two_leases_is_refused_when_it_wakes(
    kind: str, tmp_path: Path
) -> None:
    async with product_on(kind, tmp_path) as product:
        await product.start()
        await product.install()
        product.model.play(away("hang", turn=1, times=1, seconds=2 * LEASE_SECONDS))
        number = await product.ask_by_label()

        async def does_hang() -> bool:
            return len(product.model.requests) == 3  # the look, the first turn, and the one that hangs

        await product.until(does_hang)
        frozen = child(product, "worker")
        await freeze(frozen, product)
        try:
            async with product.one_more_worker():
                await one_pull_request(product, number)
                os.kill(frozen, signal.SIGCONT)

                async def has_noticed() -> bool:
                    return "lease_lost" in (product.log_dir / "worker.log").read_text()

                await product.until(has_noticed)
        finally:
            os.kill(frozen, signal.SIGCONT)
        await one_pull_request(product, number)
        assert child(product, "worker") == frozen

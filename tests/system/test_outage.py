"""The product is away while GitHub delivers: what was missed comes in by itself, once."""

import contextlib
import sqlite3
from pathlib import Path

from bot.standin import sample
from bot.standin.forge.faults import Hang
from tests.system.effects import FOUND, one_pull_request
from tests.system.rig import Rig, rig

MISSED = 200
OFTEN = {"ISSUEWRIGHT_SWEEP_SECONDS": "1", "ISSUEWRIGHT_RECONCILE_SECONDS": "1"}


async def missing(product: Rig) -> set[str]:
    """The GUIDs of the events that GitHub tried to deliver and we do not have."""
    wanted = {one.guid for one in product.forge.deliveries if one.event != "pull_request"}
    return wanted - {row["guid"] for row in await product.rows("SELECT guid FROM deliveries")}


async def has_all(product: Rig) -> bool:
    """Whether nothing is missing."""
    return not await missing(product)


async def sweeps(product: Rig) -> int:
    """How often the log was read so far."""
    return sum(one.path == "/app/hook/deliveries" for one in product.forge.requests)


async def test_after_an_outage_with_200_missed_deliveries_200_are_taken_in_and_then_none(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, environment={**OFTEN, "AGENT_ENABLED": "false"}) as product:
        await product.install()
        number = await product.forge.open_issue(sample.REPOSITORY, sample.PERSON, "Many", "words")
        await product.forge.settle()
        product.forge.deliveries.clear()
        for count in range(MISSED):
            await product.forge.comment(sample.REPOSITORY, number, sample.PERSON, f"comment {count}")
        await product.forge.settle()
        assert not any(one.is_ok for one in product.forge.deliveries)
        product.forge.redeliver_failed()
        await product.forge.settle()

        await product.start()
        await product.until(lambda: has_all(product))
        before = await sweeps(product)
        await product.until(lambda: _is_above(product, before + 1))

        rows = await product.rows("SELECT source, count(*) AS n FROM deliveries GROUP BY source")
        assert rows == [{"source": "sweep", "n": MISSED}]
        fetched = sum("/app/hook/deliveries/" in one.path for one in product.forge.requests)
        assert fetched == MISSED


async def _is_above(product: Rig, count: int) -> bool:
    return await sweeps(product) > count


async def test_a_label_put_on_during_an_outage_becomes_one_pull_request(tmp_path: Path) -> None:
    async with rig(tmp_path, environment=OFTEN) as product:
        await product.install()
        number = await product.ask_by_label()
        await product.forge.settle()

        await product.start()
        await product.until(product.finished_jobs)
        await one_pull_request(product, number)


def copy_database(origin: Path, target: Path) -> None:
    """A copy as `sqlite3 .backup` makes it, of a database that is in use."""
    with (
        contextlib.closing(sqlite3.connect(origin)) as read,
        contextlib.closing(sqlite3.connect(target)) as to,
    ):
        read.backup(to)


async def test_a_restored_older_database_finds_what_stands_on_github_and_doubles_nothing(
    tmp_path: Path,
) -> None:
    async with rig(tmp_path, environment=OFTEN) as product:
        await product.start()
        await product.install()
        product.forge.faults.add("GET", r"/issues/\d+$", Hang())
        number = await product.ask_by_label()
        await product.forge.faults.until_hanging()
        path = tmp_path / "data" / "issuewright.db"
        copy_database(path, tmp_path / "backup.db")
        product.forge.faults.clear()
        await one_pull_request(product, number)
        assert await product.stop() == 0

        for leftover in path.parent.glob("issuewright.db*"):
            leftover.unlink()
        copy_database(tmp_path / "backup.db", path)
        assert not await product.finished_jobs()
        await product.start()
        await product.until(product.finished_jobs)
        await one_pull_request(product, number, FOUND)

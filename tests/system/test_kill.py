"""Power cuts: the whole process group dies at some moment, is started again, and the effect is one.

`ISSUEWRIGHT_TEST_SEED=… pytest tests/system/test_kill.py` plays the moments of an earlier run again.
"""

import asyncio
import os
import random
import time
from pathlib import Path
from typing import NamedTuple

import pytest

from bot.standin.forge.faults import Hang
from tests.system.effects import one_pull_request
from tests.system.rig import SHORT_TIMES, Rig, rig

SEED = os.environ.get("ISSUEWRIGHT_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
RUNS = int(os.environ.get("ISSUEWRIGHT_TEST_KILLS", "5"))
LEASE_SECONDS = SHORT_TIMES["ISSUEWRIGHT_LEASE_SECONDS"]
_undisturbed_seconds: list[float] = []


class Request(NamedTuple):
    """One of a job's writes, as the forge sees it."""

    method: str
    path: str


REACTION = Request("POST", r"/issues/\d+/reactions$")
COMMENT = Request("POST", r"/issues/\d+/comments$")
TREE = Request("POST", r"/git/trees$")
COMMIT = Request("POST", r"/git/commits$")
BRANCH = Request("POST", r"/git/refs$")
PULL = Request("POST", r"/pulls$")
ASSIGN = Request("POST", r"/assignees$")
EDIT = Request("PATCH", r"/issues/comments/\d+$")
WRITES = [REACTION, COMMENT, TREE, COMMIT, BRANCH, PULL, ASSIGN, EDIT]
CREATIONS = [COMMENT, BRANCH, PULL]


async def undisturbed_seconds(folder: Path) -> float:
    """From the label to the end of a job that nobody disturbs; measured once a test process."""
    if not _undisturbed_seconds:
        folder.mkdir()
        async with rig(folder) as product:
            await working(product)
            began = time.monotonic()
            number = await product.ask_by_label()
            await one_pull_request(product, number)
            _undisturbed_seconds.append(time.monotonic() - began)
    return _undisturbed_seconds[0]


async def working(product: Rig) -> None:
    """Start the product and wait until its worker is there."""
    await product.start()
    await product.install()
    await product.until(product.is_working)


async def power_cut(product: Rig) -> None:
    """Kill everything, start it again, and let the operator redeliver what was missed."""
    await product.kill()
    product.forge.faults.clear()
    await product.start()
    await product.redeliver()


@pytest.mark.parametrize("run", range(RUNS))
async def test_a_power_cut_at_any_moment_leaves_one_effect(run: int, tmp_path: Path) -> None:
    duration = await undisturbed_seconds(tmp_path / "undisturbed")
    moment = random.Random(f"{SEED}:{run}").uniform(0, duration)
    print(
        f"ISSUEWRIGHT_TEST_SEED={SEED}, run {run}: killed {moment:.3f} s of {duration:.3f} s after the label"
    )
    async with rig(tmp_path) as product:
        await working(product)
        number = await product.ask_by_label()
        await asyncio.sleep(moment)
        await power_cut(product)

        await one_pull_request(product, number)


@pytest.mark.parametrize("write", WRITES, ids=lambda write: write.path.strip("/$"))
async def test_a_write_that_landed_before_the_power_cut_is_not_made_again(
    write: Request, tmp_path: Path
) -> None:
    await _cut_at(write, tmp_path, has_landed=True)


@pytest.mark.parametrize("write", CREATIONS, ids=lambda write: write.path.strip("/$"))
async def test_a_write_that_was_lost_in_the_power_cut_is_made(write: Request, tmp_path: Path) -> None:
    await _cut_at(write, tmp_path, has_landed=False)


async def _cut_at(write: Request, folder: Path, *, has_landed: bool) -> None:
    """Kill the product while it waits for the answer to *write*, handled or not."""
    async with rig(folder) as product:
        await working(product)
        product.forge.faults.add(write.method, write.path, Hang(is_after=has_landed))
        number = await product.ask_by_label()
        await product.until(lambda: _hangs(product))
        await power_cut(product)

        await one_pull_request(product, number)
        assert len([one for one in product.forge.requests if one.fault]) == 1


async def _hangs(product: Rig) -> bool:
    """Whether a request got no answer, and the lease is back to its short length meanwhile."""
    long = await product.rows(
        "SELECT 1 FROM job_runs WHERE \"leaseUntil\" > strftime('%Y-%m-%d %H:%M:%f', 'now', :seconds)",
        seconds=f"+{LEASE_SECONDS} seconds",
    )
    return any(one.fault for one in product.forge.requests) and not long

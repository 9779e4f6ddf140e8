"""Power cuts: the whole process group dies at some moment, is started again, and the effect is one.

`ISSUEWRIGHT_TEST_SEED=… pytest -s tests/system/test_kill.py` plays the moments of an earlier run again;
`ISSUEWRIGHT_TEST_KILLS=30` plays more of them.
"""

import asyncio
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from bot.standin.forge.faults import Hang
from tests.system.effects import one_pull_request
from tests.system.rig import SHORT_TIMES, Rig, rig

SEED = os.environ.get("ISSUEWRIGHT_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
RUNS = int(os.environ.get("ISSUEWRIGHT_TEST_KILLS", "5"))
LEASE_SECONDS = SHORT_TIMES["ISSUEWRIGHT_LEASE_SECONDS"]
_measured_seconds: list[float] = []


class Write(NamedTuple):
    """One of a job's writes, as the forge sees it."""

    method: str
    path: str


REACTION = Write("POST", r"/issues/\d+/reactions$")
COMMENT = Write("POST", r"/issues/\d+/comments$")
TREE = Write("POST", r"/git/trees$")
COMMIT = Write("POST", r"/git/commits$")
BRANCH = Write("POST", r"/git/refs$")
PULL = Write("POST", r"/pulls$")
ASSIGN = Write("POST", r"/assignees$")
EDIT = Write("PATCH", r"/issues/comments/\d+$")


@pytest.mark.parametrize("run", range(RUNS))
async def test_a_power_cut_at_any_moment_leaves_one_effect(run: int, tmp_path: Path) -> None:
    async with rig(tmp_path) as product:
        await _working(product)
        duration = await _undisturbed_seconds(product)
        moment = random.Random(f"{SEED}:{run}").uniform(0, duration)
        print(f"ISSUEWRIGHT_TEST_SEED={SEED}, run {run}: dies {moment:.3f} of {duration:.3f} s")  # noqa: T201
        number = await product.ask_by_label()
        await asyncio.sleep(moment)
        await _power_cut(product)

        await one_pull_request(product, number)


@pytest.mark.parametrize(
    ("writes", "has_landed"),
    [
        ([REACTION, TREE, BRANCH, ASSIGN], True),
        ([COMMENT, COMMIT, PULL, EDIT], True),
        ([COMMENT, BRANCH, PULL], False),
    ],
)
async def test_a_write_is_made_once_whether_or_not_it_landed_before_the_power_cut(
    writes: Sequence[Write], has_landed: bool, tmp_path: Path
) -> None:
    async with rig(tmp_path) as product:
        await _working(product)
        for write in writes:
            product.forge.faults.add(write.method, write.path, Hang(is_after=has_landed))
            number = await product.ask_by_label()
            await product.forge.faults.until_hanging()
            await product.until(lambda: _is_lease_short(product))
            await _power_cut(product)

            await one_pull_request(product, number)


async def _working(product: Rig) -> None:
    """Start the product and wait until its worker is there."""
    await product.start()
    await product.install()
    await product.until(product.is_working)


async def _undisturbed_seconds(product: Rig) -> float:
    """From the label to the end of a job that nobody disturbs; measured once a test process."""
    if not _measured_seconds:
        began = time.monotonic()
        await one_pull_request(product, await product.ask_by_label())
        _measured_seconds.append(time.monotonic() - began)
    return _measured_seconds[0]


async def _power_cut(product: Rig) -> None:
    """Kill everything, start it again, and let the operator redeliver what was missed."""
    await product.kill()
    product.forge.faults.clear()
    await product.start()
    await product.redeliver()


async def _is_lease_short(product: Rig) -> bool:
    """Whether no lease is held for a request alone, so that the next owner need not wait for long."""
    long = await product.rows(
        "SELECT 1 FROM job_runs WHERE \"leaseUntil\" > strftime('%Y-%m-%d %H:%M:%f', 'now', :seconds)",
        seconds=f"+{LEASE_SECONDS} seconds",
    )
    return not long

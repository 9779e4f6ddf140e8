"""Power cuts: the whole process group dies at some moment, is started again, and the effect is one.

`ISSUEWRIGHT_TEST_SEED=… pytest -s tests/system/test_kill.py` plays the moments of an earlier run again;
`ISSUEWRIGHT_TEST_KILLS=30` plays more of them.
"""

import asyncio
import contextlib
import itertools
import json
import os
import random
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import aiohttp
import pytest

from bot.standin.forge.faults import Hang
from tests import payloads
from tests.system.effects import one_pull_request
from tests.system.rig import SHORT_TIMES, WEBHOOK_SECRET, Rig, rig
from tests.web.conftest import signed

SEED = os.environ.get("ISSUEWRIGHT_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
LEASE_SECONDS = SHORT_TIMES["ISSUEWRIGHT_LEASE_SECONDS"]
_measured_seconds: list[float] = []


class Write(NamedTuple):
    """One of a job's writes, as the forge sees it."""

    method: str
    path: str


COMMENT = Write("POST", r"/issues/\d+/comments$")
PULL = Write("POST", r"/pulls$")


async def test_a_power_cut_at_any_moment_leaves_one_effect(tmp_path: Path) -> None:
    async with rig(tmp_path) as product:
        await _working(product)
        duration = await _undisturbed_seconds(product)
        moment = random.Random(SEED).uniform(0, duration)
        print(f"ISSUEWRIGHT_TEST_SEED={SEED}: dies {moment:.3f} of {duration:.3f} s")  # noqa: T201
        number = await product.ask_by_label()
        await asyncio.sleep(moment)
        await _power_cut(product)

        await one_pull_request(product, number)


@pytest.mark.parametrize("has_landed", [True, False])
async def test_a_write_is_made_once_whether_or_not_it_landed_before_the_power_cut(
    has_landed: bool, tmp_path: Path
) -> None:
    """Every write of every kind of job is cut in tests/chaos; these are the two that cost most."""
    async with rig(tmp_path) as product:
        await _working(product)
        for write in (COMMENT,) if has_landed else (PULL,):
            product.forge.faults.add(write.method, write.path, Hang(is_after=has_landed))
            number = await product.ask_by_label()
            await product.forge.faults.until_hanging()
            await product.until(lambda: _is_lease_short(product))
            await _power_cut(product)

            await one_pull_request(product, number)


async def test_what_was_answered_2xx_is_stored_whenever_the_power_cut_comes(tmp_path: Path) -> None:
    async with rig(tmp_path) as product, aiohttp.ClientSession() as session:
        await product.start("--no-worker")
        accepted: list[str] = []
        url = f"{product.url}/webhooks/github"

        async def post_for_ever(sender: int) -> None:
            for number in itertools.count():
                guid = f"{sender}-{number}"
                body = json.dumps(payloads.issues_event("labeled", of=payloads.issue(guid))).encode()
                headers = signed(body, guid=guid, secret=WEBHOOK_SECRET)
                async with session.post(url, data=body, headers=headers) as answer:
                    accepted.extend([guid] if answer.status == 202 else [])

        senders = [asyncio.create_task(post_for_ever(sender)) for sender in range(8)]
        await product.until(lambda: _are_more_than(accepted, 100))
        await product.kill()
        await asyncio.gather(*senders, return_exceptions=True)
        stored = {row["guid"] for row in await product.rows("SELECT guid FROM deliveries")}
        assert set(accepted) <= stored


async def _are_more_than(things: Sequence[str], number: int) -> bool:
    return len(things) > number


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
    await product.until(lambda: _is_all_gone(product))
    product.forge.faults.clear()
    await product.start()
    await product.redeliver()


async def _is_all_gone(product: Rig) -> bool:
    """Whether no process that worked in the product's folder is left: tool host, git or sandbox."""
    return not _processes_in(product.folder / "data")


def _processes_in(folder: Path) -> list[str]:
    """The ids of the processes whose command names the folder."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            found += [process.name] if os.fsencode(folder) in (process / "cmdline").read_bytes() else []
    return found


async def _is_lease_short(product: Rig) -> bool:
    """Whether no lease is held for a request alone, so that the next owner need not wait for long."""
    long = await product.rows(
        "SELECT 1 FROM job_runs WHERE \"leaseUntil\" > strftime('%Y-%m-%d %H:%M:%f', 'now', :seconds)",
        seconds=f"+{LEASE_SECONDS} seconds",
    )
    return not long

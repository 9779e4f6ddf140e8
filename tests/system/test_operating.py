"""The operator's commands and /metrics, beside the running product."""

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

import aiohttp

from tests.system.rig import Rig, rig


async def command(product: Rig, *words: str) -> Any:
    """What `issuewright … --json` says, run as a person would beside the service."""
    running = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bot.cli.main", *words, "--json"),
        env=product.environment,
        cwd=product.folder,
        stdout=asyncio.subprocess.PIPE,
    )
    out, _ = await running.communicate()
    assert running.returncode == 0
    return json.loads(out)


async def metrics(product: Rig) -> str:
    """What /metrics says."""
    async with aiohttp.ClientSession() as session, session.get(f"{product.url}/metrics") as answer:
        assert answer.status == 200
        return await answer.text()


async def test_an_operator_sees_a_request_from_its_delivery_to_its_pull_request(tmp_path: Path) -> None:
    async with rig(tmp_path) as product:
        await product.start()
        await product.install()
        number = await product.ask_by_label()
        await product.until(product.finished_jobs)

        (job,) = await command(product, "jobs", "list")
        assert (job["status"], job["cause"], job["number"]) == ("COMPLETED", "pull_request", number)
        story = await command(product, "jobs", "show", job["id"])
        assert {write["state"] for write in story["operations"]} == {"done"}
        assert any("/pull/" in (write["remoteUrl"] or "") for write in story["operations"])

        delivery_id = story["request"]["deliveryId"]
        delivery = await command(product, "deliveries", "show", delivery_id, "--payload")
        assert (delivery["state"], delivery["action"]) == ("DISPATCHED", "labeled")
        assert [each["id"] for each in delivery["jobs"]] == [job["id"]]
        assert delivery["payload"]["issue"]["number"] == number

        (outcome,) = await command(product, "deliveries", "replay", delivery_id)
        assert outcome["isReplayed"]

        async def is_dispatched() -> bool:
            (row,) = await product.rows("SELECT state FROM deliveries WHERE id = :id", id=delivery_id)
            return str(row["state"]) == "DISPATCHED"

        await product.until(is_dispatched)
        assert len(await command(product, "jobs", "list")) == 1, "a replayed request finds its job"

        told = await metrics(product)
        assert 'issuewright_jobs_ended_total{cause="pull_request",state="completed"} 1.0' in told
        assert "issuewright_job_start_age_seconds_count 1.0" in told
        assert 'issuewright_github_writes_total{kind="pull_request"} 1.0' in told

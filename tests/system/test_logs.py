"""The log of both processes: whoever has one id finds everything that belongs to it."""

import json
from pathlib import Path
from typing import Any

from tests.system.rig import Rig, rig

FORGED = 'Crash\n{"event": "forged", "level": "info"}\r\n\x1b[2J\u2028{"event": "forged"}'


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Each line as the object it must be; a field that stands twice in one fails the test."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        names = [name for name, _ in pairs]
        assert len(names) == len(set(names)), names
        return dict(pairs)

    text = path.read_text()
    assert text.isascii() and "\x1b" not in text
    return [json.loads(line, object_pairs_hook=unique) for line in text.splitlines()]


async def one_job(product: Rig) -> dict[str, Any]:
    """Ask for work under a hostile title, and wait for its end; the job."""
    await product.start()
    await product.install()
    await product.ask_by_label(title=FORGED)
    (job,) = await product.until(product.finished_jobs)
    assert await product.stop() == 0
    return dict(job)


async def test_a_delivery_can_be_followed_to_its_job_and_every_line_of_it(tmp_path: Path) -> None:
    async with rig(tmp_path) as product:
        job = await one_job(product)
        origins = await product.rows('SELECT "deliveryId" FROM job_origins')
        (delivery_id,) = [row["deliveryId"] for row in origins]
        (stored,) = await product.rows("SELECT guid FROM deliveries WHERE id = :id", id=delivery_id)
    web, worker = (read_lines(product.log_dir / f"{name}.log") for name in ("web", "worker"))

    assert any(delivery_id in json.dumps(line) and stored["guid"] in json.dumps(line) for line in web)
    (submitted,) = [line for line in worker if line["event"] == "job_submitted"]
    assert (submitted["delivery_id"], submitted["job_id"]) == (delivery_id, job["id"])

    begin = next(at for at, line in enumerate(worker) if line["event"] == "job_claimed")
    end = next(at for at, line in enumerate(worker) if line["event"] == "job_settled")
    own = [
        line for line in worker[begin : end + 1] if line["logger"].startswith("bot.") and "chore" not in line
    ]
    for line in (line for line in own if "job_id" in line):
        assert (line["job_id"], line["delivery_id"]) == (job["id"], delivery_id)
        assert {"issue_id", "fence", "installation_id", "repository_id", "worker_id"} <= line.keys()
    assert {"job_claimed", "job_frozen", "write_done", "job_settled"} <= {
        line["event"] for line in own if "job_id" in line
    }
    assert not [line for line in web + worker if line["event"] == "forged"]
    assert all({"timestamp", "level", "event", "logger", "process"} <= line.keys() for line in web + worker)

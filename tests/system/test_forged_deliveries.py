"""Deliveries that are signed and yet not right: replayed, under another name, or joining what is apart."""

import hmac
import json
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import aiohttp

from bot.standin import sample
from tests.system import hostile
from tests.system.rig import WEBHOOK_SECRET, Rig, rig

STRANGER: Final = "mallory"
THEIRS: Final = "mallory/bait"
SLOW: Final = {"kind": "hang", "seconds": 3, "turn": 0}
Change = Callable[[dict[str, Any]], None]


async def _send(product: Rig, event: str, payload: dict[str, Any] | bytes) -> int:
    """Sign a payload as GitHub does and deliver it under a new id; the status."""
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": event,
        "X-GitHub-Delivery": str(uuid.uuid4()),
        "X-Hub-Signature-256": "sha256=" + hmac.new(WEBHOOK_SECRET.encode(), body, "sha256").hexdigest(),
    }
    url = f"{product.url}/webhooks/github"
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        return answer.status


def _delivered(product: Rig, action: str) -> bytes:
    """The body of the last delivery of an `issues` event with this action."""
    found = [one for one in product.forge.deliveries if (one.event, one.action) == ("issues", action)]
    return found[-1].payload


def _put(place: str, value: object) -> Change:
    """A change that sets `a.b.c` of a payload, and its time, so that the body is a new request."""
    *ways, last = place.split(".")

    def change(payload: dict[str, Any]) -> None:
        payload["issue"]["updated_at"] = f"2026-01-01T00:00:{len(place) % 60:02}Z"
        for way in ways:
            payload = payload[way]
        payload[last] = value

    return change


async def _all_dispatched(product: Rig) -> bool:
    return not await product.rows("SELECT id FROM deliveries WHERE state = 'received'")


async def test_signed_bodies_that_are_not_right_have_no_effect(tmp_path: Path) -> None:
    book = {**sample.BOOK, "faults": [SLOW]}
    async with rig(tmp_path, book=book) as product:
        product.forge.create_user(STRANGER)
        theirs = await product.forge.create_repository(THEIRS, {"README.md": "bait\n"})
        await product.start()
        await product.install()
        foreign = await product.forge.install(STRANGER)
        number = await product.ask_by_label()
        await product.until(lambda: product.rows("SELECT id FROM agent_jobs WHERE status = 'RUNNING'"))
        genuine = _delivered(product, "labeled")
        stranger = product.forge.world.users[STRANGER]

        assert await _send(product, "issues", genuine) == 202
        assert await _send(product, "issue_comment", genuine) == 202
        for change in (
            _put("installation.id", foreign),
            _put("installation.id", 10**12),
            _put("repository.id", theirs),
            _put("sender", {"login": STRANGER, "id": stranger.id, "type": "User"}),
            _put("sender.id", stranger.id),
            _put("sender.login", "\uff4dona"),
            _put("sender.login", "mona/../mallory"),
            _put("sender.type", "Bot"),
            _put("issue.number", -1),
            _put("issue.id", "1"),
            _put("repository.full_name", "octo-bakery/../../app"),
            _put("label.name", "agent\u200b"),
            _put("issue.title", {"$ne": None}),
        ):
            payload = json.loads(genuine)
            change(payload)
            assert await _send(product, "issues", payload) in {200, 202, 400}
        closed = {**json.loads(genuine), "action": "closed", "installation": {"id": foreign}}
        assert await _send(product, "issues", closed) == 202
        await product.until(lambda: _all_dispatched(product))

        job = await hostile.job_of(product, number)
        assert (job["status"], job["cause"]) == ("COMPLETED", "pull_request")
        assert await _own_jobs(product) == [number]
        (known,) = await product.rows("SELECT * FROM repositories WHERE id = :id", id=_id(product))
        assert known["fullName"] == sample.REPOSITORY
        said = (product.log_dir / "worker.log").read_text()
        assert "repository_unconfirmed" in said and "end_unconfirmed" in said
        assert not [one for one in product.forge.requests if THEIRS in one.path and one.status == 200]


def _id(product: Rig) -> int:
    return product.forge.world.repository(sample.REPOSITORY).id


async def _own_jobs(product: Rig) -> list[int]:
    """The numbers of all issues for which there is a job."""
    return [row["number"] for row in await product.rows("SELECT number FROM job_origins ORDER BY number")]

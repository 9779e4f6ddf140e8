"""The web application on a recording inbox, asked over real HTTP."""

import asyncio
import hashlib
import hmac
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import orjson
import pytest
from aiohttp import ClientSession, web

from bot.config import Secret
from bot.db.deliveries import Accepted, IncomingDelivery
from bot.domain.enums import Tier
from bot.web.app import make_app
from bot.web.deps import Facts, WebDeps, WorkerFacts
from bot.web.server import KEEPALIVE_SECONDS, LINGER_SECONDS, serve_until
from tests.fakes import ManualClock

SECRET = "It's a Secret to Everybody"
OLD_SECRET = "the secret that is being replaced"
HOOK = "/webhooks/github"


class RecordingInbox:
    """Keeps deliveries in memory by the rules of the real one: same target and GUID, or same body."""

    def __init__(self) -> None:
        self.stored: list[IncomingDelivery] = []
        self.failure: BaseException | None = None

    async def store(self, delivery: IncomingDelivery) -> Accepted:
        if self.failure:
            raise self.failure
        for number, known in enumerate(self.stored):
            if self._key(known) == self._key(delivery) or known.digest == delivery.digest:
                return Accepted(f"d{number}", is_new=False, state=known.state)
        self.stored.append(delivery)
        return Accepted(f"d{len(self.stored) - 1}", is_new=True, state=delivery.state)

    @staticmethod
    def _key(delivery: IncomingDelivery) -> tuple[str, str, str]:
        return delivery.target_type, delivery.target_id, delivery.guid


@dataclass
class KnownStatus:
    """Says what a test has put into it."""

    known: Facts | None

    async def is_ready(self) -> bool:
        return self.known is not None

    async def facts(self) -> Facts | None:
        return self.known


def worker(clock: ManualClock, **changes: Any) -> WorkerFacts:
    """A worker that has just said that all is well."""
    fine = WorkerFacts("0.1.0", clock.now(), Tier.SANDBOX, model_word="ok", github_word="ok")
    return replace(fine, **changes)


@dataclass
class Site:
    """The application behind its real server, what it was given, and a client for it."""

    client: ClientSession
    port: int
    inbox: RecordingInbox
    status: KnownStatus
    clock: ManualClock
    rings: list[None] = field(default_factory=list)

    async def post(self, body: bytes, headers: Mapping[str, str]) -> tuple[int, Any]:
        """Send *body* as it is; returns the status and the JSON of the answer."""
        async with self.client.post(HOOK, data=body, headers=headers) as response:
            return response.status, await response.json()

    async def deliver(
        self, payload: object, event: str = "issues", guid: str = "guid-1", **headers: str
    ) -> tuple[int, Any]:
        """Send *payload* signed, as GitHub does; *headers* with `_` for `-` are added."""
        body = payload if isinstance(payload, bytes) else orjson.dumps(payload)
        extra = {name.replace("_", "-"): text for name, text in headers.items()}
        return await self.post(body, signed(body, event=event, guid=guid) | extra)


@asynccontextmanager
async def running(
    app: web.Application,
    *,
    keepalive_seconds: float = KEEPALIVE_SECONDS,
    linger_seconds: float = LINGER_SECONDS,
) -> AsyncIterator[tuple[ClientSession, int]]:
    """Serve *app* as the product does; gives a client and the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    stop = asyncio.Event()
    serving = asyncio.create_task(
        serve_until(stop, app, listener, keepalive_seconds=keepalive_seconds, linger_seconds=linger_seconds)
    )
    try:
        async with ClientSession(f"http://127.0.0.1:{port}", auto_decompress=False) as client:
            yield client, port
    finally:
        stop.set()
        await serving


def signature(body: bytes, secret: str = SECRET) -> str:
    """The header that GitHub computes."""
    return f"sha256={hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()}"


def signed(
    body: bytes, *, event: str = "issues", guid: str = "guid-1", secret: str = SECRET
) -> dict[str, str]:
    """The headers of a delivery of *body*."""
    return {
        "Content-Type": "application/json",
        "User-Agent": "GitHub-Hookshot/044aadd",
        "X-GitHub-Delivery": guid,
        "X-GitHub-Event": event,
        "X-GitHub-Hook-ID": "292430182",
        "X-GitHub-Hook-Installation-Target-ID": "4242",
        "X-GitHub-Hook-Installation-Target-Type": "integration",
        "X-Hub-Signature-256": signature(body, secret),
    }


@pytest.fixture
def deps(clock: ManualClock) -> WebDeps:
    """What the application is given; `ring` does nothing yet."""
    facts = Facts((worker(clock),), pending=2, running=1, failed_last_hour=0, queue={"waiting": 2})
    return WebDeps(
        inbox=RecordingInbox(),
        status=KnownStatus(facts),
        ring=lambda: None,
        clock=clock,
        webhook_secrets=(Secret(SECRET), Secret(OLD_SECRET)),
    )


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def site(deps: WebDeps, clock: ManualClock) -> AsyncIterator[Site]:
    rings: list[None] = []
    app = make_app(replace(deps, ring=lambda: rings.append(None)))
    assert isinstance(deps.inbox, RecordingInbox) and isinstance(deps.status, KnownStatus)
    async with running(app) as (client, port):
        yield Site(client, port, deps.inbox, deps.status, clock, rings)


def stale(clock: ManualClock) -> WorkerFacts:
    """A worker that has been silent for too long."""
    return worker(clock, heartbeat_at=clock.now() - timedelta(seconds=31))

"""The web process is killed after it has stored a delivery and before anybody has read its answer."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final

import aiohttp
from aiohttp import web
from sqlalchemy import select

from bot.db import tables
from tests.chaos.installation import Installation
from tests.chaos.plan import Tally
from tests.system.rig import WEBHOOK_SECRET

_HEADERS: Final = ("X-", "Content-T")
_LOOK_SECONDS: Final = 0.0005
_STORE_SECONDS: Final = 60.0
_STORED_FIRST: Final = 0.8


@dataclass(slots=True)
class Sieve:
    """Stands between forge and web process; the answer to a delivery that is waited for gets lost here."""

    installation: Installation
    session: aiohttp.ClientSession
    is_armed: bool = False
    struck: "asyncio.Queue[str]" = field(default_factory=asyncio.Queue)

    async def receive(self, request: web.Request) -> web.Response:
        """Hand a webhook on; when armed, kill the web process once its row is there, and answer nothing."""
        body = await request.read()
        headers = {name: text for name, text in request.headers.items() if name.startswith(_HEADERS)}
        sending = asyncio.create_task(self._forward(headers, body))
        if self.is_armed and request.headers["X-GitHub-Event"] == "issues" and b'"labeled"' in body[:40]:
            self.is_armed = False
            await self._strike(request.headers["X-GitHub-Delivery"])
            await sending
            return _nothing(request)
        status = await sending
        return web.Response(status=status) if status else _nothing(request)

    async def _strike(self, guid: str) -> None:
        """Kill the web process when the row is there (mostly), or at some moment near to it."""
        dice = self.installation.case.random
        if dice.random() < _STORED_FIRST:
            how = "stored" if await self._until_stored(guid) else "never stored"
        else:
            await asyncio.sleep(dice.uniform(0, 0.01))
            how = "any moment"
        await self.installation.web.kill_child("web")
        self.struck.put_nowait(how)

    async def _until_stored(self, guid: str) -> bool:
        table, end = tables.deliveries, time.monotonic() + _STORE_SECONDS
        while time.monotonic() < end:
            async with self.installation.database.read() as connection:
                if await connection.scalar(select(table.c.id).where(table.c.guid == guid)):
                    return True
            await asyncio.sleep(_LOOK_SECONDS)
        return False

    async def _forward(self, headers: dict[str, str], body: bytes) -> int | None:
        """The web process's own answer; None when it gave none."""
        url = f"{self.installation.product.url}/webhooks/github"
        with contextlib.suppress(aiohttp.ClientError, OSError):
            async with self.session.post(url, data=body, headers=headers) as answer:
                return answer.status
        return None


async def web_kills(installation: Installation, tally: Tally) -> None:
    """As often as the case says: ask, let the delivery be stored, kill, redeliver."""
    async with _sieve(installation) as sieve:
        for _ in range(installation.case.kills):
            sieve.is_armed = True
            await installation.ask(is_change=False)
            tally.note(await asyncio.wait_for(sieve.struck.get(), 60.0))
            tally.kills += 1
            await installation.until_ready()
            installation.product.forge.redeliver_failed()
        await installation.until_over()


def _nothing(request: web.Request) -> web.Response:
    """No answer at all: the connection breaks off."""
    request.protocol.force_close()
    if request.transport is not None:
        request.transport.abort()
    return web.Response(status=500)


@asynccontextmanager
async def _sieve(installation: Installation) -> AsyncIterator[Sieve]:
    """The forge's webhooks go through a sieve while the block runs."""
    async with aiohttp.ClientSession() as session:
        sieve = Sieve(installation, session)
        app = web.Application(client_max_size=32 * 1024 * 1024)
        app.router.add_post("/webhooks/github", sieve.receive)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}/webhooks/github"
        installation.product.forge.set_webhook(url, WEBHOOK_SECRET)
        try:
            yield sieve
        finally:
            target = f"{installation.product.url}/webhooks/github"
            installation.product.forge.set_webhook(target, WEBHOOK_SECRET)
            await runner.cleanup()

"""The whole stand-in as one object with a start and a stop."""

import asyncio
import tempfile
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path

from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.standin.forge import attachments, control, events, pages, transport
from bot.standin.forge.clock import ForgeClock
from bot.standin.forge.deliveries import Deliveries, Delivery
from bot.standin.forge.faults import Faults
from bot.standin.forge.gate import Gate
from bot.standin.forge.owners import Owners
from bot.standin.forge.people import People
from bot.standin.forge.record import Exchange
from bot.standin.forge.rest import Rest
from bot.standin.forge.routes.table import ROUTES
from bot.standin.forge.stage import Stage
from bot.standin.forge.world import World

_MAX_BODY_BYTES = 256 * 1024 * 1024
_STOP_SECONDS = 2.0
_KEY_BITS = 2048
BY_NUMBER = "/repositories/{repository_id}"
DEFAULT_EVENTS = (
    "issues",
    "issue_comment",
    "pull_request",
    "pull_request_review",
    "pull_request_review_comment",
    "check_run",
    "check_suite",
)
DEFAULT_PERMISSIONS = {
    "metadata": "read",
    "contents": "write",
    "issues": "write",
    "pull_requests": "write",
    "checks": "write",
}


@cache
def new_private_key() -> str:
    """An RSA key in PEM, made once per process."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=_KEY_BITS)
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    ).decode()


def public_key(private_key: str) -> str:
    """The public half of a PEM private key, in PEM; raises ValueError when it is none."""
    key = serialization.load_pem_private_key(private_key.encode(), password=None)
    return (
        key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode()
    )


class Forge(People, Owners):
    """A GitHub with one App; its state lives as long as the object, its repositories under `root`."""

    def __init__(
        self,
        *,
        root: Path | None = None,
        app_id: int = 424_242,
        slug: str = "issuewright",
        private_key: str | None = None,
        permissions: Mapping[str, str] | None = None,
        subscribed: Sequence[str] = DEFAULT_EVENTS,
        clock: ForgeClock | None = None,
        is_anonymous_clone_allowed: bool = False,
    ) -> None:
        """Nothing listens yet; without a *private_key* the forge makes one for the App."""
        self._folder = tempfile.TemporaryDirectory(prefix="forge-") if root is None else None
        folder = root if self._folder is None else Path(self._folder.name)
        self.private_key = private_key or new_private_key()
        self.world = World(folder or Path(), clock or ForgeClock(), app_id, slug)
        self.world.app.public_keys.append(public_key(self.private_key))
        self.world.app.permissions.update(DEFAULT_PERMISSIONS if permissions is None else permissions)
        self.world.app.events.extend(subscribed)
        queue = Deliveries(self.world.clock, lambda: self.world.new_id("delivery"), app_id)
        self.stage = Stage(self.world, queue)
        self.faults = Faults()
        self.requests: list[Exchange] = []
        self._is_anonymous_clone_allowed = is_anonymous_clone_allowed
        self._runner: web.AppRunner | None = None

    @property
    def app_id(self) -> int:
        """The App's id."""
        return self.world.app.id

    @property
    def clock(self) -> ForgeClock:
        """The forge's time."""
        return self.world.clock

    @property
    def api_url(self) -> str:
        """The base of the REST interface, known after `start`."""
        return self.world.url

    @property
    def git_url(self) -> str:
        """The base of git over HTTP (`<git_url>/<owner>/<name>.git`), known after `start`."""
        return self.world.url

    @property
    def deliveries(self) -> list[Delivery]:
        """All webhook attempts, oldest first."""
        return self.stage.deliveries.record

    async def start(self, port: int = 0, host: str = "127.0.0.1") -> None:
        """Listen (0: any free port) and begin to send webhooks; raises OSError when the port is taken."""
        app = web.Application(client_max_size=_MAX_BODY_BYTES)
        gate = Gate(self.world.clock, self.faults, self.requests)
        rest = Rest(self.stage, gate)
        control.add_routes(app, self)
        git = transport.GitTransport(self.stage, gate, is_anonymous_allowed=self._is_anonymous_clone_allowed)
        app.router.add_route("*", transport.PATH, git.serve)
        for route in ROUTES:
            for path in {route.path, route.path.replace("/repos/{owner}/{repo}", BY_NUMBER, 1)}:
                app.router.add_route(route.method, path, rest.handler(route))
        shelf = attachments.Shelf(self.world)
        app.router.add_get(attachments.PATH, shelf.serve)
        app.router.add_get(attachments.SIGNED_PATH, shelf.serve_signed)
        app.router.add_get(pages.PATH, pages.Pages(self.stage).serve)
        app.router.add_route("*", "/{anything:.*}", rest.no_such_route)
        runner = web.AppRunner(app, auto_decompress=False, access_log=None, shutdown_timeout=_STOP_SECONDS)
        await runner.setup()
        site = web.TCPSite(runner, host, port)
        await site.start()
        self._runner = runner
        actual = runner.addresses[0][1]
        self.world.url = f"http://{host}:{actual}"
        await self.stage.deliveries.start()

    async def stop(self) -> None:
        """Stop listening and sending; a temporary folder is removed. The second time does nothing."""
        self.faults.clear()
        await self.stage.deliveries.stop()
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
        if self._folder is not None:
            await asyncio.to_thread(self._folder.cleanup)

    def set_webhook(self, url: str | None, secret: str) -> None:
        """Where the App's webhooks go; without a URL none are made."""
        self.stage.deliveries.set_target(url, secret)

    def ping(self) -> None:
        """Send a `ping`."""
        events.ping(self.stage)

    def redeliver_failed(self) -> int:
        """Send again every event whose last attempt failed; how many."""
        return self.stage.deliveries.redeliver_failed()

    async def settle(self) -> None:
        """Wait until every webhook queued so far has been sent."""
        await self.stage.deliveries.settle()

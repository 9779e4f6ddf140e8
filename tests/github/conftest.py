"""A forge with one repository, and the App's own client in front of it."""

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from bot.github.app import GitHubApp
from bot.github.repository import RepositoryApi
from bot.github.transport import Transport
from bot.standin.forge.clock import ForgeClock
from bot.standin.forge.forge import Forge
from tests.fakes import ManualClock, MemoryLimits
from tests.openapi import check_all

REPOSITORY = "octo/pets"
WRITES = {"contents": "write", "issues": "write", "pull_requests": "write"}


@dataclass
class Hub:
    """A forge with the App installed on one repository, and our client."""

    forge: Forge
    app: GitHubApp
    api: RepositoryApi
    limits: MemoryLimits
    installation_id: int
    repository_id: int
    issue: int


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
async def forge(clock: ManualClock) -> AsyncIterator[Forge]:
    """A running forge on our own time; whatever was asked of it must be what GitHub documents."""
    made = Forge(clock=ForgeClock(lambda: clock.now().timestamp()))
    await made.start()
    yield made
    await made.stop()
    check_all(made.requests)


@pytest.fixture
def limits(clock: ManualClock) -> MemoryLimits:
    return MemoryLimits(clock)


@pytest.fixture
async def hub(
    forge: Forge, session: aiohttp.ClientSession, clock: ManualClock, limits: MemoryLimits
) -> AsyncIterator[Hub]:
    files: dict[str, str | bytes] = {
        "README.md": "# Pets\n",
        "src/a b#c.py": "x = 1\n",
        "logo.png": b"\x89PNG\xff\x00",
        "data.json": "{}\n",
    }
    repository_id = await forge.create_repository(REPOSITORY, files)
    installation_id = await forge.install("octo")
    issue = await forge.open_issue(REPOSITORY, "maria", "The dog meows", "It should bark.")
    app = GitHubApp(
        api_url=forge.api_url,
        app_id=forge.app_id,
        private_keys=[forge.private_key],
        session=session,
        clock=clock,
        limits=limits,
    )
    async with app.lend(installation_id, repository_id, WRITES) as loan:
        api = app.repository(REPOSITORY, loan)
        yield Hub(forge, app, api, limits, installation_id, repository_id, issue)


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    """Start a server that answers everything with one handler; gives its URL."""
    runners: list[web.AppRunner] = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{anything:.*}", handler)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        runners.append(runner)
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
def transport_to(
    session: aiohttp.ClientSession, clock: ManualClock, limits: MemoryLimits
) -> Callable[[str], Transport]:
    """Build a transport to a URL, with bounds small enough to reach."""

    def build(url: str) -> Transport:
        return Transport(
            session, api_url=url, clock=clock, limits=limits, timeout_seconds=0.3, max_bytes=1_000
        )

    return build

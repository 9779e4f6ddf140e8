"""The demo's processes: the stand-ins as one child, the product as another."""

import asyncio
import contextlib
import json
import os
import secrets
import signal
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from bot.cli.children import clean_environment
from bot.errors import UserError

READY_SECONDS: Final = 90.0
STOP_SECONDS: Final = 35.0
POLL_SECONDS: Final = 0.1
MAX_RESTARTS: Final = 5
_MAX_LINE_BYTES: Final = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Played:
    """Where the stand-ins listen, the App's key that only this demo knows, and what a person asks there."""

    forge_url: str
    git_url: str
    model_url: str
    app_id: int
    private_key: str = field(repr=False)
    owner: str
    repository: str
    person: str
    label: str
    title: str
    body: str


@dataclass(slots=True)
class StandIns:
    """GitHub and Claude, played on this machine; they live until `stop`."""

    process: asyncio.subprocess.Process
    at: Played
    session: aiohttp.ClientSession

    @classmethod
    async def start(cls, folder: Path, api_key: str, session: aiohttp.ClientSession) -> "StandIns":
        """Start the child and read where it listens."""
        words = ["-P", "-m", "bot.standin", "--root", str(folder / "forge"), "--api-key", api_key]
        with (folder / "logs" / "standin.log").open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                *words,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=clean_environment(os.environ),
                start_new_session=True,
                limit=_MAX_LINE_BYTES,
            )
        assert process.stdout is not None  # noqa: S101 - asked for above
        line = await process.stdout.readline()
        if not line:
            raise UserError(f"the stand-ins did not start; see {folder / 'logs' / 'standin.log'}")
        return cls(process, Played(**json.loads(line)), session)

    async def do(self, action: str, **given: object) -> Any:
        """One lever of the forge (`/_forge/<action>`); what it answers."""
        url = f"{self.at.forge_url}/_forge/{action}"
        async with self.session.post(url, json=given) as answer:
            found = await answer.json()
            if answer.status != 200:
                raise UserError(f"the stand-in refused {action}: {found}")
            return found

    async def state(self) -> dict[str, Any]:
        """Everything that stands on the stand-in GitHub."""
        async with self.session.get(f"{self.at.forge_url}/_forge/state") as answer:
            found: dict[str, Any] = await answer.json()
            return found

    async def stop(self) -> None:
        """Close the child's standard input, which ends it."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(STOP_SECONDS):
                await self.process.wait()


@dataclass(slots=True)
class Product:
    """`issuewright serve`, in a process group of its own, with nothing but its settings."""

    folder: Path
    port: int
    environment: dict[str, str]
    session: aiohttp.ClientSession
    restarts: int = 0
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def database_url(self) -> str:
        """Its SQLite file, for looking."""
        return f"sqlite+aiosqlite:///{self.folder / 'data' / 'issuewright.db'}"

    async def start(self) -> None:
        """Start it and wait until it can receive.

        Raises:
            UserError: It ended, or did not become ready; the sentence names its log.
        """
        log_path = self.folder / "logs" / "supervisor.log"
        words = ["-P", "-m", "bot.cli.main", "serve", "--port", str(self.port)]
        with log_path.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                *words,
                "--log-dir",
                str(self.folder / "logs"),
                env=self.environment,
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stderr=log,
                start_new_session=True,
            )
        try:
            async with asyncio.timeout(READY_SECONDS):
                await self._ready(log_path)
        except TimeoutError as error:
            raise UserError(f"the product did not become ready; see {log_path}") from error

    async def _ready(self, log_path: Path) -> None:
        """Return when it can receive."""
        while not await self._is_ready():
            if self.process is None or self.process.returncode is not None:
                raise UserError(f"the product ended at once; see {log_path}")
            await asyncio.sleep(POLL_SECONDS)

    async def _is_ready(self) -> bool:
        try:
            async with self.session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    async def restart_if_dead(self) -> bool:
        """Start it again when it died; whether it had.

        Raises:
            UserError: It keeps dying.
        """
        if self.process is None or self.process.returncode is None:
            return False
        self.restarts += 1
        if self.restarts > MAX_RESTARTS:
            raise UserError(f"the product died {self.restarts} times; see {self.folder / 'logs'}")
        await self.start()
        return True

    async def stop(self) -> None:
        """SIGTERM, and SIGKILL to the group if that is not enough."""
        if self.process is None or self.process.returncode is not None:
            return
        self.process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await self.process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            await self.process.wait()


def product_environment(
    folder: Path, at: Played, *, webhook_secret: str | None, api_key: str
) -> dict[str, str]:
    """The product's whole environment: a clean one, and its settings with made-up secrets.

    Without a webhook secret it fetches what GitHub has for it. Its waits are short, because the
    stand-in GitHub has no limits to respect.
    """
    intake = (
        {"ISSUEWRIGHT_PULL": "true", "ISSUEWRIGHT_PULL_SECONDS": "0.5"}
        if webhook_secret is None
        else {"GITHUB_WEBHOOK_SECRET": webhook_secret}
    )
    return {
        **clean_environment(os.environ),
        "ISSUEWRIGHT_DATA_DIR": str(folder / "data"),
        "GITHUB_APP_ID": str(at.app_id),
        "GITHUB_PRIVATE_KEY": at.private_key,
        **intake,
        "GITHUB_API_URL": at.forge_url,
        "GITHUB_URL": at.git_url,
        "ANTHROPIC_API_KEY": api_key,
        "ANTHROPIC_BASE_URL": at.model_url,
        "ISSUEWRIGHT_LEASE_SECONDS": "6",
        "ISSUEWRIGHT_HEARTBEAT_SECONDS": "1",
        "ISSUEWRIGHT_LOOK_WINDOW_SECONDS": "2",
        "ISSUEWRIGHT_WRITE_PACE_SECONDS": "0.2",
        "ISSUEWRIGHT_BACKOFF_SECONDS": "0.5",
        "ISSUEWRIGHT_POLL_SECONDS": "0.5",
    }


def made_up_secret() -> str:
    """A random value that is worth nothing outside this demo."""
    return secrets.token_hex(24)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port

"""The whole product as its own processes, between a forge and a model that live in the test."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import aiohttp

from bot.db.database import Database
from bot.standin import sample
from bot.standin.forge.forge import Forge
from bot.standin.model.server import ModelServer
from tests.openapi import check_all

WEBHOOK_SECRET: Final = "canary-webhook-secret-3f9c1d7e5b"
MODEL_KEY: Final = "sk-ant-canary-model-key-8a41c0de77"
READY_SECONDS: Final = 60.0
SHORT_TIMES: Final = {
    "ISSUEWRIGHT_LEASE_SECONDS": "3",
    "ISSUEWRIGHT_HEARTBEAT_SECONDS": "0.5",
    "ISSUEWRIGHT_LOOK_WINDOW_SECONDS": "1",
    "ISSUEWRIGHT_WRITE_PACE_SECONDS": "0.05",
    "ISSUEWRIGHT_BACKOFF_SECONDS": "0.3",
    "ISSUEWRIGHT_POLL_SECONDS": "0.2",
}


@dataclass(slots=True)
class Rig:
    """One installation of the product; `environment` is all that its supervisor sees."""

    folder: Path
    forge: Forge
    model: ModelServer
    port: int
    environment: dict[str, str]
    process: asyncio.subprocess.Process | None = field(default=None)

    @property
    def url(self) -> str:
        """Where the product listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log_dir(self) -> Path:
        """The logs of web and worker, a file each."""
        return self.folder / "logs"

    @property
    def database_url(self) -> str:
        """The product's database."""
        default = f"sqlite+aiosqlite:///{self.folder / 'data' / 'issuewright.db'}"
        return self.environment.get("DATABASE_URL", default)

    async def start(self, *arguments: str, is_awaited: bool = True) -> None:
        """Start `issuewright serve` in a process group of its own and wait until it is ready."""
        with (self.folder / "supervisor.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",
                "-m",
                "bot.cli.main",
                "serve",
                "--port",
                str(self.port),
                "--log-dir",
                str(self.log_dir),
                *arguments,
                env=self.environment,
                cwd=self.folder,
                stderr=log,
                start_new_session=True,
            )
        if is_awaited:
            await self.until(self.is_ready, READY_SECONDS)

    async def is_ready(self) -> bool:
        """Whether /readyz answers 200; fails at once when the product has ended instead."""
        assert self.process is None or self.process.returncode is None, self.said
        try:
            async with aiohttp.ClientSession() as session, session.get(f"{self.url}/readyz") as answer:
                return answer.status == 200
        except aiohttp.ClientError:
            return False

    @property
    def said(self) -> str:
        """What the supervisor has told the terminal so far."""
        return (self.folder / "supervisor.log").read_text()

    async def is_working(self) -> list[dict[str, Any]]:
        """The rows of the workers that are alive now."""
        return await self.rows("SELECT * FROM workers WHERE \"heartbeatAt\" > datetime('now', '-2 seconds')")

    @asynccontextmanager
    async def one_more_worker(self, data: str = "data") -> AsyncIterator[asyncio.subprocess.Process]:
        """One more `issuewright worker` on the same database, stopped at the end; *data* names its folder."""
        with (self.folder / f"{data}-worker.log").open("ab") as log:
            worker = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", "bot.cli.main", "worker"),
                env={**self.environment, "ISSUEWRIGHT_DATA_DIR": str(self.folder / data)},
                cwd=self.folder,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield worker
        finally:
            if worker.returncode is None:
                worker.terminate()
                assert await worker.wait() == 0

    async def redeliver(self) -> None:
        """Send failed webhooks again until each has arrived, as an operator would."""
        await self.forge.settle()
        async with asyncio.timeout(READY_SECONDS):
            while self.forge.redeliver_failed():
                await self.forge.settle()

    async def kill(self) -> None:
        """SIGKILL to the product's whole process group, as a power cut would."""
        assert self.process is not None
        os.killpg(self.process.pid, signal.SIGKILL)
        await self.process.wait()
        self.process = None

    async def stop(self) -> int:
        """SIGTERM, as a service manager would; the exit code."""
        assert self.process is not None
        self.process.terminate()
        code = await self.process.wait()
        self.process = None
        return code

    async def until(self, is_so: Callable[[], Awaitable[Any]], timeout_seconds: float = 60.0) -> Any:
        """Look again and again until *is_so* gives something true; its value."""
        async with asyncio.timeout(timeout_seconds):
            while not (found := await is_so()):  # noqa: ASYNC110 - other processes are looked at
                await asyncio.sleep(0.05)
        return found

    async def rows(self, sql: str, **values: object) -> list[dict[str, Any]]:
        """What the product's database answers to *sql* (SQLite: without schema names)."""
        from sqlalchemy import text

        database = Database(self.database_url)
        try:
            async with database.read() as connection:
                found = await connection.execute(text(sql), values)
                return [dict(row) for row in found.mappings().all()]
        finally:
            await database.close()

    async def finished_jobs(self) -> list[dict[str, Any]]:
        """The jobs with their causes, once there are some and all of them are final."""
        jobs = await self.rows(
            'SELECT j.*, r.cause FROM agent_jobs j JOIN job_runs r ON r."jobId" = j.id ORDER BY j.id'
        )
        is_over = jobs and all(job["status"] in {"COMPLETED", "FAILED", "CANCELLED"} for job in jobs)
        return jobs if is_over else []

    async def install(self) -> None:
        """Point the App's webhook at the product and install the App on the sample's account."""
        self.forge.set_webhook(f"{self.url}/webhooks/github", WEBHOOK_SECRET)
        await self.forge.install(sample.OWNER)

    async def ask_by_label(
        self,
        title: str = sample.TITLE,
        body: str = sample.BODY,
        *,
        repository: str = sample.REPOSITORY,
        label: str = sample.LABEL,
        others: Sequence[str] = (),
    ) -> int:
        """Open an issue, with the labels *others*, as a person and put *label* on it; its number."""
        number = await self.forge.open_issue(repository, sample.PERSON, title, body, others)
        await self.forge.add_label(repository, number, label, sample.PERSON)
        return number

    def thread(self, number: int) -> Any:
        """The forge's own state of a thread."""
        return self.forge.world.repository(sample.REPOSITORY).threads[number]


@asynccontextmanager
async def rig(
    folder: Path,
    *,
    book: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
    environment: Mapping[str, str] | None = None,
) -> AsyncIterator[Rig]:
    """A forge with the sample repository, a model that plays *book*, a product that is not started yet.

    At the end everything is stopped, and every exchange with GitHub is held against its description.
    """
    forge, model = Forge(root=folder / "forge"), ModelServer(dict(book or sample.BOOK), api_key=MODEL_KEY)
    await forge.start()
    await model.start()
    forge.create_user(sample.OWNER, "Organization")
    forge.create_user(sample.PERSON)
    await forge.create_repository(sample.REPOSITORY, dict(files or sample.FILES))
    forge.set_permission(sample.REPOSITORY, sample.PERSON, "write")
    product = Rig(folder, forge, model, _free_port(), _environment(folder, forge, model, environment or {}))
    product.log_dir.mkdir()
    try:
        yield product
        check_all(forge.requests)
    finally:
        if product.process is not None:
            await product.stop()
        await model.stop()
        await forge.stop()


def _environment(folder: Path, forge: Forge, model: ModelServer, more: Mapping[str, str]) -> dict[str, str]:
    passed = {name: value for name, value in os.environ.items() if name in {"PATH", "HOME", "LANG"}}
    passed |= {name: value for name, value in os.environ.items() if name.startswith(("COVERAGE_", "COV_"))}
    return {
        **passed,
        "PYTHONPATH": str(Path(__file__).parents[2]),
        "ISSUEWRIGHT_DATA_DIR": str(folder / "data"),
        "GITHUB_APP_ID": str(forge.app_id),
        "GITHUB_PRIVATE_KEY": forge.private_key,
        "GITHUB_WEBHOOK_SECRET": WEBHOOK_SECRET,
        "GITHUB_API_URL": forge.api_url,
        "GITHUB_URL": forge.git_url,
        "ANTHROPIC_API_KEY": MODEL_KEY,
        "ANTHROPIC_BASE_URL": model.url,
        **SHORT_TIMES,
        **more,
    }


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port

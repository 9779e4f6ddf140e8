"""A Node process with bullmq and bull-board, as package-lock.json pins them."""

import asyncio
import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.runner.conftest import *  # noqa: F403 (its fixtures: a worker of real parts)
from tests.valkey import Valkey

HERE = Path(__file__).parent
CACHE = HERE.parents[1] / ".issuewright" / "node"
INSTALL_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Board:
    """bull-board's own API, and what bullmq says of a job."""

    url: str
    session: aiohttp.ClientSession

    async def job(self, job_id: str) -> Any:
        """Name, data, state and reason, as bullmq reads them."""
        async with self.session.get(f"{self.url}/job/{job_id}") as answer:
            return await answer.json()

    async def listed(self, status: str) -> list[dict[str, Any]]:
        """The jobs that bull-board shows in *status*."""
        query = {"activeQueue": "issuewright", "status": status, "page": "1"}
        async with self.session.get(f"{self.url}/board/api/queues", params=query) as answer:
            (queue,) = (await answer.json())["queues"]
            jobs: list[dict[str, Any]] = queue["jobs"]
            return jobs

    async def counts(self) -> dict[str, int]:
        """How many jobs bull-board counts in each state."""
        async with self.session.get(f"{self.url}/board/api/queues") as answer:
            (queue,) = (await answer.json())["queues"]
            counts: dict[str, int] = queue["counts"]
            return counts

    async def retry(self, job_id: str) -> int:
        """Press "retry" on a job; the answer's code."""
        url = f"{self.url}/board/api/queues/issuewright/{job_id}/retry"
        async with self.session.put(url) as answer:
            return answer.status

    async def add(self, job_id: str) -> None:
        """Add a job of another system with this id."""
        async with self.session.post(f"{self.url}/add/{job_id}") as answer:
            assert answer.status == 200


def _installed() -> Path:
    """The folder with the pinned packages; installed once for each lock file."""
    lock = (HERE / "package-lock.json").read_bytes()
    folder = CACHE / hashlib.sha256(lock).hexdigest()[:16]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        for name in ("package.json", "package-lock.json", ".npmrc", "board.mjs"):
            shutil.copy(HERE / name, folder / name)
        if not (folder / "installed").exists():
            command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=INSTALL_SECONDS, check=False
            )
            assert done.returncode == 0, done.stderr[:2000]
            (folder / "installed").touch()
    return folder


@pytest.fixture(scope="session")
def node_folder() -> Path:
    """Where the Node process is started."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js is not installed here")
    return _installed()


@pytest.fixture
async def board(node_folder: Path, valkey: Valkey) -> AsyncIterator[Board]:
    """A Node process on the test's server; listens on the loopback, ends with the test."""
    process = await asyncio.create_subprocess_exec(
        *("node", "board.mjs", str(valkey.socket)),
        cwd=node_folder,
        env={"PATH": os.environ["PATH"]},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    async with asyncio.timeout(60):
        port = json.loads(await process.stdout.readline())["port"]
    try:
        async with aiohttp.ClientSession() as session:
            yield Board(f"http://127.0.0.1:{port}", session)
    finally:
        process.kill()
        await process.wait()

"""Fixtures of the workspace tests: a git server, a workspace, a running tool host."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from bot.domain.ports import ToolHost
from bot.domain.values import RepositoryRef
from bot.workspace import history
from bot.workspace.workspace import Checkout, Workspace
from tests.workspace.githttp import TOKEN, GitServer, serve

REPOSITORY = RepositoryRef(7, "octo/hello")
FILES: dict[str, bytes | str] = {
    "README.md": "# Hello\n",
    "src/hello.py": "def hello():\n    return 'helo'\n",
    "src/windows.txt": b"one\r\ntwo\r\n",
    "tests/test_hello.py": "import unittest\n",
    ".github/workflows/ci.yml": "on: push\n",
    "pyproject.toml": "[project]\n",
    "logo.png": b"\x89PNG\0\0",
}


async def log(workspace: Workspace, sha: str, *, path: str | None, limit: int) -> str:
    """The history of *sha* from the mirror of the sample repository."""
    return await history.log(workspace._git, workspace._mirror(REPOSITORY), sha, path=path, limit=limit)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[GitServer]:
    """A git server with nothing on it."""
    async with serve(tmp_path / "server") as running:
        yield running


@pytest.fixture
def workspace(tmp_path: Path, server: GitServer) -> Workspace:
    """A workspace that fetches from the server."""
    return Workspace(tmp_path / "data", git_url=server.url, verify_timeout_seconds=60)


@pytest.fixture
async def checkout(server: GitServer, workspace: Workspace) -> Checkout:
    """The sample repository, checked out."""
    sha = server.repository(REPOSITORY.full_name, FILES)
    return await workspace.checkout(REPOSITORY, sha, TOKEN, "job1")


@pytest.fixture
async def host(workspace: Workspace, checkout: Checkout) -> AsyncIterator[ToolHost]:
    """A tool host on the sample repository."""
    running = await workspace.open_host(checkout)
    yield running
    await running.close()

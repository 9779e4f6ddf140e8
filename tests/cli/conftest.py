"""The command with stand-ins for its children, as a real process."""

import asyncio
import ctypes
import json
import os
import select
import subprocess
import sys
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import pytest

from bot.cli import main
from bot.db.database import Database
from tests.keys import new_key

_SET_DUMPABLE = 4
PATIENCE_SECONDS = 60
SCRIPT = Path(__file__).with_name("run_with_standins.py")
CANARIES = {
    "ANTHROPIC_API_KEY": "sk-ant-canary-of-the-model-key",
    "GITHUB_APP_ID": "4242",
    "GITHUB_WEBHOOK_SECRET": "canary-of-the-webhook-secret",
}


@pytest.fixture(autouse=True)
def this_process_stays_open() -> Iterator[None]:
    """Undo what a command run inside this process does to it."""
    yield
    ctypes.CDLL(None).prctl(_SET_DUMPABLE, 1, 0, 0, 0)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment of a full start."""
    beginnings = ("COVERAGE_", "PYTHON")
    kept = {name: text for name, text in os.environ.items() if name == "PATH" or name.startswith(beginnings)}
    own = {"ISSUEWRIGHT_DATA_DIR": str(tmp_path / "data"), "UNRELATED": "canary-unrelated"}
    return kept | CANARIES | {"GITHUB_PRIVATE_KEY": new_key()} | own


class Command:
    """A started command; `reports` reads what its children say about themselves."""

    def __init__(
        self, words: list[str], behaviours: dict[str, str], environ: dict[str, str], cwd: Path
    ) -> None:
        self.process = subprocess.Popen(
            [sys.executable, str(SCRIPT), json.dumps(behaviours), *words],
            env=environ,
            cwd=cwd,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
        self._unread = b""

    def line(self) -> dict[str, Any]:
        """The next line of a child; a command that says nothing fails the test instead of hanging it."""
        while b"\n" not in self._unread:
            assert self.process.stdout
            assert select.select([self.process.stdout], [], [], PATIENCE_SECONDS)[0], "nothing was said"
            more = os.read(self.process.stdout.fileno(), 65_536)
            assert more, "the command has ended"
            self._unread += more
        line, self._unread = self._unread.split(b"\n", 1)
        read: dict[str, Any] = json.loads(line)
        return read

    def told(self) -> str:
        """The next line for the person at the terminal."""
        assert self.process.stderr
        return self.process.stderr.readline().decode()

    def reports(self, *names: str) -> dict[str, dict[str, Any]]:
        """The reports of the children *names*, in whatever order they come."""
        found: dict[str, dict[str, Any]] = {}
        while set(found) != set(names):
            line = self.line()
            if line["name"] in names and "pid" in line:
                found[line["name"]] = line
        return found

    def end(self) -> tuple[int, str]:
        """Wait for the end; returns the exit code and the rest of stderr."""
        code = self.process.wait(timeout=PATIENCE_SECONDS)
        assert self.process.stderr
        return code, self.process.stderr.read().decode()

    def close(self) -> None:
        """End what is still running, and give the pipes back."""
        if self.process.poll() is None:
            self.process.terminate()
            self.process.wait(timeout=PATIENCE_SECONDS)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe
            pipe.close()


@pytest.fixture
def start(environ: dict[str, str], tmp_path: Path) -> Iterator[Callable[..., Command]]:
    """Start the command with *words*; everything that it left behind is ended."""
    started: list[Command] = []

    def run(*words: str, behaviours: dict[str, str] | None = None) -> Command:
        started.append(Command(list(words), behaviours or {}, environ, tmp_path))
        return started[-1]

    yield run
    for command in started:
        command.close()


@dataclass(frozen=True, slots=True)
class Said:
    """What a command came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """The one JSON document on stdout."""
        return json.loads(self.out)


Operate: TypeAlias = Callable[..., Awaitable[Said]]


@pytest.fixture
def operate(
    database: Database,
    database_url: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> Operate:
    """Run a command on the database of the test, as a person would beside the running service."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", database_url)

    async def run(*words: str) -> Said:
        capsys.readouterr()
        code = await asyncio.to_thread(main.main, list(words))
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run

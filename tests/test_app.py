"""What each process of the supervisor does, run inside this one."""

import asyncio
import ctypes
import hashlib
import hmac
import json
import os
import signal
import socket
import sqlite3
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import aiohttp
import pytest

from bot import app, logs
from bot.config import Secret, Settings, to_json
from bot.db import migrate
from bot.process import Doorbell
from tests import payloads
from tests.keys import new_key
from tests.postgres import Postgres

SET_PDEATHSIG, SET_DUMPABLE = 1, 4
WAIT_SECONDS = 30.0
HOOK_SECRET = "a webhook secret of this test"
PASSWORD = "hunter2-of-the-database"
NOBODY = "http://127.0.0.1:1"


@pytest.fixture(autouse=True)
def this_process_stays_as_it_was() -> Iterator[None]:
    on_signals = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    yield
    ctypes.CDLL(None).prctl(SET_DUMPABLE, 1, 0, 0, 0)
    ctypes.CDLL(None).prctl(SET_PDEATHSIG, 0, 0, 0, 0)
    for number, handler in on_signals.items():
        signal.signal(number, handler)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A start on a new SQLite file, with a GitHub and a model that are not there."""
    return Settings(
        data_dir=tmp_path,
        database_url=f"sqlite+aiosqlite:///{tmp_path / 'issuewright.db'}",
        anthropic_api_key=Secret("sk-ant-of-this-test"),
        anthropic_base_url=NOBODY,
        github_app_id=4242,
        github_private_keys=(Secret(new_key()),),
        github_webhook_secrets=(Secret(HOOK_SECRET),),
        github_api_url=NOBODY,
        github_url=NOBODY,
        poll_seconds=0.05,
    )


def child(name: str, settings: Settings | str, **descriptors: int) -> list[str]:
    """The words with which the supervisor starts a child; the settings are in a pipe."""
    reader, writer = os.pipe()
    os.write(writer, (settings if isinstance(settings, str) else to_json(settings)).encode())
    os.close(writer)
    words = [name, "--parent-pid", str(os.getppid()), "--settings-fd", str(reader)]
    for option, number in descriptors.items():
        words += [f"--{option}-fd", str(number)]
    return words


def stop_when(is_ready: Callable[[], bool]) -> threading.Thread:
    """Send SIGTERM to this process as soon as *is_ready*."""

    def watch() -> None:
        end = time.monotonic() + WAIT_SECONDS
        while time.monotonic() < end and not is_ready():
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    return thread


def answers(port: int) -> bool:
    """Whether the web process says that it is ready."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def has_worker(settings: Settings) -> bool:
    """Whether a worker has said that it lives."""
    with sqlite3.connect(settings.data_dir / "issuewright.db") as connection:
        found = connection.execute("SELECT count(*) FROM workers").fetchone()
    connection.close()
    return bool(found[0])


# ── how it is started ────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("words", [[], ["nobody"], ["web", "--socket-fd", "x"]])
def test_a_start_that_no_supervisor_makes_is_refused(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        app.main(words)
    assert ended.value.code == 2
    assert "usage: bot.app" in capsys.readouterr().err


def test_a_child_whose_parent_is_gone_does_not_start(settings: Settings) -> None:
    words = child("prepare", settings)
    words[2] = str(os.getppid() + 1)
    with pytest.raises(SystemExit, match="has ended"):
        app.main(words)
    assert not (settings.data_dir / "issuewright.db").exists()


def test_settings_that_are_none_do_not_start() -> None:
    with pytest.raises(ValueError, match="not settings"):
        app.main(child("prepare", "{}"))


# ── prepare ──────────────────────────────────────────────────────────────────────────────────────
def test_prepare_makes_the_database(settings: Settings) -> None:
    assert app.main(child("prepare", settings)) == 0
    assert asyncio.run(migrate.current(settings.database_url)) == migrate.head()
    assert app.main(child("prepare", settings)) == 0


def test_prepare_says_what_is_wrong_with_the_database_and_ends_with_2(
    settings: Settings, postgres: Postgres, capsys: pytest.CaptureFixture[str]
) -> None:
    url = f"postgresql+asyncpg://me:{PASSWORD}@/nothing?host={postgres.folder}"
    assert app.main(child("prepare", replace(settings, database_url=url))) == 2
    said = capsys.readouterr()
    assert "DATABASE_URL: the database cannot be used" in said.err
    assert PASSWORD not in said.err + said.out


def test_prepare_says_that_a_database_is_away_and_lets_the_others_start(
    settings: Settings, capsys: pytest.CaptureFixture[str]
) -> None:
    away = replace(settings, database_url=f"postgresql+asyncpg://me:{PASSWORD}@127.0.0.1:1/x")
    assert app.main(child("prepare", away)) == 0
    said = capsys.readouterr()
    assert "the database does not answer yet (ConnectionRefusedError" in said.err
    assert len(said.err.splitlines()) == 1
    assert PASSWORD not in said.err + said.out


@pytest.mark.parametrize("name", ["web", "worker"])
def test_a_process_that_waits_for_the_database_is_stopped_like_any_other(
    name: str, settings: Settings
) -> None:
    away = replace(settings, database_url="postgresql+asyncpg://me@127.0.0.1:1/x")
    before, listens_since = signal.getsignal(signal.SIGTERM), list[float]()

    def has_waited_a_second() -> bool:
        """A process that is still starting would be killed by the signal, and this one with it."""
        if signal.getsignal(signal.SIGTERM) is not before:
            listens_since.append(time.monotonic())
        return bool(listens_since) and time.monotonic() > listens_since[0] + 1.0

    watching = stop_when(has_waited_a_second)
    descriptors = {"socket": socket.create_server(("127.0.0.1", 0)).detach()} if name == "web" else {}
    assert app.main(child(name, away, **descriptors)) == 0
    watching.join()
    assert time.monotonic() - listens_since[0] < 5.0


@pytest.mark.parametrize("name", ["web", "worker"])
@pytest.mark.parametrize("empty_database_url", ["postgres"], indirect=True)
def test_a_process_that_finds_another_revision_tells_its_log_and_the_supervisor(
    name: str, settings: Settings, empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    wrong = replace(settings, database_url=empty_database_url)
    reader, writer = os.pipe()
    descriptors = {"socket": socket.create_server(("127.0.0.1", 0)).detach()} if name == "web" else {}
    assert app.main(child(name, wrong, report=writer, **descriptors)) == 2
    os.close(writer)
    with os.fdopen(reader) as pipe:
        told = pipe.read()
    assert "issuewright migrate" in told
    assert told.rstrip("\0") in capsys.readouterr().err


@pytest.mark.parametrize("empty_database_url", ["postgres"], indirect=True)
def test_prepare_asks_for_the_migration_of_postgres(
    settings: Settings, empty_database_url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert app.main(child("prepare", replace(settings, database_url=empty_database_url))) == 2
    assert "issuewright migrate" in capsys.readouterr().err


def test_every_secret_is_known_to_the_log(settings: Settings, capsys: pytest.CaptureFixture[str]) -> None:
    redis, token = "word-of-the-redis", "token-of-the-scraper"
    held = replace(
        settings,
        database_url=f"postgresql+asyncpg://me:{PASSWORD}@127.0.0.1:1/x",
        redis_url=Secret(f"redis://:{redis}@127.0.0.1:1"),
        metrics_token=Secret(token),
    )
    assert app.main(child("prepare", held)) == 0
    shown = ("sk-ant-of-this-test", HOOK_SECRET, PASSWORD, redis, token, *new_key().splitlines()[1:-1])
    capsys.readouterr()
    logs.get("bot.test").warning("said", words=list(shown))
    line = capsys.readouterr().err
    assert line.count("[withheld]") == len(shown)
    assert not any(secret in line for secret in shown)


def test_git_is_given_the_proxies_of_the_operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("https_proxy", "http://proxy:3128")
    monkeypatch.setenv("SSL_CERT_FILE", "/etc/ca.pem")
    found = app._network_variables()
    assert (found["https_proxy"], found["SSL_CERT_FILE"]) == ("http://proxy:3128", "/etc/ca.pem")


# ── web ──────────────────────────────────────────────────────────────────────────────────────────
def test_the_web_process_answers_until_it_is_told_to_stop(settings: Settings) -> None:
    assert app.main(child("prepare", settings)) == 0
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    ours, theirs = Doorbell.pair()
    watching = stop_when(lambda: answers(port))
    words = child("web", settings, socket=listener.detach(), doorbell=theirs.detach())
    assert app.main(words) == 0
    watching.join()
    assert not answers(port)
    ours.close()


@pytest.mark.parametrize("has_bell", [True, False])
async def test_what_the_web_process_stored_is_rung_for(settings: Settings, has_bell: bool) -> None:
    await migrate.upgrade(settings.database_url)
    listener = socket.create_server(("127.0.0.1", 0))
    url = "http://%s:%s/webhooks/github" % listener.getsockname()  # noqa: UP031 (a pair)
    near, far = Doorbell.pair()
    theirs, ours = Doorbell(near), Doorbell(far)
    serving = asyncio.create_task(app.run_web(settings, listener, theirs if has_bell else None))
    body = json.dumps(payloads.issues_event("labeled", label="agent")).encode()
    signature = hmac.new(HOOK_SECRET.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "issues",
        "X-GitHub-Delivery": "guid-1",
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        assert answer.status == 202
    if has_bell:
        assert await ours.wait(WAIT_SECONDS)
    os.kill(os.getpid(), signal.SIGTERM)
    async with asyncio.timeout(WAIT_SECONDS):
        await serving
    ours.close()
    theirs.close()


# ── worker ───────────────────────────────────────────────────────────────────────────────────────
def test_the_worker_says_that_it_lives_until_it_is_told_to_stop(settings: Settings) -> None:
    assert app.main(child("prepare", settings)) == 0
    watching = stop_when(lambda: has_worker(settings))
    assert app.main(child("worker", settings)) == 0
    watching.join()
    assert not has_worker(settings)

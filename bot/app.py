"""Puts the product together: what each process of the supervisor runs; nothing happens at import."""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

from bot import logs
from bot.config import Role, Settings, from_json, report
from bot.config_keys import SAFE_WEBHOOK_SECRET_CHARS
from bot.config_secrets import secrets_of
from bot.errors import ConfigError, DatabaseAway
from bot.process import Doorbell, enter_child

EXIT_MISUSED: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one process of the product; the supervisor calls this, people call `issuewright`.

    Returns:
        0 after a stop that was asked for, 2 when the configuration cannot be used.
    """
    parser = argparse.ArgumentParser(prog="bot.app")
    parser.add_argument("name", choices=["prepare", Role.WEB.value, Role.WORKER.value])
    for option in ("--parent-pid", "--settings-fd", "--socket-fd", "--doorbell-fd", "--report-fd"):
        parser.add_argument(option, type=int)
    chosen = parser.parse_args(arguments)
    settings = from_json(enter_child(parent_pid=chosen.parent_pid, settings_fd=chosen.settings_fd))
    logs.configure(chosen.name, debug=settings.agent_debug, secrets=secrets_of(settings))
    try:
        with asyncio.Runner(loop_factory=_loop_factory(chosen.name)) as runner:
            runner.run(_process(chosen, settings))
    except ConfigError as error:
        _tell(report(error.problems), chosen.report_fd)
        return EXIT_MISUSED
    return 0


def _loop_factory(name: str) -> Callable[[], asyncio.AbstractEventLoop] | None:
    """For web the loop that costs the least a request (docs/performance.md, Intake), else asyncio's own.

    Not for a worker: uvloop leaves descriptors open in the programs that it starts (it has no `close_fds`).
    """
    if name != Role.WEB:
        return None
    import uvloop

    return uvloop.new_event_loop


def _tell(text: str, report_fd: int | None) -> None:
    """Say why this process cannot start: in its log, and, where that is a file, to the supervisor too."""
    sys.stderr.write(f"{text}\n")
    if report_fd is not None:
        with contextlib.suppress(OSError):
            os.write(report_fd, f"{text}\0".encode())


def _process(chosen: argparse.Namespace, settings: Settings) -> Coroutine[Any, Any, None]:
    if chosen.name == "prepare":
        return run_prepare(settings)
    bell = None if chosen.doorbell_fd is None else Doorbell.from_fd(chosen.doorbell_fd)
    if chosen.name == Role.WEB:
        return run_web(settings, socket.socket(fileno=chosen.socket_fd), bell)
    return run_worker(settings, bell)


async def run_prepare(settings: Settings) -> None:
    """Make the database ready: migrate SQLite, ask for `issuewright migrate` on Postgres.

    One that does not answer is no reason not to start: the others wait for it, each for itself.

    Raises:
        ConfigError: It refuses us, or stands at another revision.
    """
    from bot.db.readiness import prepare

    try:
        await prepare(settings.database_url, settings.database_key)
    except DatabaseAway as error:
        sys.stderr.write(
            f"issuewright: the database does not answer yet ({error}); starting anyway: webhooks get "
            "a 503 until it does\n"
        )


async def run_web(settings: Settings, listener: socket.socket, bell: Doorbell | None) -> None:
    """Receive until SIGTERM; holds the webhook secrets and the database, nothing else."""
    from bot.db.database import Database
    from bot.db.readiness import until_ready
    from bot.domain.clock import SystemClock
    from bot.intake.inbox import Inbox
    from bot.web.app import make_app
    from bot.web.deps import WebDeps
    from bot.web.metrics import Collection
    from bot.web.server import serve
    from bot.web.status import DatabaseStatus

    _warn_of_short_secrets(settings)
    database = Database(settings.database_url)
    silence_seconds = max(30.0, 3 * settings.heartbeat_seconds)
    clock = SystemClock()
    inbox = Inbox(database)
    deps = WebDeps(
        inbox=inbox,
        status=DatabaseStatus(database, clock, silence_seconds),
        ring=bell.ring if bell else _silence,
        clock=clock,
        webhook_secrets=settings.github_webhook_secrets,
        is_agent_enabled=settings.agent_enabled,
        is_pulling=settings.is_pulling,
        worker_silence_seconds=silence_seconds,
        figures=Collection(database, clock, silence_seconds),
        metrics_token=settings.metrics_token,
    )
    try:
        await _beside(until_ready(settings.database_url, clock), serve(make_app(deps), listener))
    finally:
        await inbox.close()
        await database.close()


def _warn_of_short_secrets(settings: Settings) -> None:
    """A webhook secret that can be guessed lets anybody start work: say so at every start."""
    if any(len(secret.reveal()) < SAFE_WEBHOOK_SECRET_CHARS for secret in settings.github_webhook_secrets):
        remedy = "make one with `openssl rand -hex 32` and set the same in the App's webhook settings"
        logs.get(__name__).warning(
            "webhook_secret_short", fewer_than_characters=SAFE_WEBHOOK_SECRET_CHARS, remedy=remedy
        )


async def run_worker(settings: Settings, bell: Doorbell | None) -> None:
    """Dispatch, run and publish until SIGTERM; then hand back what is not finished.

    Raises:
        ConfigError: The settings, or the database, cannot be used.
    """
    from bot.assembly import assembled
    from bot.db.readiness import until_ready
    from bot.domain.clock import SystemClock

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await _unless(stop, until_ready(settings.database_url, SystemClock()))
    if stop.is_set():
        return
    async with assembled(settings, bell, network=_network_variables()) as worker:
        logs.bind(worker_id=worker.id)
        await worker.run(stop)


async def _beside(check: Coroutine[Any, Any, None], work: Coroutine[Any, Any, None]) -> None:
    """Do *work* to its end; what *check* raises meanwhile ends it, its end alone does not."""
    checking, working = asyncio.create_task(check), asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({checking, working}, return_when=asyncio.FIRST_COMPLETED)
        if checking in done:
            checking.result()
        await working
    finally:
        checking.cancel()
        working.cancel()
        await asyncio.gather(checking, working, return_exceptions=True)


async def _unless(stop: asyncio.Event, work: Coroutine[Any, Any, None]) -> None:
    """Do *work* to its end, or until *stop* is set."""
    stopping = asyncio.create_task(stop.wait())
    working = asyncio.create_task(work)
    try:
        done, _ = await asyncio.wait({stopping, working}, return_when=asyncio.FIRST_COMPLETED)
        if working in done:
            working.result()
    finally:
        stopping.cancel()
        working.cancel()
        await asyncio.gather(stopping, working, return_exceptions=True)


def _network_variables() -> dict[str, str]:
    """The proxy and certificate variables that git may use; the workspace picks what it knows."""
    return {name: value for name, value in os.environ.items() if name.isupper() or "proxy" in name}


def _silence() -> None:
    """Nobody to wake: the workers of another machine look by themselves."""


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())

"""Puts the product together: what each process of the supervisor runs; nothing happens at import."""

import argparse
import asyncio
import contextlib
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Sequence
from typing import Any, Final

from bot import logs
from bot.config import Role, Settings, from_json, report
from bot.config_database import passwords
from bot.config_keys import SAFE_WEBHOOK_SECRET_CHARS
from bot.errors import ConfigError
from bot.process import Doorbell, enter_child

EXIT_MISUSED: Final = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one process of the product; the supervisor calls this, people call `issuewright`.

    Returns:
        0 after a stop that was asked for, 2 when the configuration cannot be used.
    """
    parser = argparse.ArgumentParser(prog="bot.app")
    parser.add_argument("name", choices=["prepare", Role.WEB.value, Role.WORKER.value])
    for option in ("--parent-pid", "--settings-fd", "--socket-fd", "--doorbell-fd"):
        parser.add_argument(option, type=int)
    chosen = parser.parse_args(arguments)
    settings = from_json(enter_child(parent_pid=chosen.parent_pid, settings_fd=chosen.settings_fd))
    logs.configure(chosen.name, debug=settings.agent_debug, secrets=_secrets(settings))
    try:
        asyncio.run(_process(chosen, settings))
    except ConfigError as error:
        sys.stderr.write(report(error.problems) + "\n")
        return EXIT_MISUSED
    return 0


def _process(chosen: argparse.Namespace, settings: Settings) -> Coroutine[Any, Any, None]:
    if chosen.name == "prepare":
        return run_prepare(settings)
    bell = None if chosen.doorbell_fd is None else Doorbell.from_fd(chosen.doorbell_fd)
    if chosen.name == Role.WEB:
        return run_web(settings, socket.socket(fileno=chosen.socket_fd), bell)
    return run_worker(settings, bell)


async def run_prepare(settings: Settings) -> None:
    """Make the database ready: migrate SQLite, ask for `issuewright migrate` on Postgres.

    Raises:
        ConfigError: It cannot be reached, or stands at another revision.
    """
    from bot.db.readiness import prepare

    await prepare(settings.database_url)


async def run_web(settings: Settings, listener: socket.socket, bell: Doorbell | None) -> None:
    """Receive until SIGTERM; holds the webhook secrets and the database, nothing else."""
    from bot.db.database import Database
    from bot.domain.clock import SystemClock
    from bot.intake.inbox import Inbox
    from bot.web.app import make_app
    from bot.web.deps import WebDeps
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
        worker_silence_seconds=silence_seconds,
    )
    try:
        await serve(make_app(deps), listener)
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
    """Dispatch, run and publish until SIGTERM; then hand back what is not finished."""
    from bot.assembly import assembled

    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    async with assembled(settings, bell, network=_network_variables()) as worker:
        await worker.run(stop)


def _network_variables() -> dict[str, str]:
    """The proxy and certificate variables that git may use; the workspace picks what it knows."""
    return {name: value for name, value in os.environ.items() if name.isupper() or "proxy" in name}


def _secrets(settings: Settings) -> list[str]:
    """Every secret value that this process holds, for the log's redaction."""
    held = [*settings.github_private_keys, *settings.github_webhook_secrets]
    if settings.anthropic_api_key:
        held.append(settings.anthropic_api_key)
    return [*(secret.reveal() for secret in held), *passwords(settings.database_url)]


def _silence() -> None:
    """Nobody to wake: the workers of another machine look by themselves."""


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())

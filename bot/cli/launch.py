"""From settings to running processes: the socket, the doorbell, the check of the database, the children."""

import errno
import os
import socket
import subprocess
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from bot import __version__
from bot.cli.children import ChildSpec, CommandBuilder, product_command, start
from bot.cli.supervisor import Signals, Supervisor
from bot.cli.terminal import EXIT_FAILED, EXIT_MISUSED, say
from bot.config import Role, Settings, to_json
from bot.errors import ConfigError, Problem, UserError
from bot.process import Doorbell

_BACKLOG: Final = 1024
_MAX_REPORT_BYTES: Final = 65_536


@dataclass(frozen=True, slots=True)
class Launch:
    """What to start: the settings of the whole, which children, and where their logs go."""

    settings: Settings
    has_web: bool
    has_worker: bool
    log_dir: Path | None = None
    command: CommandBuilder = product_command


def listen(host: str, port: int) -> socket.socket:
    """Bind and listen on *host*:*port* (0 picks a free port).

    Raises:
        UserError: The port is in use, or not for this user.
        ConfigError: *host* is no address of this machine.
    """
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0][0]
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            message = f"port {port} on {host} is in use; end the other program, or choose another with --port"
            raise UserError(message) from error
        if error.errno == errno.EACCES:
            message = f"this user may not listen on port {port}; choose one above 1023 with --port"
            raise UserError(message) from error
        problem = Problem(
            "--host", f"cannot listen on {host!r} ({error.strerror})", "name an address of this machine"
        )
        raise ConfigError(problem) from error


def log_directory(text: str | None) -> Path | None:
    """The folder that *text* names, made where it is missing.

    Raises:
        ConfigError: It cannot be made.
    """
    if not text:
        return None
    folder = Path(text)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = Problem(
            "--log-dir", f"{text} cannot be made ({error.strerror})", "name a folder of this user"
        )
        raise ConfigError(problem) from error
    return folder


def launch(plan: Launch) -> int:
    """Check the database, start the children of *plan*, watch them; returns the command's exit code.

    Raises:
        UserError: The port cannot be had.
        ConfigError: The address cannot be had.
    """
    listener = listen(plan.settings.host, plan.settings.port) if plan.has_web else None
    if code := _prepare(plan):
        return EXIT_MISUSED if code == EXIT_MISUSED else EXIT_FAILED
    bell_of_web, bell_of_worker = Doorbell.pair()
    descriptors = {Role.WEB: {"--doorbell-fd": bell_of_web.fileno()}}
    descriptors[Role.WORKER] = {"--doorbell-fd": bell_of_worker.fileno()}
    reports, told = os.pipe()
    if listener:
        descriptors[Role.WEB]["--socket-fd"] = listener.fileno()
    wanted = [role for role, has in ((Role.WEB, plan.has_web), (Role.WORKER, plan.has_worker)) if has]
    with Signals().installed() as signals:
        supervisor = Supervisor(signals)
        for role in wanted:
            if plan.log_dir:
                descriptors[role]["--report-fd"] = told
            spec = ChildSpec(role.value, to_json(plan.settings.for_role(role)), descriptors[role])
            supervisor.add(role.value, partial(_start, plan, spec))
        say(announcement(plan, listener))
        code = supervisor.run()
    for text in _told(reports):
        say(text)
    return code


def _told(reports: int) -> list[str]:
    """What children that refused to start have said, which stands in their logs alone; each thing once."""
    os.set_blocking(reports, False)
    try:
        text = os.read(reports, _MAX_REPORT_BYTES).decode(errors="replace")
    except BlockingIOError:
        return []
    return list(dict.fromkeys(filter(None, text.split("\0"))))


def announcement(plan: Launch, listener: socket.socket | None) -> str:
    """One line that says what runs, where, and how to end it."""
    where = "working on jobs"
    if listener:
        host, port = listener.getsockname()[:2]
        shown = f"[{host}]" if ":" in host else host
        where = f"listening on http://{shown}:{port} ({_intake(plan.settings)})"
    database = _shown(plan.settings.database_url)
    return f"issuewright {__version__} {where} · database {database} · Ctrl-C stops"


def _intake(settings: Settings) -> str:
    """How webhooks come in, and in pull mode how old they are when they do."""
    if not settings.is_pulling:
        return "webhooks: /webhooks/github"
    return f"pull mode: webhooks are fetched from GitHub every {settings.pull_seconds:g} s"


def _shown(url: str) -> str:
    """The database in short: what it is and where, without user and password."""
    kind, place = url.split("://", 1)
    is_file = kind.startswith("sqlite")
    return f"{kind.split('+', 1)[0]} {place.removeprefix('/') if is_file else place.rpartition('@')[2]}"


def _start(plan: Launch, spec: ChildSpec) -> "subprocess.Popen[bytes]":
    """Start one child of *plan*."""
    return start(spec, environ=os.environ, command=plan.command, log_dir=plan.log_dir)


def _prepare(plan: Launch) -> int:
    """Run the short child that migrates SQLite or checks Postgres; returns its exit code."""
    spec = ChildSpec("prepare", to_json(plan.settings.for_role(Role.MIGRATE)))
    return start(spec, environ=os.environ, command=plan.command).wait()

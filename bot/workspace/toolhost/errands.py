"""What the broker answers itself, because it needs the sandbox: verify, prepare, and the model's commands."""

import subprocess
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, TypeAlias

from bot.domain.paths import RefusedPath
from bot.workspace.sandbox import Launcher
from bot.workspace.toolhost import verification
from bot.workspace.toolhost.beneath import Trouble
from bot.workspace.toolhost.commands import Commands
from bot.workspace.toolhost.globs import Exclusion
from bot.workspace.toolhost.reply import Reply
from bot.workspace.toolhost.server import checked

Request: TypeAlias = Mapping[str, Any]


class Errands:
    """The requests of the worker that never reach the file server."""

    def __init__(self, launcher: Launcher, job: Path) -> None:
        """Run with *launcher* below *job*."""
        self._launcher = launcher
        self._scratch = verification.Scratch(job)
        self._commands = Commands(launcher, job)
        self._by_name: Mapping[str, Callable[[Request], dict[str, Any]]] = {
            "verify": self._verify,
            "prepare": self._prepare,
            "command": self._command,
            "output": self._output,
            "configure": self._configure,
        }

    def answer(self, request: Request) -> dict[str, Any]:
        """The answer to *request*; `failed` says in words what stood in the way."""
        try:
            return self._by_name[request["op"]](request)
        except (OSError, subprocess.SubprocessError, RefusedPath, Trouble) as error:
            return {"failed": f"{type(error).__name__}: {error}"}

    def close(self) -> None:
        """Wait until nothing is left of the last run's copy."""
        self._scratch.settle()

    def _configure(self, request: Request) -> dict[str, Any]:
        """Keep what `exclude` covers from the model's commands; `failed` when a glob is wrong."""
        self._commands.hides = Exclusion(request["options"].get("exclude", ()))
        return {}

    def _verify(self, request: Request) -> dict[str, Any]:
        return verification.verify(
            self._launcher,
            self._scratch,
            request["command"],
            request["timeout_seconds"],
            at_base=request["at_base"],
            as_before=frozenset(request["as_before"]),
            hides=self._commands.hides if request["as_shown"] else None,
        )

    def _prepare(self, request: Request) -> dict[str, Any]:
        seconds = request["timeout_seconds"]
        return {"records": verification.prepare(self._launcher, self._scratch, request["commands"], seconds)}

    def _command(self, request: Request) -> dict[str, Any]:
        return asdict(self._commands.run(request["command"], request["timeout_seconds"]))

    def _output(self, request: Request) -> dict[str, Any]:
        try:
            arguments = checked(self._commands.read_output, request["arguments"])
        except Trouble as error:
            return asdict(Reply(str(error), is_error=True))
        return asdict(self._commands.read_output(**arguments))

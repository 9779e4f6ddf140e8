"""The worker's side of the tool host: what can be asked of it, within which time, and what it survives."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bot.domain.enums import Cause, Tier
from bot.domain.values import CommandRecord, FileChange, Json, SandboxStatus, ToolResult
from bot.errors import Permanent
from bot.workspace import toolprocess
from bot.workspace.toolprocess import Gone, ToolProcess

MAX_STARTS = 4
START_TIMEOUT_SECONDS = 30.0
CHANGES_TIMEOUT_SECONDS = 120.0
COPY_ALLOWANCE_SECONDS = 330.0
COMMAND_SECONDS = 120.0
"""What a command of the model gets when it asks for no other time."""
NO_COMMANDS = "Commands cannot be run here, and there is no other way to run them; go on without."
ERRANDS: Final = frozenset({"verify", "prepare", "command", "output"})
"""What the broker is asked; the file server is asked for all else."""


class ProcessToolHost:
    """A `bot.domain.ports.ToolHost`: one checkout behind one process without a secret."""

    max_command_seconds = 600.0
    """The longest that a command may run, whoever asks for it."""
    options: Json | None = None
    """What its file server is told at each start: see `toolhost.server.FileServer.configure`."""

    def __init__(
        self, job: Path, status: SandboxStatus, bwrap: str | None, toolchains: tuple[str, ...] = ()
    ) -> None:
        """Serve the tree in *job*; *status* is what the escape probe found for *bwrap* and *toolchains*."""
        self._job = job
        self._status = status
        self._no_sandbox = status.reason or "no sandbox is available"
        self._bwrap = bwrap
        self._toolchains = toolchains
        self._unprepared = ""
        self._process: ToolProcess | None = None
        self._turn = asyncio.Lock()
        self._starts_left = MAX_STARTS
        self._is_closed = False
        self.ready: Json = {}

    async def start(self) -> None:
        """Start the process and wait until its file server is confined.

        Raises:
            Permanent: It does not start (cause `sandbox_error`).
        """
        async with self._turn:
            await self._ensure_started()

    @property
    def pid(self) -> int | None:
        """The broker's process id while it runs."""
        return self._process.process.pid if self._process else None

    async def call(self, name: str, arguments: Json, *, timeout_seconds: float) -> ToolResult:
        """Run one tool; see `bot.domain.ports.ToolHost.call`.

        For `run_command`, *timeout_seconds* is what is left of the job: the command gets what it asks for,
        or `COMMAND_SECONDS`, and never more than that or than `max_command_seconds`.
        """
        request = {"op": "call", "tool": name, "arguments": arguments}
        if name == "run_command":
            if self._status.tier is not Tier.SANDBOX:
                return ToolResult(f"{NO_COMMANDS} ({self._no_sandbox})", is_error=True)
            seconds = min(
                arguments.get("timeout_seconds", COMMAND_SECONDS), timeout_seconds, self.max_command_seconds
            )
            request = {"op": "command", "command": arguments["command"], "timeout_seconds": seconds}
            timeout_seconds = seconds + COPY_ALLOWANCE_SECONDS
        elif name == "read_output":
            request["op"] = "output"
        try:
            answer = await self._ask(request, timeout_seconds)
        except TimeoutError:
            return ToolResult(f"The tool was stopped after {timeout_seconds:g} seconds.", is_error=True)
        except Gone:
            return ToolResult(
                "The tool's process ended during the call; look before repeating.", is_error=True
            )
        if "failed" in answer:
            return ToolResult(f"The command could not be run: {answer['failed']}.", is_error=True)
        return ToolResult(answer["text"], answer["is_error"], answer["refused"])

    async def changes(self) -> list[FileChange]:
        """What the tools changed; see `bot.domain.ports.ToolHost.changes`."""
        try:
            answer = await self._ask({"op": "changes"}, CHANGES_TIMEOUT_SECONDS)
        except (TimeoutError, Gone):
            raise _broken("the tool host did not say what was changed") from None
        if "changes" not in answer:
            raise _broken(f"what was changed cannot be read: {answer.get('text')}")
        return [FileChange(**change) for change in answer["changes"]]

    async def prepare(self, commands: Sequence[str], *, timeout_seconds: float) -> list[CommandRecord]:
        """Run *commands* on the base, once; see `bot.domain.ports.ToolHost.prepare`."""
        if not commands or self._status.tier is not Tier.SANDBOX:
            return []
        seconds = min(timeout_seconds, self.max_command_seconds)
        request = {"op": "prepare", "commands": list(commands), "timeout_seconds": seconds}
        answer = await self._run(request, seconds * len(commands))
        records = [_record(*pair) for pair in zip(commands, answer["records"], strict=False)]
        self._unprepared = "" if records[-1].passed else prepare_words(records[-1])
        return records

    async def verify(
        self,
        command: str,
        *,
        timeout_seconds: float,
        at_base: bool = False,
        as_before: Sequence[str] = (),
        as_shown: bool = False,
    ) -> CommandRecord:
        """Run one verification command; see `bot.domain.ports.ToolHost.verify`."""
        if why_not := self._unprepared if self._status.tier is Tier.SANDBOX else self._no_sandbox:
            return CommandRecord(command, None, 0, "", Tier.NONE, why_not)
        seconds = min(timeout_seconds, self.max_command_seconds)
        request = {"op": "verify", "command": command, "timeout_seconds": seconds, "as_shown": as_shown}
        where = {"at_base": at_base, "as_before": list(as_before)}
        return _record(command, await self._run(request | where, seconds))

    async def _run(self, request: Json, seconds: float) -> Json:
        """The answer to a request that runs commands for *seconds* at most."""
        try:
            answer = await self._ask(request, seconds + COPY_ALLOWANCE_SECONDS)
        except (TimeoutError, Gone):
            raise _broken("the tool host ended while it ran a command") from None
        if "failed" in answer:
            raise _broken(f"a command could not be run: {answer['failed']}")
        return answer

    async def survey(self, max_chars: int) -> str:
        """The map of the repository; see `bot.domain.ports.ToolHost.survey`."""
        try:
            answer = await self._ask({"op": "map", "max_chars": max_chars}, CHANGES_TIMEOUT_SECONDS)
        except (TimeoutError, Gone):
            return ""
        return str(answer.get("text", ""))

    async def close(self) -> None:
        """End the process and everything in it; the second time does nothing."""
        self._is_closed = True
        await self._stop()

    async def _ask(self, request: Json, timeout_seconds: float) -> Json:
        async with self._turn:
            process = await self._ensure_started()
            line = process.errands if request["op"] in ERRANDS else process.files
            is_answered = False
            try:
                async with asyncio.timeout(timeout_seconds):
                    answer = await line.ask(request)
                is_answered = True
            finally:
                if not is_answered:
                    await self._stop()
            return answer

    async def _ensure_started(self) -> ToolProcess:
        if self._is_closed:
            raise _broken("the tool host is closed")
        if self._process is not None:
            return self._process
        if self._starts_left == 0:
            raise _broken("the tool host ended too often")
        self._starts_left -= 1
        self._process = await toolprocess.start(self._job, self._bwrap, self._toolchains)
        try:
            async with asyncio.timeout(START_TIMEOUT_SECONDS):
                self.ready = await self._process.greeted(self.options)
        except (TimeoutError, Gone):
            self.ready = {"failed": "it said nothing"}
        if "failed" in self.ready:
            await self._stop()
            raise _broken(f"the tool host does not start: {self.ready['failed']}")
        return self._process

    async def _stop(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            await process.stop()


def prepare_words(failed: CommandRecord) -> str:
    """Why nothing can be verified after *failed*, in one clause."""
    how = failed.reason or f"ended with exit code {failed.exit_code}"
    return f"`prepare` failed: {failed.command} {how}"


def _record(command: str, answer: Json) -> CommandRecord:
    return CommandRecord(
        command,
        answer["exit_code"],
        answer["duration_ms"],
        answer["output"],
        Tier(answer["tier"]),
        answer["reason"],
    )


def _broken(words: str) -> Permanent:
    return Permanent(words, cause=Cause.SANDBOX_ERROR)

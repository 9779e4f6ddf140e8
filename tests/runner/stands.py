"""Small stand-ins that the runner meets by protocol: a clock, a model, a workspace, a shaky database."""

import asyncio
import difflib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from pathlib import Path

from sqlalchemy.exc import OperationalError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.database import Database
from bot.domain.enums import Tier
from bot.domain.ports import ToolHost
from bot.domain.values import (
    ClaimedJob,
    CommandRecord,
    FileChange,
    Json,
    ModelReply,
    ModelRequest,
    RepositoryRef,
    ToolResult,
    Usage,
)
from bot.workspace.workspace import Checkout, Workspace
from tests.fakes import ManualClock

HEARTBEAT_SECONDS = 1.75
COST_MICRO_USD_A_CALL = 18_000  # a thousand tokens in, a thousand out, at the price of sonnet


def quietly(_job: ClaimedJob) -> AbstractAsyncContextManager[None]:
    """Work of which nobody is told."""
    return nullcontext()


class TickClock(ManualClock):
    """Whoever sleeps a heartbeat waits until the test lets it pass; for all others time flies."""

    def __init__(self) -> None:
        super().__init__()
        self._waiting: list[asyncio.Future[None]] = []
        self._arrived = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds != HEARTBEAT_SECONDS:
            await super().sleep(seconds)
            return
        waiter = asyncio.get_running_loop().create_future()
        self._waiting.append(waiter)
        self._arrived.set()
        await waiter

    async def until_somebody_waits(self) -> None:
        """Return when somebody waits for a heartbeat."""
        while all(waiter.done() for waiter in self._waiting):
            self._arrived.clear()
            await self._arrived.wait()

    def tick(self) -> None:
        """Let a heartbeat pass."""
        self.advance(HEARTBEAT_SECONDS)
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)


Turn = list[Json] | Exception


class PlayedModel:
    """Answers by the number of answers that a conversation holds already, like the model server."""

    def __init__(self, *turns: Turn) -> None:
        self.turns = list(turns)
        self.requests: list[ModelRequest] = []
        self.on_ask: Callable[[], Awaitable[None]] | None = None

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        assert timeout_seconds > 0
        self.requests.append(request)
        if self.on_ask is not None:
            await self.on_ask()
        number = sum(message["role"] == "assistant" for message in request.messages)
        turn = self.turns[min(number, len(self.turns) - 1)]
        if isinstance(turn, Exception):
            raise turn
        content = [_with_id(block, f"{len(request.messages)}_{place}") for place, block in enumerate(turn)]
        has_calls = any(block["type"] == "tool_use" for block in content)
        usage = Usage(input_tokens=1_000, output_tokens=1_000)
        return ModelReply(content, "tool_use" if has_calls else "end_turn", usage, request.model)


def _with_id(block: Json, place: str) -> Json:
    return {**block, "id": f"call_{place}"} if block["type"] == "tool_use" else block


def call(name: str, **given: object) -> Json:
    """A tool call of the model."""
    return {"type": "tool_use", "name": name, "input": given}


class DictHost:
    """A tool host over a dict of files; a verification passes while `is_sound` says so of them."""

    def __init__(self, space: "DictWorkspace") -> None:
        self._space = space
        self._before = dict(space.files)
        self.files = dict(space.files)
        self.is_closed = False

    async def call(self, name: str, arguments: Json, *, timeout_seconds: float) -> ToolResult:
        assert timeout_seconds > 0
        path = str(arguments.get("path", ""))
        if path.startswith("."):
            return ToolResult("Refused: not for tools.", refused=True)
        if name == "write_file":
            self.files[path] = arguments["content"]
            return ToolResult("Written.")
        if name == "delete_file":
            del self.files[path]
            return ToolResult("Deleted.")
        return ToolResult(self.files.get(path, "No such file."), is_error=path not in self.files)

    async def changes(self) -> list[FileChange]:
        paths = sorted(self.files.keys() | self._before.keys())
        return [change for path in paths if (change := self._change(path)) is not None]

    def _change(self, path: str) -> FileChange | None:
        old, new = self._before.get(path), self.files.get(path)
        if old == new:
            return None
        before, after = (old or "").splitlines(keepends=True), (new or "").splitlines(keepends=True)
        lines = list(difflib.unified_diff(before, after, f"a/{path}", f"b/{path}"))
        added = sum(line.startswith("+") for line in lines[2:])
        removed = sum(line.startswith("-") for line in lines[2:])
        return FileChange(path, new, old is None, False, "".join(lines), added, removed)

    async def survey(self, max_chars: int) -> str:
        return ""

    async def prepare(self, commands: Sequence[str], *, timeout_seconds: float) -> list[CommandRecord]:
        assert timeout_seconds > 0
        return [CommandRecord(command, 0, 12, "", self._space.tier) for command in commands]

    async def verify(
        self,
        command: str,
        *,
        timeout_seconds: float,
        at_base: bool = False,
        as_before: Sequence[str] = (),
        as_shown: bool = False,
    ) -> CommandRecord:
        assert timeout_seconds > 0
        if self._space.tier is Tier.NONE:
            return CommandRecord(command, None, 0, "", Tier.NONE, "no sandbox here")
        files = self._space.files if at_base else self.files
        files = {**files, **{path: self._space.files[path] for path in as_before}}
        code = 0 if self._space.is_sound(files) else 1
        return CommandRecord(command, code, 12, f"ended with {code}", self._space.tier)

    async def close(self) -> None:
        self.is_closed = True


class DictWorkspace(Workspace):
    """A workspace whose checkouts are dicts; keeps what was asked of it."""

    def __init__(self, files: Mapping[str, str]) -> None:
        self.files = dict(files)
        self.tier = Tier.SANDBOX
        self.is_sound: Callable[[Mapping[str, str]], bool] = lambda files: "woof" in files.get("dog.py", "")
        self.on_checkout: Callable[[], Awaitable[None]] | None = None
        self.checkouts: list[str] = []
        self.discarded: list[str] = []
        self.hosts: list[DictHost] = []
        self.options: list[Json | None] = []

    async def checkout(self, repository: RepositoryRef, sha: str, token: str, job_id: str) -> Checkout:
        assert token.startswith("ghs_")
        self.checkouts.append(f"{repository.full_name}@{sha}")
        if self.on_checkout is not None:
            await self.on_checkout()
        return Checkout(sha, Path("/nowhere", job_id))

    async def open_host(self, checkout: Checkout, options: Json | None = None) -> ToolHost:
        self.options.append(options)
        self.hosts.append(DictHost(self))
        return self.hosts[-1]

    async def discard(self, checkout: Checkout) -> None:
        self.discarded.append(checkout.tree.name)


class ShakyDatabase(Database):
    """A database that is away while the test says so."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.is_away = False
        self.refusals = 0

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        self._check()
        async with super().write() as connection:
            yield connection

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        self._check()
        async with super().read() as connection:
            yield connection

    def _check(self) -> None:
        if self.is_away:
            self.refusals += 1
            raise OperationalError("SELECT 1", None, ConnectionError("the server is away"))

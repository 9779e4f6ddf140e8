"""A power supply that is cut at a chosen boundary: whatever hangs on it does nothing any more from then on.

A process that is killed with SIGKILL runs no `finally` and no `except`. Here those blocks still run, so every
way out of the process refuses them: database, sessions to GitHub, model, tool host, engine and clock.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from types import SimpleNamespace
from typing import Any

import aiohttp
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.database import Database
from bot.domain.clock import Clock
from bot.domain.ports import Model, ToolHost
from bot.domain.values import (
    CommandRecord,
    FileChange,
    Json,
    ModelReply,
    ModelRequest,
    RepositoryRef,
    ToolResult,
)
from bot.queue.base import Ended, QueueEngine, Ticket
from bot.workspace.workspace import Checkout, Workspace


class PowerCut(BaseException):
    """The machine is gone; nobody catches this."""


@dataclass
class Fuse:
    """Counts boundaries and blows at the chosen one (from 1 on); nothing passes a blown fuse."""

    blows_at: int | None = None
    steps: list[str] = field(default_factory=list)
    is_blown: bool = False
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    """Tells the worker on this supply to leave."""

    def pass_through(self, step: str) -> None:
        """Note a boundary; the power is gone from the chosen one on."""
        self.hold(step)
        self.steps.append(step)
        if self.blows_at is not None and len(self.steps) >= self.blows_at:
            self.is_blown = True
            raise PowerCut(step)

    def hold(self, step: str) -> None:
        """Refuse when the power is gone; counts nothing."""
        if self.is_blown:
            raise PowerCut(step)


class FusedDatabase(Database):
    """A database whose writes are cut before they begin, before they are committed and after that."""

    def __init__(self, url: str, fuse: Fuse) -> None:
        super().__init__(url)
        self._fuse = fuse

    @asynccontextmanager
    async def read(self) -> AsyncIterator[AsyncConnection]:
        self._fuse.hold("a read")
        async with super().read() as connection:
            yield connection

    @asynccontextmanager
    async def write(self) -> AsyncIterator[AsyncConnection]:
        self._fuse.pass_through("before a write")
        async with super().write() as connection:
            yield connection
            self._fuse.pass_through("before a commit")
        self._fuse.pass_through("after a commit")


def fused_session(fuse: Fuse) -> aiohttp.ClientSession:
    """A session whose requests are cut before they are sent, and after they landed without their answer."""

    async def before(_: aiohttp.ClientSession, __: SimpleNamespace, sent: Any) -> None:
        fuse.pass_through(f"before {sent.method} {sent.url.path}")

    async def after(_: aiohttp.ClientSession, __: SimpleNamespace, answered: Any) -> None:
        try:
            fuse.pass_through(f"after {answered.method} {answered.url.path}")
        except PowerCut:
            answered.response.close()
            raise

    traced = aiohttp.TraceConfig()
    traced.on_request_start.append(before)
    traced.on_request_end.append(after)
    return aiohttp.ClientSession(trace_configs=[traced])


@dataclass
class FusedModel:
    """A model that is cut before it is asked, and after it has answered."""

    model: Model
    fuse: Fuse

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        self.fuse.pass_through("before the model")
        reply = await self.model.complete(request, timeout_seconds=timeout_seconds)
        self.fuse.pass_through("after the model")
        return reply


@dataclass
class FusedHost:
    """A tool host that is cut around each call."""

    host: ToolHost
    fuse: Fuse

    async def call(self, name: str, arguments: Json, *, timeout_seconds: float) -> ToolResult:
        self.fuse.pass_through(f"before the tool {name}")
        result = await self.host.call(name, arguments, timeout_seconds=timeout_seconds)
        self.fuse.pass_through(f"after the tool {name}")
        return result

    async def changes(self) -> list[FileChange]:
        self.fuse.pass_through("before the diff")
        return await self.host.changes()

    async def survey(self, max_chars: int) -> str:
        self.fuse.pass_through("before the map")
        return await self.host.survey(max_chars)

    async def prepare(self, commands: Sequence[str], *, timeout_seconds: float) -> list[CommandRecord]:
        self.fuse.pass_through("before the preparation")
        records = await self.host.prepare(commands, timeout_seconds=timeout_seconds)
        self.fuse.pass_through("after the preparation")
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
        self.fuse.pass_through("before a verification")
        record = await self.host.verify(
            command,
            timeout_seconds=timeout_seconds,
            at_base=at_base,
            as_before=as_before,
            as_shown=as_shown,
        )
        self.fuse.pass_through("after a verification")
        return record

    async def close(self) -> None:
        await self.host.close()


class FusedWorkspace(Workspace):
    """A workspace that is cut around checkout and the start of a tool host."""

    def __init__(self, workspace: Workspace, fuse: Fuse) -> None:
        self._workspace = workspace
        self._fuse = fuse

    async def checkout(self, repository: RepositoryRef, sha: str, token: str, job_id: str) -> Checkout:
        self._fuse.pass_through("before a checkout")
        checkout = await self._workspace.checkout(repository, sha, token, job_id)
        self._fuse.pass_through("after a checkout")
        return checkout

    async def open_host(self, checkout: Checkout, options: Json | None = None) -> ToolHost:
        self._fuse.pass_through("before a tool host")
        host = await self._workspace.open_host(checkout, options)
        self._fuse.pass_through("after a tool host")
        return FusedHost(host, self._fuse)

    async def discard(self, checkout: Checkout) -> None:
        self._fuse.pass_through("before the files are removed")
        await self._workspace.discard(checkout)


class FusedEngine:
    """An engine that is cut around each of its calls."""

    def __init__(self, engine: QueueEngine, fuse: Fuse) -> None:
        self._engine = engine
        self._fuse = fuse
        self.is_shared = engine.is_shared

    async def start(self) -> None:
        await self._engine.start()

    async def push(self, job_ids: Sequence[str]) -> None:
        if job_ids:
            self._fuse.pass_through("before a push")
        await self._engine.push(job_ids)
        if job_ids:
            self._fuse.pass_through("after a push")

    async def pop(self) -> Ticket:
        ticket = await self._engine.pop()
        self._fuse.pass_through("after a pop")
        return ticket

    async def end(self, ticket: Ticket, ended: Ended) -> None:
        self._fuse.pass_through("before an end")
        await self._engine.end(ticket, ended)
        self._fuse.pass_through("after an end")

    def depth(self) -> int:
        return self._engine.depth()

    def trouble(self) -> str | None:
        return self._engine.trouble()

    async def close(self) -> None:
        self._fuse.hold("the engine's close")
        await self._engine.close()


@dataclass
class FusedClock:
    """Time; nobody who is dead comes back from a sleep."""

    clock: Clock
    fuse: Fuse

    def now(self) -> datetime:
        return self.clock.now()

    def monotonic(self) -> float:
        return self.clock.monotonic()

    async def sleep(self, seconds: float) -> None:
        self.fuse.hold("a sleep")
        await self.clock.sleep(seconds)
        self.fuse.hold("the end of a sleep")

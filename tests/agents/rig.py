"""A loop on the real SDK and the real model server, with a tool host, transcript and ledger in memory."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.agents import loop, registry
from bot.agents.ports import LoopEvent
from bot.agents.prompt import Request, build
from bot.agents.registry import Definition, Limits
from bot.domain.budget import BudgetExceeded
from bot.domain.effects import LoopResult
from bot.domain.ports import Model
from bot.domain.values import (
    CommandRecord,
    FileChange,
    Json,
    ModelReply,
    ModelRequest,
    RepositoryRef,
    Snapshot,
    ToolResult,
    Usage,
)
from tests.fakes import ManualClock

DELIMITER = "limit-0123456789abcdef"
REQUEST = Request(
    RepositoryRef(id=1, full_name="acme/calc"),
    number=7,
    snapshot=Snapshot(title="divide is wrong", body="divide(1, 0) prints 0", author="alice"),
    verify=("python -m unittest",),
)


class DictToolHost:
    """A tool host over a dict of files; `.git` is refused, as the real one does."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = dict(files)
        self._before = dict(files)
        self.calls: list[tuple[str, Json]] = []
        self.on_call: Callable[[], Awaitable[None]] | None = None

    async def call(self, name: str, arguments: Json, *, timeout_seconds: float) -> ToolResult:
        assert timeout_seconds > 0
        self.calls.append((name, arguments))
        if self.on_call is not None:
            await self.on_call()
        path = arguments.get("path", "")
        if ".git" in path:
            return ToolResult("Refused: this path is not one that the tools may reach.", refused=True)
        if name == "read_file":
            return self._read(path)
        if name == "edit_file":
            return self._edit(path, arguments["old"], arguments["new"])
        if name == "write_file":
            self.files[path] = arguments["content"]
            return ToolResult("Written.")
        return ToolResult("\n".join(sorted(self.files)))

    async def changes(self) -> list[FileChange]:
        paths = sorted(path for path in self.files if self.files[path] != self._before.get(path))
        return [
            FileChange(path, self.files[path], path not in self._before, False, "", 1, 1) for path in paths
        ]

    async def prepare(self, commands: Sequence[str], *, timeout_seconds: float) -> list[CommandRecord]:
        raise AssertionError("the loop never prepares")

    async def verify(self, command: str, *, timeout_seconds: float, at_base: bool = False) -> CommandRecord:
        raise AssertionError("the loop never verifies")

    async def close(self) -> None:
        self.files.clear()

    def _read(self, path: str) -> ToolResult:
        text = self.files.get(path)
        return ToolResult(f"{path} does not exist.", is_error=True) if text is None else ToolResult(text)

    def _edit(self, path: str, old: str, new: str) -> ToolResult:
        if self.files[path].count(old) != 1:
            return ToolResult("old_text must occur exactly once.", is_error=True)
        self.files[path] = self.files[path].replace(old, new)
        return ToolResult("Edited.")


class ListTranscript:
    """A transcript that keeps its rows in order."""

    def __init__(self) -> None:
        self.rows: list[tuple[str, int, Any]] = []
        self.costs_usd: list[float] = []

    async def prompt(self, content: Json) -> None:
        self.rows.append(("prompt", 0, content))

    async def turn(self, number: int, reply: ModelReply, cost_usd: float) -> None:
        self.rows.append(("turn", number, reply))
        self.costs_usd.append(cost_usd)

    async def tools(self, number: int, results: list[Json]) -> None:
        self.rows.append(("tools", number, results))

    @property
    def kinds(self) -> list[tuple[str, int]]:
        return [(kind, number) for kind, number, _ in self.rows]

    def results(self, number: int) -> list[Json]:
        return next(value for kind, row, value in self.rows if (kind, row) == ("tools", number))


class ListLedger:
    """A ledger with one limit above the job's."""

    def __init__(self, limit_micro_usd: int | None = None) -> None:
        self.limit_micro_usd = limit_micro_usd
        self.reserved: dict[str, int] = {}
        self.settled: dict[str, int] = {}

    async def reserve(self, micro_usd: int) -> str:
        if self.limit_micro_usd is not None and micro_usd > self.limit_micro_usd:
            raise BudgetExceeded(
                "this organization's day",
                spent_micro_usd=0,
                reserve_micro_usd=micro_usd,
                limit_micro_usd=self.limit_micro_usd,
            )
        row = f"row{len(self.reserved)}"
        self.reserved[row] = micro_usd
        return row

    async def settle(self, reservation_id: str, usage: Usage, micro_usd: int) -> None:
        assert reservation_id not in self.settled
        self.settled[reservation_id] = micro_usd

    @property
    def open_rows(self) -> set[str]:
        return set(self.reserved) - set(self.settled)


class WatchedModel:
    """The model under test, with every request kept; `before` runs ahead of each."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.requests: list[ModelRequest] = []
        self.timeouts: list[float] = []
        self.before: Callable[[], None] = lambda: None

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        self.requests.append(request)
        self.timeouts.append(timeout_seconds)
        self.before()
        return await self.model.complete(request, timeout_seconds=timeout_seconds)


def definition(**limits: Any) -> Definition:
    """code.fix with other limits."""
    whole = registry.load().get("code.fix")
    return Definition(whole.id, whole.model, whole.tools, whole.effects, Limits(**limits), whole.prompt)


@dataclass
class Rig:
    """Everything that one run needs, ready to be changed by a test."""

    model: WatchedModel
    tools: DictToolHost = field(
        default_factory=lambda: DictToolHost({"calc.py": "def divide(a, b):\n    return 0\n"})
    )
    transcript: ListTranscript = field(default_factory=ListTranscript)
    ledger: ListLedger = field(default_factory=ListLedger)
    clock: ManualClock = field(default_factory=ManualClock)
    events: list[LoopEvent] = field(default_factory=list)
    model_name: str = "sonnet"
    spent_micro_usd: int = 0

    async def run(self, **limits: Any) -> LoopResult:
        agent = definition(**limits)
        return await loop.run(
            agent,
            build(agent, REQUEST, delimiter=DELIMITER),
            model=self.model,
            model_name=self.model_name,
            tools=self.tools,
            transcript=self.transcript,
            ledger=self.ledger,
            clock=self.clock,
            observe=self._observe,
            jitter=lambda: 0.0,
            spent_micro_usd=self.spent_micro_usd,
        )

    async def _observe(self, event: LoopEvent) -> None:
        self.events.append(event)

    def shown(self, kind: str) -> list[str]:
        return [event.name for event in self.events if event.kind == kind]


def call(name: str, **arguments: Any) -> Json:
    """A scripted tool call."""
    return {"type": "tool_use", "name": name, "input": arguments}


def say(words: str) -> Json:
    """A scripted text block."""
    return {"type": "text", "text": words}


def turn(*content: Json, **extra: Any) -> Json:
    """A scripted turn."""
    return {"content": list(content), **extra}

"""A loop on the real SDK and the real model server, with a tool host and a record in memory."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import orjson

from bot.agents import loop, registry
from bot.agents.ports import Compose, Entry, Judge, LoopEvent, Need, StepRow
from bot.agents.prompt import Prompt, Request, build
from bot.agents.registry import Definition, Limits
from bot.domain.budget import BudgetExceeded, Spent
from bot.domain.effects import LoopResult
from bot.domain.enums import StepKind
from bot.domain.past import Past, PastStep, Segment
from bot.domain.ports import Model
from bot.domain.values import (
    CommandRecord,
    FileChange,
    Json,
    ModelReply,
    ModelRequest,
    RepositoryRef,
    Said,
    Snapshot,
    ToolResult,
    Usage,
)
from bot.errors import RetryLater
from bot.llm.prices import Catalogue
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

    async def survey(self, max_chars: int) -> str:
        return ""

    async def prepare(self, commands: Sequence[str], *, timeout_seconds: float) -> list[CommandRecord]:
        raise AssertionError("the loop never prepares")

    async def verify(
        self,
        command: str,
        *,
        timeout_seconds: float,
        at_base: bool = False,
        as_before: Sequence[str] = (),
        as_shown: bool = False,
    ) -> CommandRecord:
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


class MemoryRecord:
    """A record that keeps its rows as JSON, in order, with one limit above the job's.

    `cut` is called with the name of what is about to be written, and after it; it may raise.
    """

    def __init__(self, limit_micro_usd: int | None = None) -> None:
        self.limit_micro_usd = limit_micro_usd
        self.rows: list[tuple[str, int, bytes]] = []
        self.changes: dict[int, list[FileChange]] = {}
        self.costs_usd: list[float] = []
        self.reserved: dict[str, int] = {}
        self.settled: dict[str, int] = {}
        self.tokens: dict[str, int] = {}
        self.said: list[Said] = []
        self.heard: dict[str, int] = {}
        self.events: list[LoopEvent] = []
        self.transactions = 0
        self.too_fast: list[RetryLater] = []
        self.cut: Callable[[str], None] = lambda _name: None

    async def write(self, entry: Entry) -> str | None:
        return self._keep(entry)

    async def soon(self, entry: Entry) -> None:
        self._keep(entry)

    async def hear(self, compose: Compose) -> str | None:
        return self._keep(compose([one for one in self.said if one.id not in self.heard]))

    def note(self, event: LoopEvent) -> None:
        self.events.append(event)

    def _keep(self, entry: Entry) -> str | None:
        if entry == Entry():
            return None
        name = "+".join([*(row.kind.value for row in entry.rows), *(["need"] if entry.need else [])])
        self.cut(f"before {name}")
        self.transactions += 1
        for row in entry.rows:
            self._add(row)
        if entry.bill is not None:
            assert entry.bill.reservation_id not in self.settled
            self.settled[entry.bill.reservation_id] = entry.bill.micro_usd
            used = entry.bill.usage
            self.tokens[entry.bill.reservation_id] = used.input_tokens + used.output_tokens
        self.heard |= dict.fromkeys(entry.heard, entry.rows[-1].number if entry.rows else -1)
        reservation_id = None if entry.need is None else self._reserve(entry.need)
        self.cut(f"after {name}")
        return reservation_id

    def _add(self, row: StepRow) -> None:
        place = [(kind, number) for kind, number, _ in self.rows]
        if (row.kind.value, row.number) in place:
            del self.rows[place.index((row.kind.value, row.number)) :]
            self.changes = {at: tree for at, tree in self.changes.items() if at <= len(self.rows) + 1}
        self.rows.append((row.kind.value, row.number, orjson.dumps(row.content)))
        if row.changes is not None:
            self.changes[len(self.rows)] = list(row.changes)
        if row.kind is StepKind.TURN:
            self.costs_usd.append(row.cost_micro_usd / 1_000_000)

    def _reserve(self, need: Need) -> str:
        if self.too_fast:
            raise self.too_fast.pop()
        if self.limit_micro_usd is not None and need.micro_usd > self.limit_micro_usd:
            raise BudgetExceeded(
                "this organization's day",
                spent_micro_usd=0,
                reserve_micro_usd=need.micro_usd,
                limit_micro_usd=self.limit_micro_usd,
            )
        row = f"row{len(self.reserved)}"
        self.reserved[row], self.tokens[row] = need.micro_usd, need.tokens
        return row

    @property
    def kinds(self) -> list[tuple[str, int]]:
        return [(kind, number) for kind, number, _ in self.rows]

    def content(self, kind: str, number: int) -> Json:
        raw = next(value for one, row, value in self.rows if (one, row) == (kind, number))
        return cast(Json, orjson.loads(raw))

    def results(self, number: int) -> list[Json]:
        return cast(list[Json], self.content("tools", number)["content"])

    @property
    def usages(self) -> list[Usage]:
        return [Usage(**orjson.loads(raw)["usage"]) for kind, _, raw in self.rows if kind == "turn"]

    @property
    def open_rows(self) -> set[str]:
        return set(self.reserved) - set(self.settled)

    @property
    def spent(self) -> Spent:
        return Spent(
            sum(self.settled.get(row, amount) for row, amount in self.reserved.items()),
            sum(self.tokens.values()),
        )

    def segment(self) -> Segment | None:
        """What is recorded so far, as the database would give it back."""
        if not self.rows:
            return None
        numbers = sorted({number for kind, number, _ in self.rows if kind == "turn"})
        answered = {number for kind, number, _ in self.rows if kind == "tools"}
        steps = tuple(
            PastStep(
                number,
                self.content("turn", number),
                self.content("tools", number) if number in answered else None,
            )
            for number in numbers
        )
        return Segment(self.content("prompt", 0), steps)

    def tree(self) -> list[FileChange]:
        """The checkpoint behind the last row."""
        return self.changes[max(self.changes)] if self.changes else []


class WatchedModel:
    """The model under test, with every request kept; `before` and `after` run around each."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.requests: list[ModelRequest] = []
        self.timeouts: list[float] = []
        self.before: Callable[[], None] = lambda: None
        self.after: Callable[[], None] = lambda: None

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        self.requests.append(request)
        self.timeouts.append(timeout_seconds)
        self.before()
        reply = await self.model.complete(request, timeout_seconds=timeout_seconds)
        self.after()
        return reply


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
    record: MemoryRecord = field(default_factory=MemoryRecord)
    clock: ManualClock = field(default_factory=ManualClock)
    model_name: str = "sonnet"
    spent: Spent = field(default_factory=Spent)
    past: Past | None = None
    judge: Judge | None = None
    prompt: Prompt | None = None
    jitter: Callable[[], float] = lambda: 0.0

    async def run(self, **limits: Any) -> LoopResult:
        agent = definition(**limits)
        return await loop.run(
            agent,
            self.prompt or build(agent, REQUEST, delimiter=DELIMITER),
            model=self.model,
            info=Catalogue().resolve(self.model_name),
            tools=self.tools,
            record=self.record,
            clock=self.clock,
            judge=self.judge,
            past=self.past,
            spent=self.spent,
            jitter=self.jitter,
        )

    def shown(self, kind: str) -> list[str]:
        return [event.name for event in self.record.events if event.kind == kind]


def call(name: str, **arguments: Any) -> Json:
    """A scripted tool call."""
    return {"type": "tool_use", "name": name, "input": arguments}


def say(words: str) -> Json:
    """A scripted text block."""
    return {"type": "text", "text": words}


def turn(*content: Json, **extra: Any) -> Json:
    """A scripted turn."""
    return {"content": list(content), **extra}

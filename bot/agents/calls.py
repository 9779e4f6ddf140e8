"""The tool calls of one turn: checked, run in their order, effects after tools, answered in their order."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from bot.agents import arguments, blocks, nudges
from bot.agents.deadline import Deadline
from bot.agents.effects import Effects
from bot.agents.ports import LoopEvent, LoopEventKind, call_event
from bot.agents.registry import Definition
from bot.agents.tools import CATALOG, EFFECT_NAMES
from bot.domain.ports import Tools
from bot.domain.values import FileChange, Json, ToolResult

TOOL_TIMEOUT_SECONDS = 60.0
CHANGING: Final = frozenset({"edit_file", "write_file", "delete_file", "run_command"})
"""After a turn with one of these the change is asked for anew, and kept as the checkpoint."""


@dataclass(frozen=True, slots=True)
class Done:
    """The calls of a turn, answered: `valid` of them could be run at all; `changes` when files may differ."""

    results: list[Json]
    valid: int
    changes: Sequence[FileChange] | None


@dataclass(frozen=True, slots=True)
class Hands:
    """What runs an agent's calls; a turn's results have at most about *turn_chars* characters together."""

    definition: Definition
    tools: Tools
    effects: Effects
    deadline: Deadline
    note: Callable[[LoopEvent], None]
    turn_chars: int

    async def run(self, step: int, calls: list[Json]) -> Done:
        """Answer all *calls* of one turn: those that cannot be run are told why.

        Raises:
            Permanent: the tool host is gone.
        """
        wrong = [self._problem(call, position) for position, call in enumerate(calls)]
        answers = [ToolResult(words or "", is_error=True) for words in wrong]
        fit = [position for position, words in enumerate(wrong) if words is None]
        names = {position: calls[position]["name"] for position in fit}
        for position in (one for one in fit if names[one] not in EFFECT_NAMES):
            answers[position] = await self._run_tool(calls[position])
        is_changed = not CHANGING.isdisjoint(names.values())
        # What the effects count is not asked for twice: nothing changes a file between here and the record.
        is_asked = is_changed or "propose_change" in names.values()
        changes = await self.tools.changes() if is_asked else None
        for position in (one for one in fit if names[one] in EFFECT_NAMES):
            given = calls[position]["input"]
            answers[position] = self.effects.apply(names[position], given, has_changes=bool(changes))
        self._tell(step, calls, wrong, answers)
        return Done(self._bounded(calls, answers), len(fit), changes if is_changed else None)

    def _problem(self, call: Json, position: int) -> str | None:
        """Why a call cannot be run at all: one too many, no such tool for this agent, or unfit arguments."""
        if position >= nudges.MAX_CALLS_A_TURN:
            return nudges.TOO_MANY
        offered = self.definition.tools | self.definition.effects
        if call["name"] not in offered:
            return f"There is no tool {call['name'][:60]!r}. There are: {', '.join(sorted(offered))}."
        return " ".join(arguments.problems(CATALOG[call["name"]].input_schema, call["input"])) or None

    async def _run_tool(self, call: Json) -> ToolResult:
        """Run one tool in the tool host, while there is time; a command has limits of its own there."""
        left = self.deadline.seconds_left()
        seconds = left if call["name"] == "run_command" else min(TOOL_TIMEOUT_SECONDS, left)
        if seconds <= 0:
            return ToolResult(nudges.OUT_OF_TIME, is_error=True)
        return await self.tools.call(call["name"], call["input"], timeout_seconds=seconds)

    def _tell(self, step: int, calls: list[Json], wrong: list[str | None], answers: list[ToolResult]) -> None:
        """Note each call for the log, in their order."""
        for call, words, answer in zip(calls, wrong, answers, strict=True):
            kind = LoopEventKind.PROBLEM if words else LoopEventKind.TOOL
            self.note(call_event(step, call, answer, kind))

    def _bounded(self, calls: list[Json], answers: list[ToolResult]) -> list[Json]:
        """The blocks; of many long results each later one is shown less of."""
        left, results = self.turn_chars, []
        for call, answer in zip(calls, answers, strict=True):
            most = max(min(blocks.MAX_RESULT_CHARS, left), blocks.MIN_RESULT_CHARS)
            results.append(blocks.tool_result(call, answer, most))
            left -= len(results[-1]["content"])
        return results

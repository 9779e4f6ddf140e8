"""The loop's transcript, ledger and log, on the database and under the job's fence."""

from dataclasses import dataclass
from typing import Final

from bot.agents.ports import LoopEvent, LoopEventKind
from bot.db import ledger, transcript
from bot.db.database import Database
from bot.db.transcript import Step
from bot.domain import budget
from bot.domain.budget import Budgets
from bot.domain.clock import Clock
from bot.domain.enums import LogLevel, Purpose, StepKind
from bot.domain.values import ClaimedJob, Json, ModelReply, Scope, Usage

_DEBUG_KINDS: Final = frozenset({LoopEventKind.TURN})
_WARN_KINDS: Final = frozenset({LoopEventKind.REFUSAL, LoopEventKind.PROBLEM, LoopEventKind.RETRY})


@dataclass(frozen=True, slots=True)
class JobRecord:
    """Writes down what happens to one job; every method may raise LeaseLost."""

    database: Database
    job: ClaimedJob
    clock: Clock
    base_sha: str
    model: str
    limit_micro_usd: int
    is_debug: bool

    @property
    def _scope(self) -> Scope:
        return Scope(self.job.organization_id)

    async def prompt(self, content: Json, /) -> None:
        """Record step 0."""
        checkpoint = {"baseSha": self.base_sha}
        await self._step(Step(0, StepKind.PROMPT, content, checkpoint=checkpoint, model=self.model))

    async def turn(self, number: int, reply: ModelReply, cost_usd: float, /) -> None:
        """Record the model's answer before any of its tools run."""
        content = {"content": reply.content, "stopReason": reply.stop_reason, "requestId": reply.request_id}
        step = Step(
            number,
            StepKind.TURN,
            content,
            model=reply.model,
            cost_micro_usd=budget.micro_usd(cost_usd),
        )
        await self._step(step)

    async def tools(self, number: int, results: list[Json], /) -> None:
        """Record the results that answer a turn."""
        await self._step(Step(number, StepKind.TOOLS, {"content": results}))

    async def reserve(self, micro_usd: int, /) -> str:
        """Set money aside for one call.

        Raises:
            BudgetExceeded: The job's limit does not cover it.
            LeaseLost: Another worker owns the job.
        """
        call = ledger.Call(self.model, Purpose.TURN, micro_usd, tokens=0)
        limits = Budgets(job=self.limit_micro_usd)
        async with self.database.write() as connection:
            return await ledger.reserve(self._scope, connection, self.job, call, limits, now=self.clock.now())

    async def settle(self, reservation_id: str, usage: Usage, micro_usd: int, /) -> None:
        """Replace a reservation by what the call cost."""
        async with self.database.write() as connection:
            await ledger.settle(
                self._scope,
                connection,
                reservation_id,
                micro_usd=micro_usd,
                usage=usage,
                now=self.clock.now(),
            )

    async def observe(self, event: LoopEvent) -> None:
        """Log what the loop did; turns only where debugging is on."""
        if event.kind in _DEBUG_KINDS:
            level = LogLevel.DEBUG
        else:
            level = LogLevel.WARN if event.kind in _WARN_KINDS else LogLevel.INFO
        if level is LogLevel.DEBUG and not self.is_debug:
            return
        await self.log(level, f"{event.kind.value}: {event.name}", {"step": event.step, **event.detail})

    async def log(self, level: LogLevel, message: str, data: Json | None = None) -> None:
        """Add a line to the job's log; NUL, which no database keeps in text, is replaced."""
        clean = message.replace("\0", "\N{REPLACEMENT CHARACTER}")
        async with self.database.write() as connection:
            await transcript.add_log(
                self._scope, connection, self.job.id, level, clean, now=self.clock.now(), data=data
            )

    async def _step(self, step: Step) -> None:
        async with self.database.write() as connection:
            await transcript.add_step(self._scope, connection, self.job, step, now=self.clock.now())

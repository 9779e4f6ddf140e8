"""The loop's record on the database and under the job's fence: transcript, money, people's words, log."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.agents.ports import Compose, Entry, LoopEvent, LoopEventKind, Need, StepRow
from bot.db import job_messages, jobs, ledger, past, transcript
from bot.db.database import Database
from bot.db.transcript import Line, Step
from bot.domain.budget import BudgetExceeded, Budgets
from bot.domain.clock import Clock
from bot.domain.enums import LogLevel, Purpose, StepKind
from bot.domain.values import ClaimedJob, Json, Said, Scope
from bot.errors import RetryLater

_DEBUG_KINDS: Final = frozenset({LoopEventKind.TURN})
_WARN_KINDS: Final = frozenset({LoopEventKind.REFUSAL, LoopEventKind.PROBLEM, LoopEventKind.RETRY})


@dataclass(slots=True)
class JobRecord:
    """Writes down what happens to one job; every method may raise LeaseLost.

    `limits` bound each reservation; `base_sha` is the commit that the job's tree stands on. `is_new`: the
    first step 0 begins the conversation, and what was said in one that was given up is said again in it.
    `got_further` is called for each turn that was recorded.
    """

    database: Database
    job: ClaimedJob
    clock: Clock
    base_sha: str
    model: str
    limits: Budgets
    is_debug: bool
    got_further: Callable[[], None]
    is_new: bool = False
    _lines: list[Line] = field(default_factory=list)

    @property
    def _scope(self) -> Scope:
        return Scope(self.job.organization_id)

    async def write(self, entry: Entry, /) -> str | None:
        """Write *entry* and the noted events in one transaction; nothing to write costs none.

        Raises:
            BudgetExceeded: A limit does not cover the next call; all the rest is written.
            RetryLater: Money is spent too fast now; all the rest is written.
            LeaseLost: Another worker owns the job; nothing is written.
        """
        if entry == Entry() and not self._lines:
            return None
        reserved = await self._transact(lambda _said: entry, is_hearing=False)
        if _has_turn(entry):
            self.got_further()
        return reserved

    async def hear(self, compose: Compose, /) -> str | None:
        """The same for what *compose* makes of the words that wait for the job; they are taken in with it."""
        return await self._transact(compose, is_hearing=True)

    def note(self, event: LoopEvent, /) -> None:
        """Remember what the loop did for the log; turns only where debugging is on."""
        if event.kind in _DEBUG_KINDS:
            level = LogLevel.DEBUG
        else:
            level = LogLevel.WARN if event.kind in _WARN_KINDS else LogLevel.INFO
        if level is not LogLevel.DEBUG or self.is_debug:
            data = {"step": event.step, **event.detail}
            self._lines.append(self._line(level, f"{event.kind.value}: {event.name}", data))

    async def log(self, level: LogLevel, message: str, data: Json | None = None) -> None:
        """Add a line to the job's log at once; NUL, which no database keeps in text, is replaced."""
        self._lines.append(self._line(level, message, data or {}))
        await self.write(Entry())

    def _line(self, level: LogLevel, message: str, data: Json) -> Line:
        """A line as the database can keep it."""
        return Line(level, message.replace("\0", "\N{REPLACEMENT CHARACTER}"), data, self.clock.now())

    async def _transact(self, compose: Compose, *, is_hearing: bool) -> str | None:
        """One transaction; a refused reservation is told after everything else is kept."""
        now = self.clock.now()

        async def action(connection: AsyncConnection) -> str | BudgetExceeded | RetryLater | None:
            entry = compose(await self._words(connection) if is_hearing else [])
            # Before any row is locked: see `ledger.reserve`.
            try:
                reserved: str | BudgetExceeded | RetryLater | None
                reserved = await self._reserve(connection, entry.need, now)
            except (BudgetExceeded, RetryLater) as error:
                reserved = error
            has_turn = _has_turn(entry)
            if has_turn or not isinstance(reserved, str):
                await jobs.own(self._scope, connection, self.job, has_got_further=has_turn)
            await self._write(connection, entry, now)
            return reserved

        reserved = await self.database.transact(action)
        self._lines.clear()
        self.is_new = self.is_new and not is_hearing
        if isinstance(reserved, Exception):
            raise reserved
        return reserved

    async def _words(self, connection: AsyncConnection) -> list[Said]:
        """What people said and is in no conversation."""
        ask = job_messages.all_of if self.is_new else job_messages.waiting
        return await ask(self._scope, connection, self.job.id)

    async def _reserve(self, connection: AsyncConnection, need: Need | None, now: datetime) -> str | None:
        if need is None:
            return None
        call = ledger.Call(self.model, Purpose.TURN, need.micro_usd, need.tokens)
        return await ledger.reserve(self._scope, connection, self.job, call, self.limits, now=now)

    async def _write(self, connection: AsyncConnection, entry: Entry, now: datetime) -> None:
        """Everything but the reservation, in a transaction that owns the job."""
        if entry.bill is not None:
            await ledger.settle(
                self._scope,
                connection,
                entry.bill.reservation_id,
                micro_usd=entry.bill.micro_usd,
                usage=entry.bill.usage,
                now=now,
            )
        await transcript.insert_steps(connection, self.job, [self._step(row) for row in entry.rows], now=now)
        if self.is_new and any(row.kind is StepKind.PROMPT for row in entry.rows):
            await job_messages.put_back(connection, self.job.id)
        if entry.heard:
            step = entry.rows[-1].number
            await job_messages.take(connection, self.job.id, entry.heard, step)
        await transcript.insert_logs(connection, self.job, self._lines, now=now)

    def _step(self, row: StepRow) -> Step:
        """A row with its checkpoint: step 0 has one always, an answer when files may have changed."""
        is_prompt = row.kind is StepKind.PROMPT
        changes = () if is_prompt and row.changes is None else row.changes
        return Step(
            row.number,
            row.kind,
            row.content,
            checkpoint=None if changes is None else past.checkpoint(self.base_sha, changes),
            model=self.model if is_prompt else row.model,
            cost_micro_usd=row.cost_micro_usd,
        )


def _has_turn(entry: Entry) -> bool:
    """Whether *entry* holds a turn of the model, which nobody has recorded before."""
    return any(row.kind is StepKind.TURN for row in entry.rows)

"""The loop's record on the database and under the job's fence: transcript, money, people's words, log."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import logs
from bot.agents.ports import Bill, Compose, Entry, LoopEvent, LoopEventKind, Need, StepRow
from bot.db import job_messages, jobs, ledger, past, transcript
from bot.db.database import Database
from bot.db.transcript import Line, Step
from bot.domain.budget import BudgetExceeded, Budgets
from bot.domain.clock import Clock
from bot.domain.enums import LogLevel, Purpose, StepKind
from bot.domain.values import ClaimedJob, Json, Said, Scope
from bot.errors import LeaseLost, RetryLater

log = logs.get(__name__)

LAG_SECONDS: Final = 0.05
"""How long what is to be written soon waits for the next write; most tools answer sooner."""
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
    _lines: list[Line] = field(default_factory=list, init=False)
    _due: Entry = field(default=Entry(), init=False)
    _timer: asyncio.TimerHandle | None = field(default=None, init=False)
    _flushing: "asyncio.Task[str | None] | None" = field(default=None, init=False)

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
        await self._flushed()
        if entry == self._due == Entry() and not self._lines:
            return None
        return await self._transact(lambda _said: entry, is_hearing=False)

    async def hear(self, compose: Compose, /) -> str | None:
        """The same for what *compose* makes of the words that wait for the job; they are taken in with it."""
        await self._flushed()
        return await self._transact(compose, is_hearing=True)

    async def soon(self, entry: Entry, /) -> None:
        """Write *entry* with the next one, or alone after LAG_SECONDS; its errors come with the next call.

        *entry* reserves nothing.
        """
        await self._flushed()
        self._due = entry
        self._timer = asyncio.get_running_loop().call_later(LAG_SECONDS, self._flush)

    async def close(self) -> None:
        """Write what is still due, unless that is impossible; then the turn counts as an interrupted one."""
        try:
            await self.write(Entry())
        except (LeaseLost, SQLAlchemyError, OSError) as error:
            log.warning("not_recorded", why=type(error).__name__)

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

    def _flush(self) -> None:
        """Write what is due beside the loop, which is busy with something slow."""
        self._flushing = asyncio.create_task(self._transact(lambda _said: Entry(), is_hearing=False))

    async def _flushed(self) -> None:
        """Let nothing else be written from now on; raises what went wrong beside the loop."""
        if self._timer is not None:
            self._timer.cancel()
        if self._flushing is not None:
            await asyncio.shield(self._flushing)
        self._timer = self._flushing = None

    async def _transact(self, compose: Compose, *, is_hearing: bool) -> str | None:
        """One transaction, with what is due; a refused reservation is told after everything else is kept."""
        now, due, lines = self.clock.now(), self._due, tuple(self._lines)
        has_turn = any(row.kind is StepKind.TURN for row in due.rows)

        async def action(connection: AsyncConnection) -> str | BudgetExceeded | RetryLater | None:
            nonlocal has_turn
            entry = compose(await self._words(connection) if is_hearing else [])
            has_turn = has_turn or any(row.kind is StepKind.TURN for row in entry.rows)
            for bill in filter(None, (due.bill, entry.bill)):
                await self._settle(connection, bill, now)
            # Before any other row is locked: see `ledger.reserve`.
            try:
                reserved: str | BudgetExceeded | RetryLater | None
                reserved = await self._reserve(connection, entry.need, now)
            except (BudgetExceeded, RetryLater) as error:
                reserved = error
            if has_turn or not isinstance(reserved, str):
                await jobs.own(self._scope, connection, self.job, has_got_further=has_turn)
            await self._write(connection, replace(entry, rows=(*due.rows, *entry.rows)), lines, now)
            return reserved

        reserved = await self.database.transact(action)
        self._due = Entry()
        del self._lines[: len(lines)]
        self.is_new = self.is_new and not is_hearing
        if has_turn:
            self.got_further()
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

    async def _settle(self, connection: AsyncConnection, bill: Bill, now: datetime) -> None:
        await ledger.settle(
            self._scope,
            connection,
            bill.reservation_id,
            micro_usd=bill.micro_usd,
            usage=bill.usage,
            now=now,
        )

    async def _write(
        self, connection: AsyncConnection, entry: Entry, lines: Sequence[Line], now: datetime
    ) -> None:
        """Everything but the money, in a transaction that owns the job."""
        await transcript.insert_steps(connection, self.job, [self._step(row) for row in entry.rows], now=now)
        if self.is_new and any(row.kind is StepKind.PROMPT for row in entry.rows):
            await job_messages.put_back(connection, self.job.id)
        if entry.heard:
            step = entry.rows[-1].number
            await job_messages.take(connection, self.job.id, entry.heard, step)
        await transcript.insert_logs(connection, self.job, lines, now=now)

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

"""Triage of a job before its first turn: a small model looks once, and what it comes to is written down."""

from dataclasses import asdict, dataclass, replace
from typing import Final

from bot.db import ledger, transcript, triaged
from bot.db.database import Database
from bot.domain import delimiter
from bot.domain.budget import Budgets
from bot.domain.clock import Clock
from bot.domain.enums import LogLevel, Purpose
from bot.domain.ports import Model
from bot.domain.values import ClaimedJob, Scope, Usage
from bot.llm.prices import Catalogue
from bot.runner.base import Base
from bot.runner.outcome import Outcome, not_ready
from bot.triage.classify import CLASSIFIER, Classifier
from bot.triage.decide import question
from bot.triage.look import Look, look_from
from bot.triage.route import Routed, route

LEAST_MICRO_USD: Final = 10_000
"""What a job needs at least, so that it is worth beginning: one cent."""


@dataclass(frozen=True, slots=True)
class Triaging:
    """Looks at requests; *is_enabled* is the operator's word, without it the rules stand."""

    database: Database
    model: Model
    clock: Clock
    catalogue: Catalogue
    budgets: Budgets
    default_model: str
    is_enabled: bool

    async def done(self, job: ClaimedJob, base: Base) -> tuple[ClaimedJob, Outcome | None]:
        """The job as it is to be done, or as well the question that ends it; the second time what was found.

        A job that goes on from another one is what that one was.

        Raises:
            BudgetExceeded: A budget of its person, repository or organization is used up.
            LeaseLost: Another worker owns the job.
        """
        await self._check_budget(job)
        if job.origin.continues_id is not None or not self.is_enabled:
            return job, None
        scope = Scope(job.organization_id)
        async with self.database.read() as connection:
            has_asked = await triaged.has_asked(scope, connection, job)
            kept = await triaged.look_of(scope, connection, job)
        if kept is not None:
            return job, _question(look_from(kept) if kept else None, job, has_asked=has_asked)
        routed = await route(
            job.origin,
            base.repository,
            registry=base.registry,
            classifier=self._classifier(job),
            default_model=self.default_model,
        )
        await self._note(job, routed)
        found = replace(job, agent_type=routed.triage.agent_type, model=routed.triage.model)
        return found, _question(routed.look, found, has_asked=has_asked)

    async def _check_budget(self, job: ClaimedJob) -> None:
        """Refuse before anything is asked of the model or of git."""
        async with self.database.read() as connection:
            await ledger.affordable(
                Scope(job.organization_id),
                connection,
                job,
                LEAST_MICRO_USD,
                self.budgets,
                now=self.clock.now(),
            )

    def _classifier(self, job: ClaimedJob) -> Classifier:
        model_name = self.catalogue.resolve(CLASSIFIER).name
        purse = _Purse(self.database, job, self.clock, model_name, self.budgets)
        return Classifier(self.model, purse, self.clock, self.catalogue, delimiter.new())

    async def _note(self, job: ClaimedJob, routed: Routed) -> None:
        """Write down the whole of it, with a line in the job's log."""
        look = {} if routed.look is None else asdict(routed.look)
        now, scope = self.clock.now(), Scope(job.organization_id)
        words = f"triage: {routed.triage.agent_type} with {routed.triage.model}"
        async with self.database.write() as connection:
            await triaged.note(scope, connection, job, routed.triage, look, now=now)
            await transcript.add_log(scope, connection, job.id, LogLevel.INFO, words, now=now, data=look)


def _question(look: Look | None, job: ClaimedJob, *, has_asked: bool) -> Outcome | None:
    """The end of a job that has to ask first."""
    words = question(look, job.agent_type, has_asked=has_asked)
    if words is None or look is None:
        return None
    return not_ready(words, look.missing, agent_type=job.agent_type)


@dataclass(frozen=True, slots=True)
class _Purse:
    """The money of one job's triage."""

    database: Database
    job: ClaimedJob
    clock: Clock
    model_name: str
    limits: Budgets

    async def reserve(self, micro_usd: int, tokens: int, /) -> str:
        """Set *micro_usd* aside for one call of at most *tokens*; raises BudgetExceeded."""
        call = ledger.Call(self.model_name, Purpose.TRIAGE, micro_usd, tokens)
        async with self.database.write() as connection:
            return await ledger.reserve(
                Scope(self.job.organization_id),
                connection,
                self.job,
                call,
                self.limits,
                now=self.clock.now(),
            )

    async def settle(self, reservation_id: str, usage: Usage, micro_usd: int, /) -> None:
        """Put what the call cost in place of a reservation."""
        async with self.database.write() as connection:
            await ledger.settle(
                Scope(self.job.organization_id),
                connection,
                reservation_id,
                micro_usd=micro_usd,
                usage=usage,
                now=self.clock.now(),
            )

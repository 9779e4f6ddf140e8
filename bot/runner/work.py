"""The middle of a run: authorize, triage, check out, verify, let the agent work, verify again, decide."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeAlias

from bot.agents import loop
from bot.agents.prompt import Prompt
from bot.agents.registry import Definition, Registry
from bot.db import ledger, past, tenants
from bot.db.database import Database
from bot.domain import budget
from bot.domain.agent_kinds import answers
from bot.domain.budget import Budgets
from bot.domain.clock import Clock
from bot.domain.enums import Cause, LogLevel
from bot.domain.past import Past
from bot.domain.ports import Model, ToolHost
from bot.domain.values import ClaimedJob, RepositoryConfig, Scope
from bot.errors import Permanent
from bot.github.app import GitHubApp
from bot.github.repository import RepositoryApi
from bot.github.tokens import Loan
from bot.intake.gate import Gate
from bot.llm.prices import Catalogue
from bot.runner import base as bases
from bot.runner import restoring
from bot.runner.base import Base
from bot.runner.briefing import Briefing
from bot.runner.company import Company
from bot.runner.memory import JobTools, Recall
from bot.runner.outcome import Outcome, decide, needs_verification
from bot.runner.record import JobRecord
from bot.runner.triaging import Triaging
from bot.runner.verifying import Desk, verifier_of
from bot.workspace.toolhost.globs import Exclusion
from bot.workspace.workspace import Workspace

Told: TypeAlias = Callable[[ClaimedJob], AbstractAsyncContextManager[None]]
READ_PERMISSIONS = {"contents": "read", "issues": "read", "metadata": "read"}


class Withdrawn(Permanent):
    """Whoever asked for the job has taken it back."""

    def __init__(self, reason: str) -> None:
        """Keep the reason; the job ends as cancelled."""
        super().__init__(reason, cause=Cause.CANCELLED)


@dataclass(frozen=True, slots=True)
class Work:
    """Everything that the work on a job needs; publishes nothing."""

    database: Database
    app: GitHubApp
    gate: Gate
    workspace: Workspace
    registry: Registry
    model: Model
    catalogue: Catalogue
    budgets: Budgets
    triaging: Triaging
    briefing: Briefing
    clock: Clock
    verify_timeout_seconds: float
    backoff_seconds: float
    is_debug: bool
    company: Company = field(default_factory=Company)

    def with_model(self, model: Model) -> "Work":
        """The same work, with *model* for triage and turns."""
        return replace(self, model=model, triaging=replace(self.triaging, model=model))

    async def authorize(self, job: ClaimedJob) -> None:
        """Ask GitHub now whether the person may still command this.

        Raises:
            Permanent: They may not (cause `denied`), or the installation is gone.
            RetryLater: GitHub cannot say.
        """
        async with self.database.read() as connection:
            tenant = await tenants.tenant_of(
                Scope(job.organization_id), connection, job.origin.installation_id, job.repository.id
            )
        if tenant is None:
            raise Permanent("the App is no longer installed on this repository")
        verdict = await self.gate.check(tenant, job.origin.actor, fresh=True)
        if not verdict.is_open:
            raise Permanent(verdict.reason, cause=Cause.DENIED)

    async def confirm(self, job: ClaimedJob) -> None:
        """Make sure that a label which asked for the job is still there, and the issue open.

        It may have gone while GitHub could not tell us: an event that ends a job can be lost for good.

        Raises:
            Withdrawn: The label was removed, or the issue was closed.
            RetryLater: GitHub cannot say.
        """
        kind, _, label = job.origin.trigger.partition(":")
        if kind != "label":
            return
        async with self.reading(job) as loan:
            issue = await self.app.repository(job.repository.full_name, loan).issue(job.origin.number)
        if issue.state != "open":
            raise Withdrawn("the issue was closed")
        if label.casefold() not in {name.casefold() for name in issue.labels}:
            raise Withdrawn(f"the label `{label}` was removed")

    def reading(self, job: ClaimedJob) -> AbstractAsyncContextManager[Loan]:
        """A token that reads the job's repository; one for all who read within the block."""
        return self.app.lend(job.origin.installation_id, job.repository.id, READ_PERMISSIONS)

    async def run(self, job: ClaimedJob, told: Told) -> Outcome:
        """Do the work, or what is left of it, and say what it came to; the read token ends with it.

        *told* is held around the work once it is known who does it.
        """
        async with self.database.read() as connection:
            before = await past.past_of(Scope(job.organization_id), connection, job)
        async with self.reading(job) as loan:
            api = self.app.repository(job.repository.full_name, loan)
            sha = before.restore.base_sha if before.restore else None
            base = await bases.read(api, job.repository, self.registry, sha=sha)
            # Work that has begun has been paid for: it goes on, and the loop minds its money.
            if before.own is None:
                job, question = await self.triaging.done(job, base)
                if question is not None:
                    return replace(question, base_sha=base.sha)
            async with told(job):
                return await self._on_checkout(job, base, before, api, await loan.value())

    async def _on_checkout(
        self, job: ClaimedJob, base: Base, before: Past, api: RepositoryApi, token: str
    ) -> Outcome:
        # The commit is one of the default branch: what its AGENTS.md say is its maintainers' word.
        options = {"exclude": list(base.config.exclude), "guidance": "trusted"}
        checkout = await self.workspace.checkout(base.repository, base.sha, token, job.id)
        try:
            host = await self.workspace.open_host(checkout, options)
            try:
                return await self._with_host(job, base, before, host, api)
            finally:
                await host.close()
        finally:
            await self.workspace.discard(checkout)

    async def _with_host(
        self, job: ClaimedJob, base: Base, before: Past, host: ToolHost, api: RepositoryApi
    ) -> Outcome:
        if job.agent_type not in base.registry.ids:
            raise Permanent(f"the agent {job.agent_type} is not there any more; ask again")
        definition = base.registry.get(job.agent_type)
        record = await self._record(job, base, before, definition)
        # Who only answers has nothing that could be tried.
        config = RepositoryConfig() if answers(job.agent_type) else base.config
        desk = Desk(self.database, job, self.clock, base.sha)
        verifier = verifier_of(job, before, host, config, desk, self.verify_timeout_seconds)
        first = await verifier.before()
        if before.restore is not None:
            await restoring.restore(host, before.restore)
        scope = Scope(job.organization_id)
        async with self.database.read() as connection:
            spent = await ledger.spent_by_job(scope, connection, job.id)
        try:
            result = await loop.run(
                definition,
                await self._prompt(job, base, before, definition, host, api),
                model=self.model,
                info=self.catalogue.resolve(job.model),
                tools=JobTools(host, Recall(self.database, job, Exclusion(base.config.exclude))),
                record=record,
                clock=self.clock,
                judge=verifier,
                past=before,
                spent=spent,
                backoff_seconds=self.backoff_seconds,
            )
        finally:
            await record.close()
        changes = await host.changes()
        if not needs_verification(result, changes):
            return decide(result, changes, first, [], base.sha, agent_type=job.agent_type)
        after = await verifier.after(changes)
        objection = await verifier.objection(changes)
        return decide(result, changes, first, after, base.sha, agent_type=job.agent_type, objection=objection)

    async def _prompt(
        self,
        job: ClaimedJob,
        base: Base,
        before: Past,
        definition: Definition,
        host: ToolHost,
        api: RepositoryApi,
    ) -> Prompt:
        """The recorded prompt of a job that goes on, or a new one."""
        if before.own is not None:
            return Prompt.from_json(before.own.prompt)
        return await self.briefing.prompt(job, base, definition, host, api)

    async def _record(self, job: ClaimedJob, base: Base, before: Past, definition: Definition) -> JobRecord:
        info, limits = self.catalogue.resolve(job.model), definition.limits
        record = JobRecord(
            database=self.database,
            job=job,
            clock=self.clock,
            base_sha=base.sha,
            model=info.name,
            limits=self.budgets.for_agent(
                cost_micro_usd=budget.micro_usd(limits.cost_usd),
                tokens=limits.tokens,
                has_price=info.price is not None,
            ),
            is_debug=self.is_debug,
            is_new=before.own is None,
            got_further=partial(self.company.got_further, job.id),
        )
        for problem in [*base.problems, *([before.lost] if before.lost else [])]:
            await record.log(LogLevel.WARN, problem)
        return record

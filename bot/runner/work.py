"""The middle of a run: authorize, check out, verify, let the agent work, verify again, decide."""

import secrets
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass

from bot import logs
from bot.agents import loop, prompt
from bot.agents.registry import Definition, Registry
from bot.db import ledger, tenants, transcript
from bot.db.database import Database
from bot.domain import budget, repo_config
from bot.domain.budget import Budgets
from bot.domain.clock import Clock
from bot.domain.enums import Cause, LogLevel, When
from bot.domain.ports import Model, ToolHost
from bot.domain.values import ClaimedJob, CommandRecord, RepositoryConfig, RepositoryRef, Scope
from bot.errors import Permanent
from bot.github.app import GitHubApp
from bot.github.repository import RepositoryApi
from bot.github.tokens import Loan
from bot.intake.gate import Gate
from bot.llm import prices
from bot.runner.outcome import Outcome, decide, needs_verification
from bot.runner.record import JobRecord
from bot.workspace.workspace import Workspace

log = logs.get(__name__)

CONFIG_PATH = ".github/issuewright.yml"
GUIDANCE_PATHS = ("AGENTS.md", "CLAUDE.md")
READ_PERMISSIONS = {"contents": "read", "issues": "read", "metadata": "read"}


@dataclass(frozen=True, slots=True)
class Base:
    """What a job stands on: the repository as GitHub names it now, the commit, its configuration."""

    repository: RepositoryRef
    sha: str
    config: RepositoryConfig
    guidance: str | None


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
    clock: Clock
    verify_timeout_seconds: float
    backoff_seconds: float
    is_debug: bool

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

    async def run(self, job: ClaimedJob) -> Outcome:
        """Do the work and say what it came to; the read token ends with it."""
        async with self.reading(job) as loan:
            api = self.app.repository(job.repository.full_name, loan)
            base = await self._base(api, job.repository)
            return await self._on_checkout(job, base, loan)

    async def _base(self, api: RepositoryApi, asked: RepositoryRef) -> Base:
        """The head of the default branch, with what it says about us."""
        info = await api.info()
        check_identity(info, asked)
        if info.is_archived:
            raise Permanent("the repository is archived and takes no changes; unarchive it and ask again")
        sha = await api.branch_sha(info.default_branch)
        if sha is None:
            raise Permanent(
                "the repository has no commit on its default branch; push a first commit and ask again"
            )
        config = repo_config.parse(await api.file(CONFIG_PATH, sha))
        guidance = await self._guidance(api, sha)
        repository = RepositoryRef(info.id, info.full_name, info.default_branch, info.is_private)
        return Base(repository, sha, config, guidance)

    async def _guidance(self, api: RepositoryApi, sha: str) -> str | None:
        for path in GUIDANCE_PATHS:
            content = await api.file(path, sha)
            if content is not None:
                return content.decode("utf-8", errors="replace")
        return None

    async def _on_checkout(self, job: ClaimedJob, base: Base, loan: Loan) -> Outcome:
        token = await loan.value()
        checkout = await self.workspace.checkout(base.repository, base.sha, token, job.id)
        try:
            host = await self.workspace.open_host(checkout)
            try:
                return await self._with_host(job, base, host)
            finally:
                await host.close()
        finally:
            await self.workspace.discard(checkout)

    async def _with_host(self, job: ClaimedJob, base: Base, host: ToolHost) -> Outcome:
        definition = self.registry.get(job.agent_type)
        record = self._record(job, base, definition)
        for problem in base.config.problems:
            await record.log(LogLevel.WARN, f"{CONFIG_PATH}: {problem}")
        before = await self._verify(job, base, host, When.BEFORE)
        scope = Scope(job.organization_id)
        async with self.database.read() as connection:
            spent = await ledger.spent_by_job(scope, connection, job.id)
        result = await loop.run(
            definition,
            self._prompt(job, base, definition),
            model=self.model,
            info=prices.resolve(job.model),
            tools=host,
            record=record,
            clock=self.clock,
            spent=spent,
            backoff_seconds=self.backoff_seconds,
        )
        changes = await host.changes()
        is_proposed = needs_verification(result, changes)
        after = await self._verify(job, base, host, When.AFTER) if is_proposed else []
        return decide(result, changes, before, after, base.sha, agent_type=job.agent_type)

    def _record(self, job: ClaimedJob, base: Base, definition: Definition) -> JobRecord:
        info, limits = prices.resolve(job.model), definition.limits
        cost = budget.micro_usd(limits.cost_usd)
        return JobRecord(
            database=self.database,
            job=job,
            clock=self.clock,
            base_sha=base.sha,
            model=info.name,
            limits=Budgets().for_agent(
                cost_micro_usd=cost, tokens=limits.tokens, has_price=info.price is not None
            ),
            is_debug=self.is_debug,
        )

    def _prompt(self, job: ClaimedJob, base: Base, definition: Definition) -> prompt.Prompt:
        request = prompt.Request(
            repository=base.repository,
            number=job.origin.number,
            snapshot=job.origin.snapshot,
            verify=base.config.verify,
            guidance=base.guidance,
        )
        return prompt.build(definition, request, delimiter=f"text-{secrets.token_hex(12)}")

    async def _verify(
        self, job: ClaimedJob, base: Base, host: ToolHost, when: When
    ) -> Sequence[CommandRecord]:
        """Run the repository's commands in the sandbox and write down what they did."""
        records = [
            await host.verify(command, timeout_seconds=self.verify_timeout_seconds)
            for command in base.config.verify
        ]
        async with self.database.write() as connection:
            await transcript.add_verifications(
                Scope(job.organization_id), connection, job, when, base.sha, records, now=self.clock.now()
            )
        return records


def check_identity(found: RepositoryRef, asked: RepositoryRef) -> None:
    """Let *found* pass when it is the repository that was *asked* for: the number counts, not the name.

    A name that was given up can be taken by anybody, and a token reads every public repository.

    Raises:
        Permanent: The name belongs to another repository now.
    """
    if found.id != asked.id:
        raise Permanent(f"the name {asked.full_name} belongs to another repository now; ask again there")

"""A job on a forge, and the runner with all its real parts but for model and workspace."""

import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select, update

from bot.agents import registry
from bot.db import schedule, submit, tables, tenants
from bot.db.database import Database
from bot.db.limits import StoredLimits
from bot.db.submit import Submission
from bot.db.tenants import Tenant
from bot.domain.budget import Budgets
from bot.domain.clock import Clock
from bot.domain.enums import (
    Cause,
    IssuePriority,
    IssueSource,
    IssueStatus,
    IssueType,
    JobStatus,
    Phase,
    ThreadKind,
)
from bot.domain.intents import SaveInstallation
from bot.domain.ports import Model
from bot.domain.values import Actor, ClaimedJob, Json, Origin, RepositoryRef, Scope, Snapshot, Triage
from bot.github.app import GitHubApp
from bot.github.images import Gallery
from bot.github.repository import RepositoryApi
from bot.intake.gate import PermissionGate
from bot.llm.prices import Catalogue
from bot.publish.drafts import Hand
from bot.publish.operations import Publisher
from bot.publish.pace import Pace
from bot.runner.briefing import Briefing
from bot.runner.ending import Ending
from bot.runner.freezing import Voice
from bot.runner.publishing import Publishing
from bot.runner.run import Runner, Times
from bot.runner.triaging import Triaging
from bot.runner.work import Work
from bot.standin.forge.clock import ForgeClock
from bot.standin.forge.forge import Forge
from bot.standin.forge.state import Thread
from tests.chaos.fuse import Fuse, FusedClock, FusedDatabase, FusedModel, FusedWorkspace, fused_session
from tests.fakes import ManualClock
from tests.openapi import check_all
from tests.publish.conftest import Templates, keys_are_parsed_once, templates  # noqa: F401 (fixtures)
from tests.runner.stands import (
    HEARTBEAT_SECONDS,
    DictWorkspace,
    PlayedModel,
    TickClock,
    call,
)

REPOSITORY = "octo/pets"
MARKER_KEY = b"a key that only this test knows!"
CANARY = "canary-secret-4711-never-to-be-seen"
LEASE_SECONDS = 30.0
BACKOFF_SECONDS = 5.0
FIXED = "def speak():\n    return 'woof'\n"
FILES = {
    "dog.py": "def speak():\n    return 'meow'\n",
    ".github/issuewright.yml": "verify: check the dog\n",
}
PROPOSE = [
    [call("read_file", path="dog.py")],
    [call("write_file", path="dog.py", content=FIXED)],
    [
        call("propose_change", title="Let the dog bark", body="It meowed."),
        call("finish", summary="The dog barks."),
    ],
]
ANSWER = [[call("post_analysis", text="Dogs do bark."), call("finish", summary="Nothing is wrong.")]]


@dataclass(frozen=True)
class Facts:
    """Where a job stands."""

    status: JobStatus
    issue_status: IssueStatus
    cause: Cause | None
    phase: Phase
    error: str | None
    attempts: int
    waits_seconds: float | None
    fence: int


@dataclass
class Stack:
    """One worker's parts."""

    database: Database
    app: GitHubApp
    gate: PermissionGate
    work: Work
    publishing: Publishing
    ending: Ending
    runner: Runner
    clock: Clock

    async def claim(self, job_id: str) -> ClaimedJob | None:
        """Own the job as a worker does: admitted first, with whatever else may start."""
        async with self.database.write() as connection:
            await schedule.admit(
                Scope.system(),
                connection,
                now=self.clock.now(),
                readmit_after=timedelta(seconds=LEASE_SECONDS),
                places=100,
            )
        return await self.runner.claim(job_id)


@dataclass
class World:
    """What all workers share: the forge, the database, the time; and the model and files of the test."""

    forge: Forge
    database_url: str
    database: Database
    clock: TickClock
    tenant: Tenant
    actor: Actor
    model: PlayedModel = field(default_factory=lambda: PlayedModel(*PROPOSE))
    space: DictWorkspace = field(default_factory=lambda: DictWorkspace(FILES))
    threads: dict[str, int] = field(default_factory=dict)
    served: Model | None = None
    """Asked in place of `model` where a test has one behind a server."""
    budgets: Budgets = field(default_factory=Budgets)
    is_triaging: bool = False

    async def submit(self, title: str = "The dog meows") -> str:
        """A person asks for work on a new issue; the job's id."""
        number = await self.forge.open_issue(REPOSITORY, "maria", title)
        await self.forge.add_label(REPOSITORY, number, "agent", "maria")
        origin = Origin(
            repository_id=self.tenant.repository.id,
            number=number,
            kind=ThreadKind.ISSUE,
            verb="fix",
            actor=self.actor,
            trigger="label:agent",
            trigger_key=f"label:{number}",
            snapshot=Snapshot(title, "It should bark.", "", (), "maria"),
            installation_id=self.tenant.installation_id,
        )
        triage = Triage(IssueType.BUG, IssuePriority.MEDIUM, "code.fix", "sonnet", 0.9)
        asked = Submission(f"request:{number}", IssueSource.GITHUB, origin, triage, "github:1")
        async with self.database.write() as connection:
            made = await submit.submit(self.tenant.scope, connection, asked, now=self.clock.now())
        self.threads[made.job_id] = number
        return made.job_id

    async def facts(self, job_id: str) -> Facts:
        """Where the job stands by the database."""
        job, run, issue = tables.agent_jobs, tables.job_runs, tables.agent_issues
        statement = (
            select(job, run, issue.c.status.label("issue_status"))
            .join(run, run.c.job_id == job.c.id)
            .join(issue, issue.c.id == job.c.issue_id)
            .where(job.c.id == job_id)
        )
        async with self.database.read() as connection:
            row = (await connection.execute(statement)).one()
        left = None if row.wake_at is None else row.wake_at - self.clock.now()
        waits = None if left is None else round(left.total_seconds(), 1)
        return Facts(
            row.status, row.issue_status, row.cause, row.phase, row.error, row.attempts, waits, row.fence
        )

    async def rows(self, name: str, job_id: str) -> list[Any]:
        """A job's rows of a table, in the order in which they were made."""
        table = getattr(tables, name)
        statement = select(table).where(table.c.job_id == job_id).order_by(table.c.id)
        async with self.database.read() as connection:
            return list((await connection.execute(statement)).all())

    async def change_run(self, job_id: str, **values: object) -> None:
        """Change the job's run as another process would have."""
        table = tables.job_runs
        async with self.database.write() as connection:
            await connection.execute(update(table).where(table.c.job_id == job_id).values(**values))

    async def change_job(self, job_id: str, **values: object) -> None:
        """Change the job as another process would have."""
        table = tables.agent_jobs
        async with self.database.write() as connection:
            await connection.execute(update(table).where(table.c.id == job_id).values(**values))

    async def operations(self, job_id: str) -> dict[str, Any]:
        """The job's writes by the last part of their keys."""
        return {row.key.rsplit(":", 1)[-1]: row for row in await self.rows("operations", job_id)}

    def thread(self, job_id: str) -> Thread:
        """The issue as the forge keeps it."""
        return self.forge.world.repository(REPOSITORY).threads[self.threads[job_id]]

    def said(self, job_id: str) -> list[str]:
        """The comments that we made."""
        return [one.body for one in self.thread(job_id).comments if one.author.kind == "Bot"]

    def pulls(self, job_id: str) -> list[Thread]:
        """The pull requests of the job's issue."""
        threads = self.forge.world.repository(REPOSITORY).threads.values()
        head = f"issuewright/{self.threads[job_id]}-"
        return [one for one in threads if one.pull is not None and one.pull.head.startswith(head)]

    def asked(self, method: str, ending: str) -> int:
        """How often the forge was asked so."""
        return sum((one.method, one.path.endswith(ending)) == (method, True) for one in self.forge.requests)

    @asynccontextmanager
    async def stack(self, owner: str = "w1", fuse: Fuse | None = None) -> AsyncIterator[Stack]:
        """A worker's parts, on a power supply that may be cut."""
        database = self.database if fuse is None else FusedDatabase(self.database_url, fuse)
        session = aiohttp.ClientSession() if fuse is None else fused_session(fuse)
        try:
            yield self._stack(owner, database, session, fuse)
        finally:
            await session.close()
            if fuse is not None:
                await database.close()

    def _stack(
        self, owner: str, database: Database, session: aiohttp.ClientSession, fuse: Fuse | None
    ) -> Stack:
        forge, clock = self.forge, self.clock if fuse is None else FusedClock(self.clock, fuse)
        app = GitHubApp(
            api_url=forge.api_url,
            app_id=forge.app_id,
            private_keys=[forge.private_key],
            session=session,
            clock=clock,
            limits=StoredLimits(self.database, self.clock),
        )
        gate = PermissionGate(app, clock)
        model: Model = self.served or self.model
        model = model if fuse is None else FusedModel(model, fuse)
        triaging = Triaging(
            database, model, clock, Catalogue(), self.budgets, "sonnet", is_enabled=self.is_triaging
        )
        work = Work(
            database=database,
            app=app,
            gate=gate,
            workspace=self.space if fuse is None else FusedWorkspace(self.space, fuse),
            registry=registry.load(),
            model=model,
            catalogue=Catalogue(),
            budgets=self.budgets,
            triaging=triaging,
            briefing=Briefing(Gallery(session, forge.git_url), "python 3.11"),
            clock=clock,
            verify_timeout_seconds=60.0,
            backoff_seconds=2.0,
            is_debug=False,
        )
        publisher = Publisher(database, clock, partial(_hand, app), Pace(database, clock, 1.0), 60.0)
        publishing = Publishing(database, app, publisher, clock, work.authorize)
        ending = Ending(database, publishing, partial(_voice, forge.git_url), clock)
        times = Times(LEASE_SECONDS, HEARTBEAT_SECONDS, BACKOFF_SECONDS)
        runner = Runner(database, work, ending, clock, times, owner, jitter=lambda: 0.0)
        return Stack(database, app, gate, work, publishing, ending, runner, clock)


async def _hand(app: GitHubApp, api: RepositoryApi) -> Hand:
    identity = await app.identity(api)
    return Hand(MARKER_KEY, identity.bot_user_id, identity.app_id)


async def _voice(url: str, job: ClaimedJob) -> Voice:
    return Voice((CANARY,), f"{url}/{job.repository.full_name}", "Install bubblewrap.", MARKER_KEY)


async def attempt(world: World, stack: Stack, job_id: str) -> Facts:
    """One attempt at the job, as a worker makes it; where it stands afterwards."""
    job = await stack.claim(job_id)
    assert job is not None, "the job is not free"
    await stack.runner.run(job)
    return await world.facts(job_id)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, migrated_file: Path, tmp_path: Path) -> str:
    """A migrated SQLite file of this test."""
    return f"sqlite+aiosqlite:///{shutil.copy(migrated_file, tmp_path / 'issuewright.db')}"


@pytest.fixture
def clock() -> TickClock:
    return TickClock()


@pytest.fixture
async def forge(clock: ManualClock) -> AsyncIterator[Forge]:
    """A running forge on the test's time; whatever was asked of it must be what GitHub documents."""
    made = Forge(clock=ForgeClock(lambda: clock.now().timestamp()))
    await made.start()
    yield made
    await made.stop()
    check_all(made.requests)


@pytest.fixture
async def world(
    forge: Forge,
    database: Database,
    database_url: str,
    clock: TickClock,
    templates: Templates,  # noqa: F811 (the fixture)
) -> World:
    repository_id = await templates.repository(forge, REPOSITORY, FILES)
    forge.set_permission(REPOSITORY, "maria", "write")
    installation_id = await forge.install("octo")
    saved = SaveInstallation(
        installation_id=installation_id,
        account_id=forge.create_user("octo"),
        account_login="octo",
        account_type="User",
        is_suspended=False,
        permissions=(),
        repositories=(RepositoryRef(repository_id, REPOSITORY),),
    )
    async with database.write() as connection:
        await tenants.save_installation(Scope.system(), connection, saved, now=clock.now())
        tenant = await tenants.tenant_of(Scope.system(), connection, installation_id, repository_id)
    assert tenant is not None
    actor = Actor(forge.create_user("maria"), "maria")
    return World(forge, database_url, database, clock, tenant, actor)


@pytest.fixture
async def stack(world: World) -> AsyncIterator[Stack]:
    async with world.stack() as made:
        yield made


@pytest.fixture
async def job_id(world: World) -> str:
    """A job that waits."""
    return await world.submit()


def text_of(blocks: list[Json]) -> str:
    """The words in blocks of a conversation."""
    return " ".join(str(block.get("text", block.get("content", ""))) for block in blocks)

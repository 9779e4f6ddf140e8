"""The worker's parts, joined: each gets only what it needs."""

import secrets
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial

import aiohttp

from bot import logs
from bot.agents import registry
from bot.config import Settings
from bot.config_secrets import secrets_of
from bot.db import secrets as stored_secrets
from bot.db.database import Database, is_sqlite
from bot.db.limits import StoredLimits
from bot.db.listening import DatabaseBell
from bot.domain.clock import Clock, SystemClock
from bot.domain.commands import COMMANDS
from bot.domain.ports import Model
from bot.domain.values import ClaimedJob, SandboxStatus, Scope
from bot.github.app import GitHubApp
from bot.github.images import Gallery
from bot.github.repository import RepositoryApi
from bot.handlers import router
from bot.intake.apply import Intake
from bot.intake.dispatch import Dispatcher
from bot.intake.gate import PermissionGate
from bot.intake.inbox import Inbox
from bot.intake.installations import Installations
from bot.llm.client import AnthropicModel
from bot.llm.prices import Catalogue
from bot.llm.providers import Provider
from bot.process import Doorbell
from bot.publish import render
from bot.publish.drafts import Hand
from bot.publish.operations import Publisher
from bot.publish.outbox import Outbox
from bot.publish.pace import Pace
from bot.publish.recheck import Recheck
from bot.queue.base import QueueEngine
from bot.queue.inprocess import InProcessEngine
from bot.runner.briefing import Briefing
from bot.runner.chores import ChoreRunner
from bot.runner.ending import Ending
from bot.runner.freezing import Voice
from bot.runner.publishing import Publishing
from bot.runner.reconcile import Reaper
from bot.runner.run import Runner, Times
from bot.runner.triaging import Triaging
from bot.runner.upkeep import chores_of
from bot.runner.words import GitHubWatch, WatchedModel
from bot.runner.work import Work
from bot.runner.worker import Worker
from bot.workspace.disk import GIB
from bot.workspace.probe import probe
from bot.workspace.workspace import Workspace

log = logs.get(__name__)

COMMAND_PREFIX = "/agent"


@dataclass(frozen=True, slots=True)
class Parts:
    """What the worker's parts share."""

    settings: Settings
    session: aiohttp.ClientSession
    database: Database
    app: GitHubApp
    clock: Clock
    marker_key: bytes
    sandbox: SandboxStatus
    publisher: Publisher
    gate: PermissionGate
    inbox: Inbox


@asynccontextmanager
async def assembled(
    settings: Settings, bell: Doorbell | None, *, network: Mapping[str, str]
) -> AsyncIterator[Worker]:
    """A worker that is ready to run: database open, sandbox probed; closed at the end."""
    clock = SystemClock()
    database = Database(settings.database_url)
    session = aiohttp.ClientSession(trust_env=True)
    model = _model(settings)
    try:
        async with database.write() as connection:
            marker_key = await stored_secrets.obtain(
                Scope.system(), connection, stored_secrets.MARKER_KEY, now=clock.now()
            )
        app = GitHubApp(
            api_url=settings.github_api_url,
            app_id=settings.github_app_id or 0,
            private_keys=[key.reveal() for key in settings.github_private_keys],
            session=session,
            clock=clock,
            limits=StoredLimits(database, clock),
        )
        publisher = Publisher(
            database=database,
            clock=clock,
            hand=partial(_hand, app, marker_key),
            pace=Pace(database, clock, settings.write_pace_seconds, settings.content_writes_per_hour),
            look_window_seconds=settings.look_window_seconds,
        )
        gate = PermissionGate(app, clock)
        inbox = Inbox(database)
        sandbox = await probe(settings.toolchains)
        parts = Parts(settings, session, database, app, clock, marker_key, sandbox, publisher, gate, inbox)
        try:
            yield _worker(parts, model, bell, network)
        finally:
            await inbox.close()
            await app.close()
    finally:
        await model.close()
        await session.close()
        await database.close()


async def _hand(app: GitHubApp, marker_key: bytes, api: RepositoryApi) -> Hand:
    identity = await app.identity(api)
    return Hand(marker_key, identity.bot_user_id, identity.app_id)


def _worker(parts: Parts, anthropic: Model, bell: Doorbell | None, network: Mapping[str, str]) -> Worker:
    settings, database, clock = parts.settings, parts.database, parts.clock
    worker_id = f"{socket.gethostname()}-{secrets.token_hex(6)}"
    model = WatchedModel(anthropic, clock)
    runner = _runner(parts, model, worker_id, network)
    return Worker(
        id=worker_id,
        database=database,
        dispatcher=_dispatcher(parts),
        outbox=Outbox(database, parts.app, parts.publisher, clock, settings.backoff_seconds),
        engine=_engine(settings, worker_id, clock),
        runner=runner,
        reaper=Reaper(database, clock),
        sandbox=parts.sandbox,
        model_word=model.word,
        github=GitHubWatch(parts.app, clock),
        clock=clock,
        concurrency=settings.agent_max_concurrency,
        lease_seconds=settings.lease_seconds,
        heartbeat_seconds=settings.heartbeat_seconds,
        poll_seconds=settings.poll_seconds,
        is_enabled=settings.agent_enabled,
        bell=bell,
        database_bell=None if is_sqlite(settings.database_url) else DatabaseBell(database),
        upkeep=_upkeep(parts, worker_id),
    )


def _engine(settings: Settings, worker_id: str, clock: Clock) -> QueueEngine:
    if settings.redis_url is None:
        return InProcessEngine()
    from bot.queue.address import Waits  # noqa: PLC0415 - who has no Redis does not pay for its client
    from bot.queue.redis import RedisEngine  # noqa: PLC0415

    url = settings.redis_url.reveal()
    waits = Waits.for_url(url, lock_seconds=settings.lease_seconds)
    concurrency = settings.agent_max_concurrency
    return RedisEngine(url, name=worker_id, concurrency=concurrency, waits=waits, clock=clock)


def _upkeep(parts: Parts, worker_id: str) -> ChoreRunner:
    database, app, clock = parts.database, parts.app, parts.clock
    chores = chores_of(
        parts.settings,
        database=database,
        app=app,
        clock=clock,
        store=parts.inbox.store,
        is_handled=router.is_handled,
        recheck=Recheck(database, app, parts.publisher, clock),
    )
    return ChoreRunner(database, clock, worker_id, chores)


def _model(settings: Settings) -> AnthropicModel:
    key = settings.anthropic_api_key
    place = settings.anthropic_region, settings.anthropic_project, settings.anthropic_resource
    return AnthropicModel(
        key.reveal() if key else "",
        settings.anthropic_base_url,
        provider=Provider(settings.anthropic_provider, *place) if settings.agent_enabled else Provider(),
        idle_timeout_seconds=settings.anthropic_idle_seconds,
    )


def _dispatcher(parts: Parts) -> Dispatcher:
    settings = parts.settings
    intake = Intake(
        database=parts.database,
        gate=parts.gate,
        installations=Installations(parts.database, parts.app, parts.clock),
        clock=parts.clock,
        help_text=_help_text,
        default_model=settings.agent_default_model,
        is_enabled=settings.agent_enabled,
    )
    route = partial(router.route, own_app_id=settings.github_app_id)
    return Dispatcher(parts.database, route, intake, parts.clock, settings.backoff_seconds)


def _help_text(problem: str | None) -> str:
    """The commands, below what is wrong: *problem* is Markdown of ours in which every quote is inert."""
    rows = [(command.usage, command.meaning, command.who) for command in COMMANDS]
    text = render.help_comment(prefix=COMMAND_PREFIX, commands=rows, problem=None)
    return text if problem is None else f"{problem}\n\n{text}"


def _runner(parts: Parts, model: Model, owner: str, network: Mapping[str, str]) -> Runner:
    settings = parts.settings
    workspace = Workspace(
        settings.data_dir / "workspace",
        git_url=settings.github_url,
        verify_timeout_seconds=settings.sandbox_timeout_seconds,
        budget_bytes=settings.workspace_gib * GIB,
        sandbox=parts.sandbox,
        toolchains=settings.toolchains,
        network_environment=network,
    )
    catalogue = Catalogue.of(settings)
    for name in catalogue.unpriced:
        log.warning("model_without_price", model=name, remedy="give its price in AGENT_MODELS_FILE")
    work = Work(
        database=parts.database,
        app=parts.app,
        gate=parts.gate,
        workspace=workspace,
        registry=registry.load(),
        model=model,
        catalogue=catalogue,
        budgets=settings.budgets,
        triaging=_triaging(parts, model, catalogue),
        briefing=Briefing(Gallery(parts.session, settings.github_url), parts.sandbox.programs),
        clock=parts.clock,
        verify_timeout_seconds=settings.sandbox_timeout_seconds,
        backoff_seconds=settings.backoff_seconds,
        is_debug=settings.agent_debug,
    )
    return Runner(
        database=parts.database,
        work=work,
        ending=Ending(
            parts.database,
            Publishing(parts.database, parts.app, parts.publisher, parts.clock, work.authorize),
            _voice(parts),
            parts.clock,
        ),
        clock=parts.clock,
        times=Times(settings.lease_seconds, settings.heartbeat_seconds, settings.backoff_seconds),
        owner=owner,
    )


def _triaging(parts: Parts, model: Model, catalogue: Catalogue) -> Triaging:
    settings = parts.settings
    return Triaging(
        database=parts.database,
        model=model,
        clock=parts.clock,
        catalogue=catalogue,
        budgets=settings.budgets,
        default_model=settings.agent_default_model,
        is_enabled=settings.agent_triage,
    )


def _voice(parts: Parts) -> Callable[[ClaimedJob], Awaitable[Voice]]:
    settings = parts.settings
    known = secrets_of(settings)

    async def voice(job: ClaimedJob) -> Voice:
        return Voice(
            secrets=known,
            repository_url=f"{settings.github_url}/{job.repository.full_name}",
            sandbox_remedy=parts.sandbox.remedy,
            marker_key=parts.marker_key,
        )

    return voice

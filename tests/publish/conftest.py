"""A forge, our client and a database with one tenant: everything that a frozen write needs."""

import shutil
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import update

import bot.github.app
import bot.standin.forge.forge
from bot.db import operations, tables, tenants
from bot.db.database import Database
from bot.db.limits import StoredLimits
from bot.db.operations import Frozen, Operation
from bot.db.tenants import Tenant
from bot.domain.enums import OperationKind
from bot.domain.intents import SaveInstallation
from bot.domain.values import Json, RepositoryRef, Scope
from bot.github.app import GitHubApp
from bot.github.repository import RepositoryApi
from bot.github.tokens import Loan, Reach
from bot.publish.drafts import Draft, Hand, Remote
from bot.publish.operations import Publisher
from bot.publish.outbox import OwnRow
from bot.publish.pace import Pace
from bot.publish.writes import WRITES
from bot.standin.forge.clock import ForgeClock
from bot.standin.forge.forge import Forge
from bot.standin.forge.record import Exchange
from bot.standin.forge.state import Thread
from tests.fakes import ManualClock
from tests.openapi import check_all

REPOSITORY = "octo/pets"
MARKER_KEY = b"a key that only this test knows!"
BRANCH = "issuewright/1-0badcafe"
JOB_ID = "01JOB"
ALL = {"checks": "write", "contents": "write", "issues": "write", "pull_requests": "write"}


@dataclass
class RecordingLease:
    """A lease that is always ours; keeps for how long it was to be held."""

    fence: int = 0
    held_seconds: list[float] = field(default_factory=list)

    async def hold(self, seconds: float) -> None:
        self.held_seconds.append(seconds)


@dataclass
class Desk:
    """One tenant on one forge, and our own publisher in front of it."""

    forge: Forge
    app: GitHubApp
    api: RepositoryApi
    database: Database
    clock: ManualClock
    publisher: Publisher
    hand: Hand
    tenant: Tenant
    issue: int
    base_sha: str

    @property
    def thread(self) -> Thread:
        """The issue as the forge keeps it."""
        return self.forge.world.repository(REPOSITORY).threads[self.issue]

    @property
    def pulls(self) -> list[Thread]:
        """The pull requests as the forge keeps them."""
        threads = self.forge.world.repository(REPOSITORY).threads.values()
        return [thread for thread in threads if thread.pull is not None]

    def asked(self, method: str, ending: str) -> list[Exchange]:
        """What was asked of the forge with this method, at paths that end so."""
        return [
            one
            for one in self.forge.requests
            if (one.method, one.path.endswith(ending)) == (method, True) and one.kind == "rest"
        ]

    async def freeze(
        self, kind: OperationKind, payload: Json, *, key: str | None = None, sequence: int = 0
    ) -> Operation:
        """Freeze one write under *key* (its kind without one)."""
        frozen = Frozen(key or kind.value, kind, payload, sequence=sequence)
        async with self.database.write() as connection:
            await operations.freeze(
                self.tenant.scope,
                connection,
                [frozen],
                job_id=None,
                fence=0,
                installation_id=self.tenant.installation_id,
                repository_id=self.tenant.repository.id,
                now=self.clock.now(),
            )
        return await self.operation(frozen.key)

    async def operation(self, key: str) -> Operation:
        """The row of that key."""
        async with self.database.read() as connection:
            found = await operations.by_key(self.tenant.scope, connection, key)
        assert found is not None
        return found

    async def change(self, key: str, **values: object) -> Operation:
        """Change columns of a row, as another worker would have."""
        table = tables.operations
        async with self.database.write() as connection:
            await connection.execute(update(table).where(table.c.key == key).values(**values))
        return await self.operation(key)

    async def perform(self, operation: Operation) -> Operation:
        """Bring it to its end with the right of the outbox."""
        return await self.publisher.perform(operation, self.api, OwnRow())

    async def land(self, operation: Operation, remote_ids: Mapping[str, int] | None = None) -> Remote:
        """Send it behind the back of the database, as a worker does that dies at once afterwards."""
        draft = Draft(operation.key, operation.payload, remote_ids or {})
        return await WRITES[operation.kind].send(self.api, draft, self.hand)


class Templates:
    """Repositories that many tests begin with: made once by a forge, then copied."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made: dict[tuple[tuple[str, str], ...], Path] = {}

    async def repository(self, forge: Forge, full_name: str, files: Mapping[str, str]) -> int:
        """A repository with one commit that holds *files*; its id."""
        key = tuple(sorted(files.items()))
        if key not in self._made:
            repository_id = await forge.create_repository(full_name, dict(files))
            self._made[key] = self._folder / f"{len(self._made)}.git"
            shutil.copytree(forge.world.repository(full_name).path, self._made[key])
            return repository_id
        found = forge.world.add_repository(full_name, is_private=False, default_branch="main")
        shutil.copytree(self._made[key], found.path)
        return found.id


@pytest.fixture(scope="session")
def templates(tmp_path_factory: pytest.TempPathFactory) -> Templates:
    return Templates(tmp_path_factory.mktemp("templates"))


@pytest.fixture(scope="session", autouse=True)
def keys_are_parsed_once() -> Iterator[None]:
    """Parsing an RSA key takes 30 ms, and each forge and each client of each test would do it."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((bot.github.app, "_load"), (bot.standin.forge.forge, "public_key")):
            patch.setattr(module, name, cache(getattr(module, name)))
        yield


@pytest.fixture
def database_url(request: pytest.FixtureRequest, migrated_file: Path, tmp_path: Path) -> Iterator[str]:
    """A migrated SQLite file; Postgres where a test asks for it (parametrize it indirectly)."""
    if getattr(request, "param", "sqlite") == "sqlite":
        yield f"sqlite+aiosqlite:///{shutil.copy(migrated_file, tmp_path / 'issuewright.db')}"
    else:
        with request.getfixturevalue("postgres").emptied() as url:
            yield url


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def forge(clock: ManualClock) -> AsyncIterator[Forge]:
    """A running forge on the test's time; whatever was asked of it must be what GitHub documents."""
    made = Forge(clock=ForgeClock(lambda: clock.now().timestamp()))
    await made.start()
    yield made
    await made.stop()
    check_all(made.requests)


@pytest.fixture
async def desk(
    forge: Forge, database: Database, clock: ManualClock, templates: Templates
) -> AsyncIterator[Desk]:
    files = {"dog.py": "def speak():\n    return 'meow'\n", "old.py": "x = 1\n"}
    repository_id = await templates.repository(forge, REPOSITORY, files)
    forge.set_permission(REPOSITORY, "maria", "write")
    installation_id = await forge.install("octo")
    issue = await forge.open_issue(REPOSITORY, "maria", "The dog meows")
    async with aiohttp.ClientSession() as session:
        app = GitHubApp(
            api_url=forge.api_url,
            app_id=forge.app_id,
            private_keys=[forge.private_key],
            session=session,
            clock=clock,
            limits=StoredLimits(database, clock),
        )
        # Apart from the loans of the App, so that no test uses this token unawares.
        loan = Loan(Reach(installation_id, repository_id, tuple(ALL.items())), app.token, clock)
        api = app.repository(REPOSITORY, loan)
        hand = Hand(MARKER_KEY, (await app.identity(api)).bot_user_id, forge.app_id)
        base_sha = await api.branch_sha("main")
        assert base_sha is not None
        yield Desk(
            forge=forge,
            app=app,
            api=api,
            database=database,
            clock=clock,
            publisher=Publisher(database, clock, partial(_give, hand), Pace(database, clock, 1.0), 60.0),
            hand=hand,
            tenant=await make_tenant(database, clock, installation_id, repository_id),
            issue=issue,
            base_sha=base_sha,
        )


async def make_tenant(
    database: Database, clock: ManualClock, installation_id: int, repository_id: int, name: str = REPOSITORY
) -> Tenant:
    """Keep the installation as its webhook would have told of it."""
    owner = name.split("/", maxsplit=1)[0]
    saved = SaveInstallation(
        installation_id=installation_id,
        account_id=installation_id + 1,
        account_login=owner,
        account_type="Organization",
        is_suspended=False,
        permissions=tuple(ALL.items()),
        repositories=(RepositoryRef(repository_id, name),),
    )
    async with database.write() as connection:
        await tenants.save_installation(Scope.system(), connection, saved, now=clock.now())
        tenant = await tenants.tenant_of(Scope.system(), connection, installation_id, repository_id)
    assert tenant is not None
    return tenant


async def _give(hand: Hand, _api: RepositoryApi) -> Hand:
    return hand

"""The door between GitHub and the jobs: real gate, real look-ups, a forge to ask and a database to write."""

import shutil
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from sqlalchemy import select

from bot.db import tables, tenants
from bot.db.database import Database
from bot.db.limits import StoredLimits
from bot.db.tenants import Tenant
from bot.domain.enums import ThreadKind
from bot.domain.intents import Intent, SaveInstallation, StartJob
from bot.domain.values import Actor, RepositoryRef, Scope, Snapshot
from bot.github.app import GitHubApp
from bot.intake.apply import Intake
from bot.intake.gate import PermissionGate
from bot.intake.installations import Installations
from bot.standin.forge.clock import ForgeClock
from bot.standin.forge.forge import Forge
from bot.standin.forge.record import Exchange
from tests.fakes import ManualClock
from tests.openapi import check_all
from tests.publish.conftest import keys_are_parsed_once  # noqa: F401 (a fixture)

REPOSITORY = "octo/pets"
NUMBER = 7


@dataclass
class Hall:
    """One installation on a forge, and our intake in front of it; nothing is on record yet."""

    forge: Forge
    app: GitHubApp
    database: Database
    clock: ManualClock
    gate: PermissionGate
    intake: Intake
    installation_id: int
    repository: RepositoryRef
    writer: Actor
    reader: Actor

    async def apply(self, intent: Intent) -> bool:
        """Decide the intent and write what it comes to; whether there was anything to write."""
        change = await self.intake.decide(intent)
        if change is None:
            return False
        async with self.database.write() as connection:
            await change(connection)
        return True

    def start(self, comment_id: int = 1, **changes: Any) -> StartJob:
        """A person with write permission asks in a comment, which makes the key."""
        asked: dict[str, Any] = {
            "repository": self.repository,
            "installation_id": self.installation_id,
            "number": NUMBER,
            "kind": ThreadKind.ISSUE,
            "verb": "fix",
            "actor": self.writer,
            "trigger": f"comment:{comment_id}",
            "trigger_key": f"{self.repository.id}:{NUMBER}:fix:comment:{comment_id}",
            "snapshot": Snapshot("Crash in split", "It raises ZeroDivisionError", "", ("bug",), "maria"),
            "comment_id": comment_id,
        }
        return StartJob(**{**asked, **changes})

    async def know(self, *, is_suspended: bool = False) -> Tenant | None:
        """Put the installation on record, as its webhook does."""
        saved = SaveInstallation(
            installation_id=self.installation_id,
            account_id=self.forge.create_user("octo"),
            account_login="octo",
            account_type="User",
            is_suspended=is_suspended,
            permissions=(("issues", "write"),),
            repositories=(self.repository,),
        )
        async with self.database.write() as connection:
            await tenants.save_installation(Scope.system(), connection, saved, now=self.clock.now())
        return await self.tenant()

    async def tenant(self) -> Tenant | None:
        """Who our records say that the repository belongs to."""
        async with self.database.read() as connection:
            return await tenants.tenant_of(
                Scope.system(), connection, self.installation_id, self.repository.id
            )

    async def rows(self, name: str) -> Sequence[Any]:
        """All rows of a table in the order of their ids."""
        table = getattr(tables, name)
        statement = select(table).order_by(*table.primary_key.columns)
        async with self.database.read() as connection:
            return (await connection.execute(statement)).all()

    def asked(self, ending: str) -> list[Exchange]:
        """What was asked of the forge at paths that end so."""
        return [one for one in self.forge.requests if one.path.endswith(ending)]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
async def file_database(migrated_file: Path, tmp_path: Path) -> AsyncIterator[Database]:
    """An SQLite database, where it does not matter which one it is."""
    opened = Database(f"sqlite+aiosqlite:///{shutil.copy(migrated_file, tmp_path / 'hall.db')}")
    yield opened
    await opened.close()


@pytest.fixture
async def forge(clock: ManualClock) -> AsyncIterator[Forge]:
    """A running forge on the test's time; whatever was asked of it must be what GitHub documents."""
    made = Forge(clock=ForgeClock(lambda: clock.now().timestamp()))
    await made.start()
    yield made
    await made.stop()
    check_all(made.requests)


@pytest.fixture
async def hall(forge: Forge, file_database: Database, clock: ManualClock) -> AsyncIterator[Hall]:
    repository_id = await forge.create_repository(REPOSITORY, {})
    forge.set_permission(REPOSITORY, "maria", "write")
    forge.set_permission(REPOSITORY, "rob", "read")
    installation_id = await forge.install("octo", [REPOSITORY])
    async with aiohttp.ClientSession() as session:
        app = GitHubApp(
            api_url=forge.api_url,
            app_id=forge.app_id,
            private_keys=[forge.private_key],
            session=session,
            clock=clock,
            limits=StoredLimits(file_database, clock),
        )
        gate = PermissionGate(app, clock)
        intake = Intake(
            database=file_database,
            gate=gate,
            installations=Installations(file_database, app, clock),
            clock=clock,
            help_text=lambda problem: f"Help! {problem}" if problem else "Help!",
            default_model="sonnet",
            is_enabled=True,
        )
        yield Hall(
            forge=forge,
            app=app,
            database=file_database,
            clock=clock,
            gate=gate,
            intake=intake,
            installation_id=installation_id,
            repository=RepositoryRef(repository_id, REPOSITORY),
            writer=Actor(forge.create_user("maria"), "maria"),
            reader=Actor(forge.create_user("rob"), "rob"),
        )
        await app.close()

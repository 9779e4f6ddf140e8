"""A start that finds its database ready, makes it so, or says what to do."""

import asyncio
import json
import socket
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import text

from bot import logs
from bot.config_database import database_url as in_our_form
from bot.db import migrate, readiness, revision
from bot.db.database import is_sqlite, make_engine
from bot.domain.clock import SystemClock
from bot.errors import ConfigError, DatabaseAway
from tests.postgres import Postgres, running_postgres
from tests.relay import relay

on_postgres = pytest.mark.parametrize("empty_database_url", ["postgres"], indirect=True)
on_sqlite = pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)


async def test_a_migrated_database_is_ready(database_url: str) -> None:
    await readiness.prepare(database_url)
    assert await migrate.current(database_url) == migrate.head()


@on_sqlite
async def test_sqlite_is_made_and_migrated_at_the_start(empty_database_url: str) -> None:
    await readiness.prepare(empty_database_url)
    assert await migrate.current(empty_database_url) == migrate.head()


@on_postgres
async def test_postgres_is_left_alone_and_the_command_is_named(empty_database_url: str) -> None:
    with pytest.raises(ConfigError, match=r"revision none.*issuewright migrate"):
        await readiness.prepare(empty_database_url)
    assert await migrate.current(empty_database_url) is None


async def test_a_revision_that_this_version_does_not_know_stops_the_start(own_database_url: str) -> None:
    engine = make_engine(own_database_url)
    async with engine.begin() as connection:
        schema = "" if is_sqlite(own_database_url) else "issuewright."
        await connection.execute(text(f"UPDATE {schema}alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(ConfigError, match="revision 9999, and this older version knows only"):
        await readiness.prepare(own_database_url)
    with pytest.raises(ConfigError, match="revision 9999, and this older version knows only"):
        await migrate.upgrade(own_database_url)


@pytest.mark.parametrize("place", ["/name?host={0}", "127.0.0.1:1/name", "nowhere.invalid/name"])
async def test_a_server_that_is_not_there_is_away(place: str, tmp_path: Path) -> None:
    with pytest.raises(DatabaseAway) as raised:
        await readiness.prepare(f"postgresql+asyncpg://me:hunter2@{place.format(tmp_path)}")
    assert "hunter2" not in str(raised.value)


async def test_a_server_that_says_nothing_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readiness, "LOOK_SECONDS", 0.3)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"postgresql+asyncpg://me@127.0.0.1:{silent.getsockname()[1]}/name"
        with pytest.raises(DatabaseAway, match="TimeoutError"):
            await readiness.prepare(url)


async def test_several_servers_of_which_none_takes_writes_are_away(postgres: Postgres) -> None:
    async with relay(postgres.folder) as one:
        await postgres.command("ALTER DATABASE migrated SET default_transaction_read_only = on")
        try:
            with pytest.raises(DatabaseAway, match="none of the servers"):
                await readiness.prepare(
                    in_our_form(f"postgresql://postgres@127.0.0.1:{one.port},localhost:{one.port}/migrated")
                )
        finally:
            await postgres.command("ALTER DATABASE migrated RESET default_transaction_read_only")


@pytest.mark.parametrize("who", ["postgres@/nothing", "nobody:hunter2@/postgres"])
async def test_a_name_that_the_server_does_not_know_is_told_in_words(postgres: Postgres, who: str) -> None:
    with pytest.raises(ConfigError, match=r"the database cannot be used.*does not exist") as raised:
        await readiness.prepare(f"postgresql+asyncpg://{who}?host={postgres.folder}")
    assert "hunter2" not in str(raised.value)


class Patience(SystemClock):
    """A clock whose sleeps count, and on whose third sleep something happens."""

    def __init__(self, on_third: Callable[[], None]) -> None:
        self.sleeps = 0
        self.on_third = on_third

    def monotonic(self) -> float:
        return self.sleeps * 40.0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        if self.sleeps == 3:
            await asyncio.to_thread(self.on_third)


async def test_a_start_waits_until_the_server_answers_and_says_so_now_and_then(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running_postgres() as server:
        await server.command("CREATE DATABASE later TEMPLATE template0")
        await migrate.upgrade(server.url("later"))
        await asyncio.to_thread(server.stop)
        logs.configure("test")
        await readiness.until_ready(server.url("later"), Patience(server.start))
    said = [json.loads(line)["event"] for line in capsys.readouterr().err.splitlines()]
    assert said == ["database_away", "database_away", "database_back"]


async def test_a_server_that_comes_with_another_revision_stops_the_start() -> None:
    with running_postgres() as server:
        await asyncio.to_thread(server.stop)
        with pytest.raises(ConfigError, match="revision none"):
            await readiness.until_ready(server.url("postgres"), Patience(server.start))


def test_the_newest_revision_is_known_without_alembic() -> None:
    assert revision.newest() == migrate.head()


async def test_a_folder_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match=r"issuewright.db cannot be used.*its folder"):
        await readiness.prepare(f"sqlite+aiosqlite:///{tmp_path}/file/issuewright.db")


async def test_a_file_that_is_no_database_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "issuewright.db").write_text("no database, but words\n" * 100)
    with pytest.raises(ConfigError, match="DatabaseError"):
        await readiness.prepare(f"sqlite+aiosqlite:///{tmp_path}/issuewright.db")

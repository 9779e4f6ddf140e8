"""A start that finds its database ready, makes it so, or says what to do."""

from pathlib import Path

import pytest
from sqlalchemy import text

from bot.db import migrate, readiness
from bot.db.database import make_engine
from bot.errors import ConfigError
from tests.postgres import Postgres

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


@pytest.mark.parametrize("own_database_url", ["postgres"], indirect=True)
async def test_a_revision_that_this_version_does_not_know_stops_the_start(own_database_url: str) -> None:
    engine = make_engine(own_database_url)
    async with engine.begin() as connection:
        await connection.execute(text("UPDATE issuewright.alembic_version SET version_num = '9999'"))
    await engine.dispose()
    with pytest.raises(ConfigError, match="revision 9999"):
        await readiness.prepare(own_database_url)


async def test_a_server_that_is_not_there_is_told_in_words(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="the database cannot be used") as raised:
        await readiness.prepare(f"postgresql+asyncpg://me:hunter2@/name?host={tmp_path}")
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize("who", ["postgres@/nothing", "nobody:hunter2@/postgres"])
async def test_a_name_that_the_server_does_not_know_is_told_in_words(postgres: Postgres, who: str) -> None:
    with pytest.raises(ConfigError, match="the database cannot be used") as raised:
        await readiness.prepare(f"postgresql+asyncpg://{who}?host={postgres.folder}")
    assert "hunter2" not in str(raised.value)


async def test_a_folder_that_cannot_be_made_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ConfigError, match="folder can be written"):
        await readiness.prepare(f"sqlite+aiosqlite:///{tmp_path}/file/issuewright.db")


async def test_a_file_that_is_no_database_is_told_in_words(tmp_path: Path) -> None:
    (tmp_path / "issuewright.db").write_text("no database, but words\n" * 100)
    with pytest.raises(ConfigError, match="DatabaseError"):
        await readiness.prepare(f"sqlite+aiosqlite:///{tmp_path}/issuewright.db")

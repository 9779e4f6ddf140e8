"""Migrations up and down on both databases, at once and after a death half way."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.db import migrate
from bot.db.database import make_engine

ROOT = Path(__file__).parent.parent.parent
SUBPROCESS_SECONDS = 60
UPGRADE = "import asyncio, sys; from bot.db import migrate; asyncio.run(migrate.upgrade(sys.argv[1]))"

on_postgres = pytest.mark.parametrize("empty_database_url", ["postgres"], indirect=True)
on_sqlite = pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)


async def test_up_down_and_up_again_ends_with_the_tables_of_the_code(empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url)
    await migrate.downgrade(empty_database_url, "base")
    await migrate.upgrade(empty_database_url)
    assert await migrate.differences(empty_database_url) == []
    assert await migrate.current(empty_database_url) == migrate.head()


async def test_each_step_can_be_taken_back_alone(empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url)
    seen = []
    while revision := await migrate.current(empty_database_url):
        seen.append(revision)
        await migrate.downgrade(empty_database_url, "-1")
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == migrate.head()


async def test_nothing_is_left_after_the_way_down(empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url)
    await migrate.downgrade(empty_database_url, "base")
    assert await _names(empty_database_url) == {"alembic_version"}


@on_postgres
async def test_no_enum_type_is_left_after_the_way_down(empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url)
    assert await _enum_types(empty_database_url) == 9
    await migrate.downgrade(empty_database_url, "base")
    assert await _enum_types(empty_database_url) == 0


@on_postgres
async def test_an_empty_postgres_stands_at_no_revision(empty_database_url: str) -> None:
    assert await migrate.current(empty_database_url) is None


async def test_a_table_that_is_missing_is_a_difference(own_database_url: str) -> None:
    await _run(own_database_url, "DROP TABLE agent_logs")
    assert await migrate.differences(own_database_url) != []


async def test_a_column_too_many_is_a_difference(own_database_url: str) -> None:
    await _run(own_database_url, "ALTER TABLE users ADD COLUMN surplus TEXT")
    assert await migrate.differences(own_database_url) != []


async def test_migrating_what_is_migrated_changes_nothing(database_url: str) -> None:
    before = await _names(database_url)
    await migrate.upgrade(database_url)
    assert await _names(database_url) == before


async def test_three_tasks_that_start_at_once_migrate_once(empty_database_url: str) -> None:
    await asyncio.gather(*(migrate.upgrade(empty_database_url) for _ in range(3)))
    assert await migrate.current(empty_database_url) == migrate.head()


def test_three_processes_that_start_at_once_migrate_once(empty_database_url: str) -> None:
    command = [sys.executable, "-c", UPGRADE, empty_database_url]
    started = [subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    ended = [process.communicate(timeout=SUBPROCESS_SECONDS)[1] for process in started]
    assert [process.returncode for process in started] == [0, 0, 0], ended
    assert asyncio.run(migrate.current(empty_database_url)) == migrate.head()


@pytest.mark.parametrize("table", ["agent_logs", "job_steps", "events"])
async def test_a_migration_that_was_killed_is_made_good_by_the_next(
    empty_database_url: str, table: str
) -> None:
    command = [sys.executable, "-m", "tests.db.killed_migration", empty_database_url, table]
    killed = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    assert await killed.wait() == -9
    assert await migrate.current(empty_database_url) is None
    await migrate.upgrade(empty_database_url)
    assert await migrate.differences(empty_database_url) == []


@on_sqlite
async def test_the_folder_of_the_file_is_made_for_its_owner_alone(empty_database_url: str) -> None:
    await migrate.upgrade(empty_database_url)
    folder = Path(empty_database_url.removeprefix("sqlite+aiosqlite:///")).parent
    assert folder.stat().st_mode & 0o777 == 0o700


async def _run(url: str, sql: str) -> None:
    engine = make_engine(url)
    async with engine.begin() as connection:
        await connection.execute(text(sql))
    await engine.dispose()


async def _names(url: str) -> set[str]:
    """All tables outside the database's own schemas."""
    sql = (
        "SELECT name FROM sqlite_master WHERE type = 'table'"
        if url.startswith("sqlite")
        else "SELECT tablename FROM pg_tables WHERE schemaname IN ('public', 'issuewright')"
    )
    engine = make_engine(url)
    async with engine.connect() as connection:
        names = set((await connection.execute(text(sql))).scalars())
    await engine.dispose()
    return names


async def _enum_types(url: str) -> int:
    engine = make_engine(url)
    async with engine.connect() as connection:
        found = await connection.scalar(text("SELECT count(*) FROM pg_type WHERE typtype = 'e'"))
    await engine.dispose()
    return int(found or 0)


@on_sqlite
async def test_the_file_is_for_its_owner_alone_in_an_open_folder_too(empty_database_url: str) -> None:
    path = Path(empty_database_url.removeprefix("sqlite+aiosqlite:///"))
    await asyncio.to_thread(path.parent.mkdir, mode=0o755)
    await migrate.upgrade(empty_database_url)
    assert _mode(path) == 0o600


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777

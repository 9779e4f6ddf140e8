"""What all commands share: output that cannot be written, and a database that is not as it should be."""

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from sqlalchemy import text

from bot.cli import main
from bot.db.database import Database, is_sqlite, make_engine
from bot.domain.enums import JobStatus
from tests.cli.conftest import PATIENCE_SECONDS, Operate
from tests.db.rows import make_job, make_tenant, states

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def written_to(stdout: int, words: list[str], url: str, cwd: Path) -> tuple[int, str]:
    """The exit code of the command and its stderr, where its results go to *stdout*."""
    kept = {name: value for name, value in os.environ.items() if name == "PATH" or name.startswith("COV")}
    environ = kept | {"DATABASE_URL": url, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "bot.cli.main", *words]
    done = subprocess.run(
        command,
        env=environ,
        cwd=cwd,
        stdout=stdout,
        stderr=subprocess.PIPE,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    return done.returncode, done.stderr


@on_sqlite
@pytest.mark.parametrize("words", [["jobs", "list"], ["jobs", "list", "--json"], ["migrate"]])
async def test_a_pipe_that_nobody_reads_is_a_quiet_end(
    database: Database, database_url: str, words: list[str], tmp_path: Path
) -> None:
    await make_job(database, await make_tenant(database))
    ours, theirs = os.pipe()
    os.close(ours)
    try:
        ended = await asyncio.to_thread(written_to, theirs, words, database_url, tmp_path)
    finally:
        os.close(theirs)
    assert ended == (141, "")


@on_sqlite
@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no disk that is always full")
@pytest.mark.parametrize("is_json", [False, True])
async def test_a_full_disk_is_told_and_what_was_done_stays_done(
    database: Database, database_url: str, is_json: bool, tmp_path: Path
) -> None:
    job_id = (await make_job(database, await make_tenant(database))).job_id
    words = ["jobs", "cancel", job_id, *(["--json"] if is_json else [])]
    full = os.open("/dev/full", os.O_WRONLY)
    try:
        code, told = await asyncio.to_thread(written_to, full, words, database_url, tmp_path)
    finally:
        os.close(full)
    told = json.loads(told)["error"] if is_json else told.removeprefix("issuewright: ")
    assert code == 1
    assert told.strip() == (
        "it was done but cannot be told: stdout cannot be written (No space left on device)"
    )
    assert (await states(database, job_id))[0] is JobStatus.CANCELLED


async def test_a_place_without_a_database_is_told_and_nothing_is_made(
    operate: Operate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"sqlite:///{tmp_path}/other.db")
    said = await operate("deliveries", "list", "--json")
    assert said.code == 2 and "there is no database" in json.loads(said.err)["error"]
    assert not (tmp_path / "other.db").exists()
    told = await operate("deliveries", "list")
    assert told.code == 2 and f"DATABASE_URL: there is no database {tmp_path}/other.db." in told.err
    assert "started" not in told.err, "a list starts nothing"


async def test_the_file_of_the_data_folder_is_named_with_the_setting_of_the_folder(
    operate: Operate, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = tmp_path / "own" / "issuewright.db"
    monkeypatch.delenv("DATABASE_URL")
    monkeypatch.setenv("ISSUEWRIGHT_DATA_DIR", str(file.parent))
    missing = (await operate("jobs", "list")).err
    assert f"ISSUEWRIGHT_DATA_DIR: there is no database {file}." in missing
    file.parent.mkdir()
    file.write_bytes(b"no database at all" * 100)
    for words in (["jobs", "list"], ["migrate"]):
        said = await operate(*words)
        assert said.code == 2 and f"ISSUEWRIGHT_DATA_DIR: the database {file} cannot be used (" in said.err
        assert "DATABASE_URL" not in said.err and "password" not in said.err and "sqlite+" not in said.err


async def test_a_remote_database_that_refuses_is_not_told_of_files(
    operate: Operate, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgres://me:hunter2@127.0.0.1:1/x")
    said = await operate("jobs", "list")
    assert said.code == 2 and "DATABASE_URL: the database cannot be used (" in said.err
    assert "password" in said.err and "hunter2" not in said.err
    assert "file" not in said.err and "folder" not in said.err


@pytest.mark.parametrize(
    ("stands_at", "remedy"),
    [
        ("0001", "run `issuewright migrate` once"),
        (None, "run `issuewright migrate` once"),
        ("9999", "start the newer version again"),
    ],
)
async def test_a_database_of_another_revision_is_told_with_what_helps(
    own_database_url: str,
    stands_at: str | None,
    remedy: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    engine = make_engine(own_database_url)
    async with engine.begin() as connection:
        table = "alembic_version" if is_sqlite(own_database_url) else "issuewright.alembic_version"
        await connection.execute(text(f"DELETE FROM {table}"))
        if stands_at:
            await connection.execute(text(f"INSERT INTO {table} VALUES ('{stands_at}')"))
    await engine.dispose()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", own_database_url)
    assert await asyncio.to_thread(main.main, ["jobs", "list"]) == 2
    told = capsys.readouterr().err
    assert f"at revision {stands_at or 'none'}" in told and remedy in told

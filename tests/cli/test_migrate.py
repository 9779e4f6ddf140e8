"""`issuewright migrate`: to the newest revision, to a named one, and back."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.cli import main
from bot.db import migrate, revision
from tests.cli.conftest import PATIENCE_SECONDS
from tests.postgres import Postgres


@pytest.fixture
def url(empty_database_url: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> str:
    """An empty database, in the environment of this process."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATABASE_URL", empty_database_url)
    return empty_database_url


def test_it_goes_to_the_newest_revision_back_to_a_named_one_and_forth(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    for words, stands_at in (
        ([], migrate.head()),
        (["--to", "0004"], "0004"),
        (["--to", "0002"], "0002"),
        (["--to", "0004"], "0004"),
        ([], migrate.head()),
    ):
        assert main.main(["migrate", *words]) == 0
        assert capsys.readouterr().out.endswith(f"stands at revision {stands_at}\n")
    assert asyncio.run(migrate.differences(url)) == []


@pytest.mark.parametrize("empty_database_url", ["sqlite"], indirect=True)
def test_a_revision_that_there_is_not_is_told_with_those_that_there_are(
    url: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["migrate", "--to", "0815"]) == 2
    told = capsys.readouterr().err
    assert "'0815' is no revision" in told
    assert all(known in told for known in revision.known())


def test_three_of_them_at_once_migrate_once(postgres: Postgres, tmp_path: Path) -> None:
    with postgres.fresh("template0") as url:
        environ = {"PATH": os.environ["PATH"], "DATABASE_URL": url, "PYTHONPATH": os.pathsep.join(sys.path)}
        words = [sys.executable, "-m", "bot.cli.main", "migrate"]
        started = [
            subprocess.Popen(words, env=environ, cwd=tmp_path, stdout=subprocess.PIPE, text=True)
            for _ in range(3)
        ]
        told = [process.communicate(timeout=PATIENCE_SECONDS)[0] for process in started]
        assert [process.returncode for process in started] == [0, 0, 0]
        assert all(text.endswith(f"stands at revision {migrate.head()}\n") for text in told)

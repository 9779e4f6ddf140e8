"""The demo: what it prints agrees with what stands in the database and on the stand-in GitHub."""

import asyncio
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
from sqlalchemy import text

from bot.cli.demo_facts import Line, _pull
from bot.cli.demo_view import View
from bot.db.database import Database
from bot.standin import sample

ROOT = Path(__file__).parents[2]


def environment(folder: Path) -> dict[str, str]:
    """A shell's environment with settings in it that must not reach the demo's product."""
    kept = {
        name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "ANTHROPIC_"))
    }
    hostile = {"DATABASE_URL": "postgresql://nobody:nothing@127.0.0.1:1/none", "AGENT_ENABLED": "false"}
    return {**kept, **hostile, "PYTHONPATH": str(ROOT), "TMPDIR": str(folder)}


@asynccontextmanager
async def demo(folder: Path, *options: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`issuewright demo` with *options* in a folder of its own; ended by Ctrl-C when the test is done."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "bot.cli.main", "demo", *options),
        cwd=folder,
        env=environment(folder),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.send_signal(signal.SIGINT)
        await process.communicate()


async def lines_until(stream: asyncio.StreamReader, word: str) -> list[str]:
    """What the demo says up to the line that holds *word*."""
    said: list[str] = []
    async with asyncio.timeout(120):
        while not said or word not in said[-1]:
            line = await stream.readline()
            assert line, "\n".join(said)
            said.append(line.decode())
    return said


async def state_of(said: list[str]) -> tuple[dict[str, Any], str]:
    """The stand-in GitHub's state and the database's path, from the places that the demo names."""
    text = "".join(said)
    found = re.search(r"thread and pull request: (\S+)", text)
    database = re.search(r"database: (\S+)", text)
    assert found
    assert database
    async with aiohttp.ClientSession() as session, session.get(found[1]) as answer:
        return await answer.json(), database[1]


async def test_the_json_agrees_with_the_database_and_with_the_stand_in_github(tmp_path: Path) -> None:
    async with demo(tmp_path, "--json", "--keep") as process:
        assert process.stdout
        assert process.stderr
        said = await lines_until(process.stderr, "Ctrl-C ends it")
        found = json.loads(await process.stdout.readline())
        state, path = await state_of(said)

        (repository,) = state["repositories"]
        threads = {thread["number"]: thread for thread in repository["threads"]}
        pull = threads[found["pull_request"]["number"]]
        assert found["pull_request"]["draft"] is pull["draft"] is True
        assert found["pull_request"]["head"] == pull["pull_request"]["head"]
        assert found["pull_request"]["sha"] == repository["branches"][found["pull_request"]["head"]]
        comments = threads[found["issue"]["number"]]["comment_list"]
        assert found["comments"] == len(comments) == 1
        assert set(repository["branches"]) == {"main", found["pull_request"]["head"]}
        await agrees_with_database(found, path)


async def agrees_with_database(found: dict[str, Any], path: str) -> None:
    """Issue, job, verification, steps and money of the JSON are what the tables hold."""
    database = Database(f"sqlite+aiosqlite:///{path}")
    async with database.read() as connection:

        async def rows(sql: str) -> list[Any]:
            return [tuple(row) for row in (await connection.execute(text(sql))).all()]

        assert await rows("SELECT id, title, type, status FROM agent_issues") == [
            tuple(found["issue"][name] for name in ("id", "title", "type", "status"))
        ]
        assert await rows('SELECT id, "agentType", status FROM agent_jobs') == [
            tuple(found["job"][name] for name in ("id", "agentType", "status"))
        ]
        assert await rows('SELECT command, "exitCode", "when", tier FROM verifications ORDER BY id') == [
            (each["command"], each["exit_code"], each["when"], each["tier"]) for each in found["verification"]
        ]
        assert await rows("SELECT count(*) FROM job_steps WHERE kind = 'turn'") == [(found["steps"],)]
        ((spent,),) = await rows('SELECT sum("settledMicroUsd") FROM ledger')
        assert spent / 1_000_000 == found["cost_usd"] > 0
    await database.close()


async def test_it_ends_with_nothing_left_behind_and_only_the_object_on_stdout(tmp_path: Path) -> None:
    async with demo(tmp_path, "--json") as process:
        async with asyncio.timeout(120):
            out, _ = await process.communicate()

    assert process.returncode == 0
    found = json.loads(out)
    assert [(each["when"], each["exit_code"]) for each in found["verification"]] in (
        [("before", 1), ("after", 0)],
        [("before", None), ("after", None)],
    )
    assert found["job"]["cause"] == "pull_request"
    assert not [name for name in os.listdir(tmp_path) if name.startswith("issuewright-demo-")]  # noqa: PTH208


async def test_pull_mode_alone_does_the_demo_with_no_webhook_ever_posted(tmp_path: Path) -> None:
    async with demo(tmp_path, "--json", "--pull", "--keep") as process:
        assert process.stdout
        assert process.stderr
        said = await lines_until(process.stderr, "Ctrl-C ends it")
        found = json.loads(await process.stdout.readline())
        _, path = await state_of(said)
        assert found["job"]["cause"] == "pull_request"
        assert found["comments"] == 1
        assert "fetched from GitHub's log" in "".join(said)
        assert await sources(path) == {"sweep"}


async def sources(path: str) -> set[str]:
    """How the deliveries came in."""
    database = Database(f"sqlite+aiosqlite:///{path}")
    try:
        async with database.read() as connection:
            return set(await connection.scalars(text("SELECT source FROM deliveries")))
    finally:
        await database.close()


async def test_a_product_that_is_killed_meanwhile_is_started_again_and_ends_with_one_pull_request(
    tmp_path: Path,
) -> None:
    async with demo(tmp_path, "--json") as process:
        assert process.stderr
        await lines_until(process.stderr, f"{sample.PERSON} puts the label")
        os.killpg(await product_group(process.pid), signal.SIGKILL)
        async with asyncio.timeout(150):
            out, said = await process.communicate()

    assert process.returncode == 0, said.decode()
    found = json.loads(out)
    assert found["comments"] == 1
    assert found["job"]["status"] == "COMPLETED"
    assert "was started again" in said.decode()


async def product_group(parent: int) -> int:
    """The process group of the product that the demo started."""
    for name in filter(str.isdigit, os.listdir("/proc")):  # noqa: PTH208 - names are what is looked at
        entry = Path("/proc", name)
        try:
            words = (entry / "cmdline").read_bytes().split(b"\0")
            status = (entry / "status").read_text()
        except OSError:
            continue
        if f"PPid:\t{parent}\n" in status and b"serve" in words:
            return int(entry.name)
    raise AssertionError("no product runs")


def test_a_story_without_a_terminal_is_plain_text(capsys: Any) -> None:
    view = View(to_stderr=False)
    view.open()
    view.tell(Line("verify", "before the change: [b]x[/b] fails", is_good=False))
    view.diff("--- a/x\n+++ b/x\n")
    view.record(
        [
            {"when": "before", "command": "make", "exit_code": 1, "tier": "sandbox"},
            {"when": "after", "command": "make", "exit_code": None, "tier": "none"},
        ]
    )
    view.fail("it failed")

    said = capsys.readouterr().out
    assert "\x1b" not in said
    assert "✘ verify   before the change: [b]x[/b] fails" in said
    assert "verification after: make: not run, tier none" in said
    assert "playback" in said


def test_a_thread_without_a_pull_request_gives_none() -> None:
    assert _pull([{"number": 1, "pull_request": None}]) is None


def test_the_sample_issue_describes_the_bug_of_the_sample_repository() -> None:
    assert "split" in sample.BODY
    assert "till/money.py" in sample.FILES

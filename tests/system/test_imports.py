"""What each process loads in a whole run: the model's SDK costs seconds, and only the worker pays."""

import os
import re
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from bot.domain.values import Json
from bot.workspace.sandbox import find_bwrap
from tests.system.rig import rig
from tests.workspace import program

IMPORTED: Final = re.compile(r"^import time:\s+\d+ \|\s+\d+ \|\s+([\w.]+)$", re.MULTILINE)
HEAVY: Final = {"anthropic", "aiohttp", "sqlalchemy", "gidgethub", "structlog", "rich", "markdown_it", "yaml"}
MOST_TIMES_ARGPARSE: Final = 2.0
RUNS: Final = 15


def packages(log: str) -> set[str]:
    """The top-level packages that Python says it has imported."""
    return {name.partition(".")[0] for name in IMPORTED.findall(log)}


def modules(log: str) -> set[str]:
    """The modules that Python says it has imported."""
    return set(IMPORTED.findall(log))


async def test_only_the_worker_loads_the_sdk_in_a_finished_run(tmp_path: Path) -> None:
    async with rig(tmp_path, environment={"PYTHONPROFILEIMPORTTIME": "1"}) as product:
        await product.start()
        await product.install()
        number = await product.ask_by_label()
        (job,) = await product.until(product.finished_jobs)
        assert job["cause"] == "pull_request"
        assert product.thread(number).comments
        assert product.process is not None
        mapped = _mapped(product.process.pid)
        await product.stop()

        web, worker = (packages((product.log_dir / f"{name}.log").read_text()) for name in ("web", "worker"))
        assert "anthropic" in worker
        assert {"aiohttp", "sqlalchemy"} <= web
        assert not web & {"anthropic", "gidgethub", "github", "asyncpg", "alembic"}
        # What is refused is told too, so not by its own name.
        assert not (web | worker) & {"pygments"}
        # The log of the supervisor holds that of the short child `prepare` too.
        supervisor = packages(_sections(product.said)[0])
        assert "argparse" in supervisor
        assert not supervisor & HEAVY
        assert "_ssl" not in mapped and "_asyncio" not in mapped
        assert not mapped & {"aiohttp", "sqlalchemy", "anthropic", "pydantic_core", "orjson"}


def _sections(log: str) -> list[str]:
    """The part of each process in a log: every Python begins its profile with the same line."""
    return re.split(r"^import time: self \[us\].*$", log, flags=re.MULTILINE)[1:]


def _mapped(pid: int) -> set[str]:
    """The installed packages of which a process has mapped compiled code; only root may look at ours."""
    if os.geteuid() != 0:
        return set()
    maps = Path(f"/proc/{pid}/maps").read_text()
    return set(re.findall(r"/site-packages/([\w.-]+)", maps)) | set(re.findall(r"lib-dynload/(\w+)", maps))


def test_the_tool_host_loads_nothing_of_the_worker(tmp_path: Path) -> None:
    program.lay_out(tmp_path)
    (tmp_path / "tree" / "file").write_text("one\n")
    calls: list[Json] = [
        {"op": "call", "tool": "read_file", "arguments": {"path": "file"}},
        {"op": "call", "tool": "write_file", "arguments": {"path": "new", "content": "two\n"}},
        {"op": "changes"},
    ]
    bwrap = find_bwrap()
    asked: Json = {"op": "verify", "command": "cat file", "timeout_seconds": 30}
    asked |= {"at_base": False, "as_before": [], "as_shown": False}
    errands = [asked] if bwrap else []
    said = program.ask(tmp_path, calls, errands, bwrap=bwrap, options=["-X", "importtime"])
    ready, read, _, changes = said.files
    assert ready["ready"] and "one" in read["text"]
    assert [change["path"] for change in changes["changes"]] == ["new"]
    assert [answer["exit_code"] for answer in said.errands] == [0] * len(errands)
    profile = said.log
    loaded = packages(profile)
    assert "bot" in loaded and "seccomp" in profile
    assert not loaded & {*HEAVY, "asyncio", "httpx2", "pydantic", "ssl"}
    assert not {
        name for name in modules(profile) if re.match(r"bot\.(agents|config|db|github|llm|runner)", name)
    }


def test_help_loads_next_to_nothing() -> None:
    command = [sys.executable, "-X", "importtime", "-m", "bot.cli.main", "--help"]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert "serve" in done.stdout
    assert "argparse" in packages(done.stderr)
    assert not packages(done.stderr) & {*HEAVY, "asyncio", "alembic", "cryptography", "httpx2"}


def test_help_takes_at_most_twice_a_python_that_imports_argparse() -> None:
    script = Path(sys.executable).with_name("issuewright")
    ours = [str(script), "--help"] if script.exists() else [sys.executable, "-m", "bot.cli.main", "--help"]
    empty = [sys.executable, "-c", "import argparse"]
    # In turns, so that a busy moment of the machine strikes both; the quickest is the truest.
    times = [(_processor_seconds(ours), _processor_seconds(empty)) for _ in range(RUNS)]
    help_seconds, empty_seconds = (min(column) for column in zip(*times, strict=True))
    assert help_seconds <= MOST_TIMES_ARGPARSE * empty_seconds, f"{help_seconds:.3f} s, {empty_seconds:.3f} s"


def _processor_seconds(command: Sequence[str]) -> float:
    """The processor time of a command, user and system."""
    plain = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, env=plain, stdout=subprocess.DEVNULL, check=True, timeout=60)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime

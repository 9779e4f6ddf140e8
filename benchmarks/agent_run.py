"""One agent as a worker runs it: client, loop, a tool host's process, and a job's rows in SQLite.

For agent_project.py and loop.py. Left out of a job is what no step costs: GitHub, the checkout, the end.
"""

import os
import resource
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.agents import loop, registry
from bot.agents.definition import Definition
from bot.agents.prompt import Request, build
from bot.db import migrate
from bot.db.database import Database
from bot.domain.budget import Budgets
from bot.domain.clock import SystemClock
from bot.domain.effects import LoopResult
from bot.domain.enums import Tier
from bot.domain.ports import Model
from bot.domain.values import (
    ClaimedJob,
    ModelReply,
    ModelRequest,
    RepositoryRef,
    SandboxStatus,
    Snapshot,
    Usage,
)
from bot.llm.client import AnthropicModel
from bot.llm.prices import Catalogue
from bot.runner.record import JobRecord
from bot.workspace.host import ProcessToolHost
from bot.workspace.probe import probe
from bot.workspace.sandbox import find_bwrap
from bot.workspace.toolhost.confine import files_uid
from tests.db import rows

MODEL = "claude-sonnet-5-5"
DELIMITER = "text-0123456789abcdef01234567"
TASK = "Update the constants in the files, one at a time, and say when you are done."
END = [
    {"type": "tool_use", "id": f"toolu_end_{name}", "name": name, "input": given}
    for name, given in (
        ("propose_change", {"title": "Update the constants", "body": TASK}),
        ("finish", {"summary": "All done."}),
    )
]


@cache
def agent(steps: int) -> Definition:
    """code.fix, read once, with commands and with room for so many steps."""
    whole = registry.load().get("code.fix")
    limits = replace(whole.limits, steps=steps + 5, cost_usd=100.0)
    return replace(whole, limits=limits, tools=whole.tools | {"run_command"})


@dataclass(slots=True)
class Translating:
    """A model whose script knows `bash`, absolute paths and last words: turned into what our tools take."""

    model: Model
    root: str

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        """The answer, with its calls translated."""
        reply = await self.model.complete(request, timeout_seconds=timeout_seconds)
        content = [self._translated(block) for block in reply.content]
        if reply.stop_reason == "tool_use":
            return replace(reply, content=content)
        return replace(reply, content=[*content, *END], stop_reason="tool_use")

    def _translated(self, block: dict[str, Any]) -> dict[str, Any]:
        if block["type"] != "tool_use":
            return block
        given = {key: value.replace(self.root, "") for key, value in block["input"].items()}
        return {**block, "name": "run_command" if block["name"] == "bash" else block["name"], "input": given}


class GivingUp:
    """A model that gives up at once: with it, a worker has had a job before."""

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:  # noqa: ARG002
        """The one answer."""
        call = {"type": "tool_use", "id": "toolu_0", "name": "give_up", "input": {"reason": "Nothing to do."}}
        return ModelReply([call], "tool_use", Usage(1_000, 60), MODEL)


@asynccontextmanager
async def tool_host(tree: Path, folder: Path, *, with_commands: bool) -> AsyncIterator[ProcessToolHost]:
    """A tool host on a copy of *tree*."""
    job = folder / "job"
    job.mkdir(parents=True)
    shutil.copytree(tree, job / "tree", ignore=shutil.ignore_patterns(".git"))
    _hand_over(job / "tree")
    status = await probe() if with_commands else SandboxStatus(Tier.NONE, "not wanted")
    host = ProcessToolHost(job, status, find_bwrap() if with_commands else None)
    await host.start()
    try:
        yield host
    finally:
        await host.close()


def _hand_over(tree: Path) -> None:
    """Give the files to whom the tool host works as, as a checkout does."""
    if os.geteuid() == 0:
        for path in (tree, *tree.rglob("*")):
            os.chown(path, files_uid(), files_uid())


@asynccontextmanager
async def database_in(folder: Path) -> AsyncIterator[Database]:
    """A new SQLite database with the product's tables."""
    url = f"sqlite+aiosqlite:///{folder / 'bench.db'}"
    await migrate.upgrade(url)
    database = Database(url)
    try:
        yield database
    finally:
        await database.close()


async def run(
    database: Database, job: ClaimedJob, model: Model, tools: ProcessToolHost, steps: int
) -> LoopResult:
    """One session to its end."""
    definition = agent(steps)
    request = Request(RepositoryRef(100, "octo-1/r100"), 1, Snapshot(title=TASK, body="", author="octocat"))
    clock = SystemClock()
    record = JobRecord(
        database=database,
        job=job,
        clock=clock,
        base_sha="c0ffee",
        model=MODEL,
        limits=Budgets(job=100_000_000),
        is_debug=False,
        got_further=lambda: None,
    )
    return await loop.run(
        definition,
        build(definition, request, delimiter=DELIMITER),
        model=model,
        info=Catalogue().resolve(MODEL),
        tools=tools,
        record=record,
        clock=clock,
    )


async def jobs(database: Database, count: int) -> list[ClaimedJob]:
    """So many running jobs of one tenant."""
    tenant = await rows.make_tenant(database)
    return [await rows.start_job(database, tenant, number) for number in range(1, count + 1)]


def client(base_url: str) -> AnthropicModel:
    """Our client on that server."""
    return AnthropicModel("rig-key", base_url)


def tree_cpu_seconds(pid: int | None) -> float:
    """What the process *pid*, its descendants and those that they have waited for have used so far."""
    if pid is None:
        return 0.0
    seconds = 0.0
    for place in Path(f"/proc/{pid}/task").glob("*/children"):
        seconds += sum(tree_cpu_seconds(int(child)) for child in place.read_text().split())
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return seconds + sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")


@dataclass(slots=True)
class Meter:
    """Time and CPU since it was made: this process, and a tool host's."""

    pid: int | None
    began_at: float = field(default_factory=time.perf_counter)
    own_at: float = field(default_factory=time.process_time)
    children_at: float = field(init=False)

    def __post_init__(self) -> None:
        """Begin."""
        self.children_at = tree_cpu_seconds(self.pid)

    def read(self) -> dict[str, float]:
        """The figures by now, in the names of the agent rig."""
        return {
            "wall_s": time.perf_counter() - self.began_at,
            "cpu_self_s": time.process_time() - self.own_at,
            "cpu_children_s": tree_cpu_seconds(self.pid) - self.children_at,
            "maxrss_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        }

"""Going on elsewhere: a job killed in its middle ends on another machine as if nothing had happened.

Everything of a machine dies at once and its data directory is taken away; a worker with another data
directory and the same database goes on. `ISSUEWRIGHT_TEST_SEED=…` plays the moments of an earlier run again.
"""

import os
import random
import re
import shutil
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import pytest

from bot.standin.forge.trees import Entry
from bot.workspace.sandbox import find_bwrap
from tests.system import hostile
from tests.system.effects import branches, ended, jobs_of, our_comments, pulls
from tests.system.hostile import FINISH, turn
from tests.system.rig import Rig, rig
from tests.system.watching import commands_with
from tests.triage.conftest import opinion

pytestmark = pytest.mark.skipif(
    find_bwrap() is None, reason="no bubblewrap here: nothing of a repository is run"
)

SEED: Final = os.environ.get("ISSUEWRIGHT_TEST_SEED") or str(random.SystemRandom().randrange(10**6))
SECONDS: Final = 120.0
SLEEP: Final = "1.30917"
FILES: Final = {
    "README.md": "# till\n",
    "till/rates.txt": "".join(f"{number}\n" for number in range(1, 41)),
    "till/old name.txt": "gone soon\n",
    "box/inner.txt": "the folder becomes a file\n",
}
ODD: Final = "no end of line, \u00fcml\u00e4ut, \t tab, \u2028 separator"
COMMAND: Final = f"grep -c . till/rates.txt; touch made-in-the-sandbox; sleep {SLEEP}; cat till/rates.txt"
TURNS: Final = (
    turn(("read_file", {"path": "till/rates.txt"}), ("outline", {})),
    turn(
        ("edit_file", {"path": "till/rates.txt", "old": "7\n8\n9\n", "new": "seven\n8\n9\n"}),
        ("write_file", {"path": "notes/how \u00fc.md", "content": ODD}),
        ("edit_file", {"path": "run.sh", "old": "run", "new": "walk"}),
    ),
    turn(("run_command", {"command": COMMAND})),
    turn(
        ("delete_file", {"path": "till/old name.txt"}),
        ("delete_file", {"path": "box/inner.txt"}),
        ("write_file", {"path": "box", "content": "a file now\n"}),
    ),
    turn(("edit_file", {"path": "till/rates.txt", "old": "seven\n8\n", "new": "seven\neight\n"})),
    turn(("git_diff", {}), ("list_directory", {"path": ".", "depth": 3})),
    turn(("propose_change", {"title": "Write numbers as words", "body": "As asked."}), FINISH),
)
IN_COMMAND: Final = 2
JOBS: Final = ("undisturbed", "edit", "command", "running")
LOOK: Final = opinion(type="TASK", module="", agent="code.feature", model="sonnet")
_DURATION: Final = re.compile(r"\b\d+(\.\d+)? s\b")
Moments = Mapping[str, int]
"""A job, and the turn at which the model keeps it waiting."""


def _book(held: Moments) -> dict[str, Any]:
    """The same turns for each job; of *held* the first request never gets an answer."""
    scripts = [{"name": name, "match": f"words: {name}", "output": False, "turns": TURNS} for name in JOBS]
    look = {"name": "triage", "match": "words: ", "output": True, "turns": [{"json": LOOK}]}
    faults = [{"kind": "hang", "script": name, "turn": index} for name, index in held.items()]
    return {"scripts": [look, *scripts], "faults": faults}


async def test_a_job_killed_again_and_again_ends_on_another_machine_with_the_same_diff(
    tmp_path: Path, own_database_url: str
) -> None:
    await hostile.forget_schemas(own_database_url)
    at_first = {"edit": 2, "command": 3}
    then = {"edit": random.Random(SEED).randrange(3, len(TURNS)), "command": 3}
    print(f"ISSUEWRIGHT_TEST_SEED={SEED}: dies at {at_first}, then at {then}")  # noqa: T201
    environment = {"DATABASE_URL": own_database_url}
    async with rig(tmp_path, book=_book({}), files=FILES, environment=environment) as product:
        await hostile.commit(product, Entry("run.sh", "100755", b"#!/bin/sh\necho run\n", None))
        await product.start()
        await product.install()
        first = await product.ask_by_label("words: undisturbed")
        whole = await _end_of(product, first)
        product.model.play(_book(at_first))
        numbers = {name: await product.ask_by_label(f"words: {name}") for name in at_first}
        await product.until(lambda: _are_held(product, at_first), SECONDS)
        numbers["running"] = await product.ask_by_label("words: running")
        await product.until(lambda: _is_running(product), SECONDS)
        await product.kill()
        await _nothing_is_left_of(product, "data")

        product.model.play(_book(then))
        async with product.one_more_worker("second") as second:
            await product.until(lambda: _are_held(product, {**at_first, **then}, times=2), SECONDS)
            assert await _end_of(product, numbers["running"]) == whole
            os.killpg(second.pid, signal.SIGKILL)
            await second.wait()
        await _nothing_is_left_of(product, "second")

        product.model.play(_book({}))
        async with product.one_more_worker("third"):
            assert await _end_of(product, numbers["edit"]) == whole
            assert await _end_of(product, numbers["command"]) == whole

        for name, number in numbers.items():
            cut = [moments[name] for moments in (at_first, then) if name in moments]
            assert _asked(product, name) == Counter(range(len(TURNS))) + Counter(cut), name
            await _money_is_right(product, number, interrupted=len(cut))
        await _money_is_right(product, first, interrupted=0)


async def _are_held(product: Rig, moments: Moments, times: int = 1) -> bool:
    """Whether the model keeps all of these waiting, together *times* for each job."""
    held = [(one["script"], one["turn"]) for one in product.model.requests if "fault" in one]
    return set(held) >= set(moments.items()) and len(held) == times * len(moments)


async def _is_running(product: Rig) -> bool:
    """Whether the command of the third job runs, with its turn recorded and its answer not."""
    return bool(commands_with(f"sleep\0{SLEEP}")) and _asked(product, "running")[IN_COMMAND] == 1


def _asked(product: Rig, name: str) -> Counter[int]:
    """How often each turn of a script was requested."""
    return Counter(one["turn"] for one in product.model.requests if one.get("script") == name)


async def _end_of(product: Rig, number: int) -> dict[str, Any]:
    """What a job came to: its pull request, the files of its branch, and what the model was shown."""
    (job,) = await product.until(lambda: ended(product, number), SECONDS)
    assert (job["status"], job["cause"], job["error"]) == ("COMPLETED", "pull_request", None), job
    (branch,) = [name for name in await branches(product) if name.startswith(f"issuewright/{number}-")]
    (pull,) = [thread for thread in pulls(product) if thread.pull.head == branch]
    (comment,) = our_comments(product, number)
    assert f"Draft pull request #{pull.number} is ready" in comment
    return {
        "title": pull.title,
        "tree": await hostile.tree_of(product, branch),
        "shown": _shown(product, number),
    }


def _shown(product: Rig, number: int) -> list[str]:
    """The results of tools in the last request of a thread's job."""
    bodies = [one["body"] for one in product.model.requests if one.get("script") != "triage"]
    (*_, last) = [
        body for body in bodies if f"Request: #{number}\n" in str(body["messages"][0]["content"][0]["text"])
    ]
    blocks = [block for message in last["messages"] for block in message["content"]]
    results = [str(block["content"]) for block in blocks if block["type"] == "tool_result"]
    return [_DURATION.sub("some time", result) for result in results]


async def _money_is_right(product: Rig, number: int, *, interrupted: int) -> None:
    """Each request of the job is in the ledger; the interrupted ones, and no others, at their maximum."""
    (job,) = await jobs_of(product, number)
    rows = await product.rows('SELECT * FROM ledger WHERE "jobId" = :job', job=job["id"])
    still_open = [row for row in rows if not row["isSettled"]]
    assert len(rows) == 1 + len(TURNS) + interrupted
    assert len(still_open) == interrupted
    assert all(row["settledMicroUsd"] is None and row["reservedMicroUsd"] > 0 for row in still_open)
    assert all(0 < row["settledMicroUsd"] <= row["reservedMicroUsd"] for row in rows if row["isSettled"])


async def _nothing_is_left_of(product: Rig, name: str) -> None:
    """Wait until no process of a dead machine is left, and take its folder away."""
    folder = product.folder / name

    async def is_gone() -> bool:
        return not commands_with(str(folder))

    await product.until(is_gone)
    shutil.rmtree(folder)

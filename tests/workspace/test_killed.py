"""SIGKILL in the middle of a checkout or of its cleaning: the next checkout is right all the same."""

import asyncio
import random
import signal
import sys
from pathlib import Path

import pytest

from bot.workspace.workspace import Workspace
from tests.workspace.conftest import REPOSITORY
from tests.workspace.githttp import TOKEN, GitServer

NAME = REPOSITORY.full_name
POINTS = 6
_DOOMED_WORKER = """
import asyncio, os, signal, sys
from pathlib import Path
from bot.workspace.workspace import Workspace
from tests.workspace.conftest import REPOSITORY
from tests.workspace.githttp import TOKEN
from bot.workspace import disk, git, jobhost, lock, mirror, pool, reset, tree, trash, writing

WATCHED = {"open", "os.rename", "os.mkdir", "os.remove", "os.rmdir", "os.symlink", "os.truncate", "os.chown",
           "os.chmod", "os.scandir", "os.utime", "fcntl.flock", "subprocess.Popen"}
root, url, last, *shas = sys.argv[1:]
seen = 0

def watch(event, _):
    global seen
    if event in WATCHED:
        seen += 1
        if seen == int(last):
            os.kill(os.getpid(), signal.SIGKILL)

async def work():
    workspace = Workspace(Path(root), git_url=url, verify_timeout_seconds=1)
    for number, sha in enumerate(shas):
        checkout = await workspace.checkout(REPOSITORY, sha, TOKEN, f"doomed{number}")
        for path in sorted(checkout.tree.iterdir()):
            if path.is_file() and not path.is_symlink():
                path.write_text("spoilt")
        (checkout.tree / "left").mkdir()
        (checkout.tree / "left" / "over").write_text("x")
        await workspace.discard(checkout)

sys.addaudithook(watch)
asyncio.run(work())
print(seen)
"""


async def doomed(server: GitServer, data: Path, last: int, shas: list[str]) -> tuple[int, str]:
    """A process of its own that works, and is killed at its *last* step; exit code, and what it said."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-c", _DOOMED_WORKER, str(data), server.url, str(last), *shas),
        cwd=Path(__file__).parents[2],
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


def found(tree: Path) -> dict[str, str]:
    """The files of *tree*."""
    return {str(path.relative_to(tree)): path.read_text() for path in tree.rglob("*") if path.is_file()}


async def test_after_a_kill_at_any_point_the_next_checkout_is_exactly_the_commit(
    server: GitServer, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    commits: dict[str, dict[str, bytes | str]] = {}
    for text in ("one", "two", "three"):
        files: dict[str, bytes | str] = {
            "same": "same",
            "a": text,
            f"deep/{text}/b": text,
            f"only-{text}": "x",
        }
        commits[server.repository(NAME, files)] = files
    shas = list(commits)
    code, said = await doomed(server, tmp_path / "whole", 10**9, shas)
    assert code == 0
    steps = int(said)
    dice = random.Random(request.node.name)
    data = tmp_path / "data"
    codes: list[int] = []
    for number in range(POINTS):
        last = steps * number // POINTS + dice.randrange(1, steps // POINTS)
        order = dice.sample(shas, len(shas))
        codes.append((await doomed(server, data, last, order))[0])
        workspace = Workspace(data, git_url=server.url, verify_timeout_seconds=1)
        for sha in dice.sample(shas, 2):
            checkout = await workspace.checkout(REPOSITORY, sha, TOKEN, "next")
            assert found(checkout.tree) == commits[sha], (last, order)
            await workspace.discard(checkout)
        assert [path for path in (data / "jobs").iterdir() if path.name.startswith("doomed")] == []
    assert set(codes) <= {-signal.SIGKILL, 0}
    assert codes.count(-signal.SIGKILL) > POINTS // 2, "with a mirror that is known there are fewer steps"

"""A checkout for each job beside plain git: a kept worktree (`pool`) and a blobless clone, in the same run.

Every strategy fetches each job's commit from the same HTTP server. The references are a bare mirror with a
kept worktree (`fetch`, `checkout --force`, `clean -ffdx`) and `clone --filter=blob:none`. They take turns,
job by job; job k works on a commit of its own, leaves a file behind and changes one. Ours is measured twice:
until the files are there, and with the cleaning when the job ends.
"""

import argparse
import asyncio
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.domain.values import RepositoryRef
from bot.workspace import priority
from bot.workspace.workspace import Workspace
from tests.workspace.githttp import TOKEN, GitServer, serve

FILES, COMMITS, CHANGED_PER_COMMIT, STEP, FIRSTS = 5_000, 300, 3, 7, 3
NTH_GOAL, FIRST_GOAL = 1.3, 1.1
REPOSITORY = RepositoryRef(7, "bench/made")
ENVIRONMENT = {
    "PATH": os.defpath,
    "HOME": "/nonexistent",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_TERMINAL_PROMPT": "0",
}
OPTIONS = ["-c", "gc.auto=0", "-c", "maintenance.auto=false", "-c", "advice.detachedHead=false"]


@dataclass
class Times:
    """Seconds of each job by strategy."""

    taken: dict[str, list[float]] = field(default_factory=dict)

    def note(self, name: str, seconds: float) -> None:
        """One job."""
        self.taken.setdefault(name, []).append(seconds)

    def median(self, name: str) -> float:
        """The middle one."""
        return statistics.median(self.taken[name])


def main() -> None:
    """Print the table and both ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repo",
        type=lambda text: Path(text).resolve(),
        help="a git directory; left out: one is made",
    )
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--files", type=int, default=FILES)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="iw-workspace-") as folder:
        asyncio.run(measure(Path(folder), chosen.repo, chosen.jobs, chosen.files))


async def measure(folder: Path, repo: Path | None, jobs: int, files: int) -> None:
    """Serve the repository and let the strategies take turns."""
    bare = folder / "server" / f"{REPOSITORY.full_name}.git"
    bare.mkdir(parents=True)
    git("init", "-q", "--bare", "-b", "main", ".", cwd=bare)
    if repo is None:
        git("fast-import", "--quiet", cwd=bare, stdin=generated(files))
    else:
        git("fetch", "-q", str(repo), "+HEAD:refs/heads/main", cwd=bare)
    git("repack", "-adbq", cwd=bare)
    for name in ("uploadpack.allowFilter", "uploadpack.allowAnySHA1InWant", "http.uploadpack"):
        git("config", name, "true", cwd=bare)
    count = jobs * STEP + 1
    shas = git("rev-list", "--first-parent", "main", f"-n{count}", cwd=bare).split()[::STEP][::-1]
    for number, sha in enumerate(shas):
        git("branch", "-f", f"job{number}", sha, cwd=bare)
    held = len(git("ls-tree", "-r", "--name-only", "main", cwd=bare).splitlines())
    print(f"{held} files, {git('rev-list', '--count', 'main', cwd=bare)} commits, {len(shas)} jobs")
    async with serve(folder / "server") as server:
        times = Times()
        for number in range(FIRSTS):
            await first(times, folder, server, shas[0], number)
        await following(times, folder, server, shas)
    report(times)


async def first(times: Times, folder: Path, server: GitServer, sha: str, number: int) -> None:
    """The first checkout of a repository that nobody knows, beside a blobless clone of the same commit."""
    place, data = folder / "clone", folder / "fresh"
    words = ("clone", "-q", "--filter=blob:none", "-b", "job0", url(server), str(place))
    await clocked(times, "blobless clone", lambda: git(*words, cwd=folder))
    shutil.rmtree(place)
    workspace = Workspace(data, git_url=server.url, verify_timeout_seconds=1)
    began_at = time.perf_counter()
    await workspace.checkout(REPOSITORY, sha, TOKEN, f"first{number}")
    times.note("ours, first", time.perf_counter() - began_at)
    shutil.rmtree(data)


async def following(times: Times, folder: Path, server: GitServer, shas: list[str]) -> None:
    """The jobs of a repository that is known."""
    mirror, pool = folder / "mirror.git", folder / "pool"
    words = ("clone", "-q", "--mirror", "--single-branch", "-b", "job0", url(server), str(mirror))
    await asyncio.to_thread(git, *words, cwd=folder)
    git("worktree", "add", "-q", "--detach", str(pool), shas[0], cwd=mirror)
    workspace = Workspace(folder / "data", git_url=server.url, verify_timeout_seconds=1)
    await workspace.discard(await workspace.checkout(REPOSITORY, shas[0], TOKEN, "job0"))
    for number, sha in enumerate(shas[1:], start=1):
        await clocked(times, "pool", lambda number=number, sha=sha: kept(mirror, pool, number, sha))
        spoil(pool)
        began_at = time.perf_counter()
        checkout = await workspace.checkout(REPOSITORY, sha, TOKEN, f"job{number}")
        times.note("ours, n-th", time.perf_counter() - began_at)
        spoil(checkout.tree)
        began_at = time.perf_counter()
        await workspace.discard(checkout)
        times.note("ours, cleaning", time.perf_counter() - began_at)


def kept(mirror: Path, pool: Path, number: int, sha: str) -> None:
    """What a kept worktree costs with git alone."""
    branch = f"refs/heads/job{number}"
    git("fetch", "-q", "--no-tags", "origin", f"+{branch}:{branch}", cwd=mirror)
    git("checkout", "-q", "--force", "--detach", sha, cwd=pool)
    git("clean", "-ffdxq", cwd=pool)


def spoil(tree: Path) -> None:
    """What a job leaves: a new file, and a changed one."""
    (tree / "left-over.txt").write_text("x")
    changed = next(path for path in sorted(tree.iterdir()) if path.is_file() and path.name != ".git")
    changed.write_text("changed by a job\n")


async def clocked(times: Times, name: str, work: Callable[[], object]) -> None:
    """Do *work* in a thread (the server needs the loop) and note how long it took."""
    began_at = time.perf_counter()
    await asyncio.to_thread(work)
    times.note(name, time.perf_counter() - began_at)


def report(times: Times) -> None:
    """The table, and whether the goals are met."""
    print("| | jobs | median ms | fastest ms |\n| --- | --- | --- | --- |")
    for name, taken in times.taken.items():
        print(f"| {name} | {len(taken)} | {1000 * times.median(name):.0f} | {1000 * min(taken):.0f} |")
    nth = times.median("ours, n-th") / times.median("pool")
    both = (times.median("ours, n-th") + times.median("ours, cleaning")) / times.median("pool")
    first_ratio = times.median("ours, first") / times.median("blobless clone")
    print(f"n-th checkout : pool {nth:.2f} (goal: at most {NTH_GOAL}); with the cleaning {both:.2f}")
    print(f"first checkout : blobless clone {first_ratio:.2f} (goal: at most {FIRST_GOAL})")


def url(server: GitServer) -> str:
    """The repository's address, with the token that the server wants."""
    return f"{server.url.replace('://', f'://x-access-token:{TOKEN}@')}/{REPOSITORY.full_name}.git"


def git(*arguments: str, cwd: Path, stdin: bytes = b"") -> str:
    """Plain git, behind other processes as ours is."""
    words = ["git", *OPTIONS, *arguments]
    pipe = subprocess.PIPE
    process = subprocess.Popen(
        words, cwd=cwd, env=ENVIRONMENT, stdin=pipe, stdout=pipe, stderr=pipe, start_new_session=True
    )
    priority.lower(process.pid)
    said, complaint = process.communicate(stdin)
    if process.returncode != 0:
        raise OSError(complaint.decode())
    return said.decode().strip()


def generated(files: int) -> bytes:
    """A history for `git fast-import`: *files* files of some kilobytes; each commit changes a few."""
    dice = random.Random(7)  # noqa: S311 - the same history each time
    names = [f"part{number % 40}/module{number % 600}/file{number}.py" for number in range(files - 1)]
    lines = ["    value = compute(value, factor)", "", "def step(value, factor):", "    return value"]

    def content(name: str, version: int) -> bytes:
        body = "\n".join(f"{dice.choice(lines)}  # {dice.randrange(10**6)}" for _ in range(120))
        return f"# {name} {version}\n{body}\n".encode()

    pieces: list[bytes] = []
    for version in range(COMMITS):
        message = f"change {version}".encode()
        head = f"commit refs/heads/main\ncommitter B <b@example.com> {1_700_000_000 + version * 60} +0000\n"
        pieces.append(head.encode() + b"data %d\n%s\n" % (len(message), message))
        changed = ["README.md", *names] if version == 0 else dice.sample(names, CHANGED_PER_COMMIT)
        for name in changed:
            data = content(name, version)
            pieces.append(f"M 100644 inline {name}\n".encode() + b"data %d\n%s\n" % (len(data), data))
    return b"".join(pieces)


if __name__ == "__main__":
    main()

"""A checkout for each job beside plain git: a kept worktree (`pool`) and a blobless clone, in the same run.

Every strategy fetches each job's commit from the same HTTP server. The references are a bare mirror with a
kept worktree (`fetch`, `checkout --force`, `clean -ffdx`) and `clone --filter=blob:none`. They take turns,
job by job; job k works on a commit of its own, leaves a file behind and changes one. Ours is measured twice:
until the files are there, and with the cleaning when the job ends. The server is a process of its own; all
git processes, those of the references too, have the low priority of ours. CPU is that of this process and of
the git processes it starts: it counts where the machine has other work.
"""

import argparse
import asyncio
import multiprocessing
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from bot.domain.values import RepositoryRef
from bot.workspace import priority
from bot.workspace.workspace import Workspace
from tests.workspace.githttp import TOKEN, serve

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
    """Seconds of each job by strategy: by the clock, and of the processors."""

    taken: dict[str, list[float]] = field(default_factory=dict)
    worked: dict[str, list[float]] = field(default_factory=dict)

    @contextmanager
    def clocked(self, name: str) -> Iterator[None]:
        """Note one job."""
        began_at, before = time.perf_counter(), cpu_seconds()
        yield
        self.taken.setdefault(name, []).append(time.perf_counter() - began_at)
        self.worked.setdefault(name, []).append(cpu_seconds() - before)

    def ratio(self, names: Sequence[str], reference: str) -> str:
        """What the strategies *names* take together, in parts of *reference*: medians, fastest, CPU."""
        parts = []
        for times, middle in (
            (self.taken, statistics.median),
            (self.taken, min),
            (self.worked, statistics.median),
        ):
            parts.append(sum(middle(times[name]) for name in names) / middle(times[reference]))
        return "{:.2f} (fastest {:.2f}, CPU {:.2f})".format(*parts)


def main() -> None:
    """Print the table and both ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--repo",
        type=lambda text: Path(text).resolve(),
        help="a git directory; left out: one is made",
    )
    parser.add_argument("--folder", type=Path, help="where to work (a file system in memory: fewer doubts)")
    parser.add_argument("--jobs", type=int, default=20)
    parser.add_argument("--files", type=int, default=FILES)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="iw-workspace-", dir=chosen.folder) as folder:
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
    times = Times()
    with served(folder / "server") as base_url:
        for number in range(FIRSTS):
            await first(times, folder, base_url, shas[0], number)
        await following(times, folder, base_url, shas)
    report(times)


async def first(times: Times, folder: Path, base_url: str, sha: str, number: int) -> None:
    """The first checkout of a repository that nobody knows, beside a blobless clone of the same commit."""
    place, data = folder / "clone", folder / "fresh"
    words = ("clone", "-q", "--filter=blob:none", "-b", "job0", url(base_url), str(place))
    with times.clocked("blobless clone"):
        git(*words, cwd=folder)
    shutil.rmtree(place)
    workspace = Workspace(data, git_url=base_url, verify_timeout_seconds=1)
    with times.clocked("ours, first"):
        await workspace.checkout(REPOSITORY, sha, TOKEN, f"first{number}")
    shutil.rmtree(data)


async def following(times: Times, folder: Path, base_url: str, shas: list[str]) -> None:
    """The jobs of a repository that is known."""
    mirror, pool = folder / "mirror.git", folder / "pool"
    words = ("clone", "-q", "--mirror", "--single-branch", "-b", "job0", url(base_url), str(mirror))
    git(*words, cwd=folder)
    git("worktree", "add", "-q", "--detach", str(pool), shas[0], cwd=mirror)
    workspace = Workspace(folder / "data", git_url=base_url, verify_timeout_seconds=1)
    await workspace.discard(await workspace.checkout(REPOSITORY, shas[0], TOKEN, "job0"))
    for number, sha in enumerate(shas[1:], start=1):
        with times.clocked("pool"):
            kept(mirror, pool, number, sha)
        spoil(pool)
        with times.clocked("ours, n-th"):
            checkout = await workspace.checkout(REPOSITORY, sha, TOKEN, f"job{number}")
        spoil(checkout.tree)
        with times.clocked("ours, cleaning"):
            await workspace.discard(checkout)


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


def cpu_seconds() -> float:
    """The processor time of this process and of those that it has waited for."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


@contextmanager
def served(root: Path) -> Iterator[str]:
    """The address of a git server in a process of its own, which ends with us."""
    ours, its = multiprocessing.Pipe()
    process = multiprocessing.get_context("spawn").Process(target=keep_serving, args=(root, its))
    process.start()
    try:
        yield ours.recv()
    finally:
        ours.send("enough")
        process.join()


def keep_serving(root: Path, connection: Connection) -> None:
    """Serve until the other side says something."""

    async def work() -> None:
        async with serve(root) as server:
            connection.send(server.url)
            await asyncio.to_thread(connection.recv)

    asyncio.run(work())


def report(times: Times) -> None:
    """The table, and whether the goals are met."""
    print("| | jobs | median ms | fastest ms | CPU ms |\n| --- | --- | --- | --- | --- |")
    for name, taken in times.taken.items():
        figures = (statistics.median(taken), min(taken), statistics.median(times.worked[name]))
        print(f"| {name} | {len(taken)} | " + " | ".join(f"{1000 * each:.0f}" for each in figures) + " |")
    print(f"n-th checkout : pool {times.ratio(['ours, n-th'], 'pool')}, goal: at most {NTH_GOAL}")
    print(f"with the cleaning : pool {times.ratio(['ours, n-th', 'ours, cleaning'], 'pool')}")
    first_ratio = times.ratio(["ours, first"], "blobless clone")
    print(f"first checkout : blobless clone {first_ratio}, goal: at most {FIRST_GOAL}")


def url(base_url: str) -> str:
    """The repository's address, with the token that the server wants."""
    return f"{base_url.replace('://', f'://x-access-token:{TOKEN}@')}/{REPOSITORY.full_name}.git"


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

"""Reading commits, trees and differences out of a bare repository."""

from dataclasses import dataclass

from bot.standin.forge.plumbing import Bare, GitRefused
from bot.standin.forge.shapes.pulls import PullFacts
from bot.standin.forge.state import Pull, Thread

_FORMAT = "%H%x00%T%x00%P%x00%an%x00%ae%x00%at%x00%cn%x00%ce%x00%ct%x00%B"


@dataclass(frozen=True, slots=True)
class Commit:
    """A commit; times in seconds since the epoch."""

    sha: str
    tree: str
    parents: tuple[str, ...]
    author: tuple[str, str, int]
    committer: tuple[str, str, int]
    message: str


@dataclass(frozen=True, slots=True)
class TreeLine:
    """One entry of a tree; `size` only for blobs."""

    mode: str
    kind: str
    sha: str
    size: int | None
    path: str


@dataclass(frozen=True, slots=True)
class Change:
    """One changed file with GitHub's word for it; counts are 0 for binary files."""

    status: str
    path: str
    additions: int
    deletions: int


async def read_commit(bare: Bare, sha: str) -> Commit:
    """The commit with that SHA."""
    return (await read_commits(bare, sha, limit=1))[0]


async def read_commits(
    bare: Bare, *revisions: str, limit: int = 1000, path: str | None = None
) -> list[Commit]:
    """The newest commits reachable from the revisions, optionally those that touch a path."""
    tail = ["--", path] if path else ["--"]
    out = await bare.text("log", f"--max-count={limit}", "-z", f"--format={_FORMAT}%x00", *revisions, *tail)
    fields = out.split("\0")
    rows = [fields[start : start + 10] for start in range(0, len(fields) - 10, 11)]
    return [_commit(row) for row in rows]


def _commit(row: list[str]) -> Commit:
    sha, tree, parents, *people, message = row
    return Commit(
        sha,
        tree,
        tuple(parents.split()),
        (people[0], people[1], int(people[2])),
        (people[3], people[4], int(people[5])),
        message.rstrip("\n"),
    )


async def read_tree(bare: Bare, tree: str, *, recursive: bool = False, path: str = "") -> list[TreeLine]:
    """The entries of a tree, or of a folder in it when *path* ends with a slash."""
    flags = ["-r", "-t"] if recursive else []
    out = await bare.text(
        "ls-tree", "-z", "--long", "--full-tree", *flags, "--", tree, *([path] if path else [])
    )
    found = []
    for line in out.split("\0"):
        head, _, name = line.partition("\t")
        if name:
            mode, kind, sha, size = head.split()
            found.append(TreeLine(mode, kind, sha, None if size == "-" else int(size), name))
    return found


async def changes(bare: Bare, old: str, new: str) -> list[Change]:
    """What changed between two trees or commits."""
    options = ("diff-tree", "-r", "-z", "--no-renames", old, new)
    names = (await bare.text(*options, "--name-status")).split("\0")[:-1]
    counts = (await bare.text(*options, "--numstat")).split("\0")[:-1]
    words = {"A": "added", "D": "removed"}
    found = []
    for status, path, count in zip(names[::2], names[1::2], counts, strict=True):
        added, removed, _ = count.split("\t", 2)
        found.append(Change(words.get(status, "modified"), path, _count(added), _count(removed)))
    return found


def _count(text: str) -> int:
    return 0 if text == "-" else int(text)


async def merge_base(bare: Bare, one: str, other: str) -> str | None:
    """The best common ancestor; None for unrelated histories."""
    try:
        return await bare.text("merge-base", one, other)
    except GitRefused:
        return None


async def count_commits(bare: Bare, base: str, head: str) -> int:
    """How many commits *head* has that *base* has not."""
    return int(await bare.text("rev-list", "--count", head, f"^{base}"))


async def pull_facts(bare: Bare, thread: Thread, pull: Pull) -> PullFacts:
    """What git says about a pull request now, or said when it was closed."""
    head_sha, base_sha = await pull_shas(bare, thread, pull)
    start = await merge_base(bare, base_sha, head_sha) or base_sha
    changed = await changes(bare, start, head_sha)
    return PullFacts(
        head_sha=head_sha,
        base_sha=base_sha,
        commits=await count_commits(bare, base_sha, head_sha),
        additions=sum(one.additions for one in changed),
        deletions=sum(one.deletions for one in changed),
        changed_files=len(changed),
    )


async def pull_shas(bare: Bare, thread: Thread, pull: Pull) -> tuple[str, str]:
    """Head and base: those of the branches while open, the frozen ones afterwards."""
    if thread.state != "open":
        return pull.head_sha, pull.base_sha
    return await bare.branch(pull.head) or pull.head_sha, await bare.branch(pull.base) or pull.base_sha

"""Making trees and commits the way the Git Data API does."""

import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bot.standin.forge import refusals
from bot.standin.forge.plumbing import ZERO_SHA, Bare, GitRefused

_KINDS = {"100644": "blob", "100755": "blob", "120000": "blob", "040000": "tree", "160000": "commit"}
_FORBIDDEN = {"", ".", "..", ".git", "git~1"}
_IGNORABLE = dict.fromkeys([*range(0x200B, 0x2010), *range(0x202A, 0x202F), *range(0x206A, 0x2070), 0xFEFF])


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of a tree to be made: content or SHA; both None removes the path."""

    path: str
    mode: str
    content: bytes | None
    sha: str | None


@dataclass(frozen=True, slots=True)
class Person:
    """Author or committer of a commit; `at` in seconds since the epoch."""

    name: str
    email: str
    at: float

    def line(self) -> str:
        """As it stands in a commit object."""
        return f"{self.name} <{self.email}> {int(self.at)} +0000"


def check_path(path: str) -> None:
    """Raise a 422 refusal for a path that git would not take."""
    if path.startswith("/"):
        raise refusals.unprocessable("tree.path cannot start with a slash")
    for part in path.split("/"):
        plain = part.translate(_IGNORABLE).rstrip(" .").split(":")[0].lower() or part
        if plain in _FORBIDDEN or part in _FORBIDDEN or "\0" in part or "\\" in part:
            raise refusals.unprocessable("tree.path contains a malformed path component")


async def _check_entry(bare: Bare, entry: Entry) -> None:
    check_path(entry.path)
    kind = _KINDS.get(entry.mode)
    if kind is None:
        raise refusals.unprocessable("Must supply a valid tree.mode")
    if entry.sha is not None and kind != "commit" and await bare.object_sha(entry.sha, kind) is None:
        raise refusals.unprocessable(f"tree.sha {entry.sha} is not a valid {kind}")


async def write_tree(bare: Bare, base: str | None, entries: Sequence[Entry]) -> str:
    """The SHA of a tree made of *base* (a tree or commit, or None) with the entries put over it."""
    base_tree = None
    if base is not None:
        base_tree = await bare.sha(base, "tree")
        if base_tree is None:
            raise refusals.unprocessable("base_tree is not a valid tree oid")
    for entry in entries:
        await _check_entry(bare, entry)
    with tempfile.TemporaryDirectory() as folder:
        # git reads a tree into a folder of the index only where there is a work tree.
        extra = {
            "GIT_INDEX_FILE": str(Path(folder, "index")),
            "GIT_DIR": str(bare.path),
            "GIT_WORK_TREE": folder,
        }
        try:
            await bare.run("read-tree", base_tree or "--empty", extra=extra)
            for entry in await _stored(bare, entries):
                await _put(bare, entry, extra)
            return (await bare.run("write-tree", "--missing-ok", extra=extra)).decode().strip()
        except GitRefused as error:
            raise refusals.unprocessable(f"GitRPC::BadObjectState: {error}") from error


async def _put(bare: Bare, entry: Entry, extra: Mapping[str, str]) -> None:
    """Bring one entry into the index."""
    if entry.sha is None:
        if not await _remove(bare, entry.path, extra):
            raise refusals.unprocessable("GitRPC::BadObjectState")
    elif entry.mode == "040000":
        await _remove(bare, entry.path, extra)
        await bare.run("read-tree", f"--prefix={entry.path}/", str(entry.sha), extra=extra)
    else:
        line = f"{entry.mode} {entry.sha}\t{entry.path}\0"
        await bare.run("update-index", "--replace", "-z", "--index-info", stdin=line.encode(), extra=extra)


async def _stored(bare: Bare, entries: Sequence[Entry]) -> list[Entry]:
    """The entries with every content stored and named by its SHA."""
    shas = iter(await bare.write_blobs([one.content for one in entries if one.content is not None]))
    return [one if one.content is None else replace(one, content=None, sha=next(shas)) for one in entries]


async def _remove(bare: Bare, path: str, extra: Mapping[str, str]) -> bool:
    """Take a file, or all files under a folder, out of the index; False when there is none."""
    listed = await bare.run("ls-files", "-z", "--", f":(literal){path}", extra=extra)
    lines = b"".join(b"0 " + ZERO_SHA.encode() + b"\t" + name + b"\0" for name in listed.split(b"\0")[:-1])
    await bare.run("update-index", "-z", "--index-info", stdin=lines, extra=extra)
    return bool(lines)


async def write_commit(
    bare: Bare, *, tree: str, parents: Sequence[str], author: Person, committer: Person, message: str
) -> str:
    """The SHA of a new commit object with exactly this message."""
    lines = [f"tree {tree}", *(f"parent {parent}" for parent in parents)]
    lines += [f"author {author.line()}", f"committer {committer.line()}", "", message]
    return await bare.text("hash-object", "-t", "commit", "-w", "--stdin", stdin="\n".join(lines).encode())


async def touches_workflows(bare: Bare, sha: str) -> bool:
    """Whether commits that no ref reaches yet change `.github/workflows/`."""
    found = await bare.run(
        "log", "--format=", "--name-only", "-m", "--root", sha, "--not", "--all", "--", ".github/workflows"
    )
    return bool(found.strip())

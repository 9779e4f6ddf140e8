"""Turn one commit of a mirror into plain files, after a look at everything that it holds."""

import asyncio
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.domain.enums import Cause
from bot.domain.paths import is_git_spelling
from bot.errors import Permanent, RetryLater
from bot.workspace.git import SEARCH_PATH, Git, TooMuchOutput
from bot.workspace.mirror import TOO_BIG
from bot.workspace.remote import kept_ref
from bot.workspace.toolhost.confine import files_uid

MAX_TREE_BYTES = 1024**3
MAX_TREE_FILES = 200_000
MAX_LISTING_BYTES = 64 * 1024 * 1024
CHECKOUT_TIMEOUT_SECONDS = 300.0
_LINK_MODE = "120000"
_MAX_LINK_BYTES = 4096


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry of `git ls-tree -r -l`: `size_bytes` is 0 for a submodule."""

    mode: str
    kind: str
    size_bytes: int
    path: str


async def materialise(git: Git, mirror: Path, sha: str, job: Path) -> Path:
    """Write the files of *sha* to `tree` in *job*, owned by the file server's uid; returns that path.

    Submodules stay empty directories, filters and LFS do nothing, links are made and never followed.

    Raises:
        Permanent: A path is one of git's own in some spelling, or the tree is too big.
        RetryLater: git failed.
    """
    git_dir = f"--git-dir={mirror}"
    listed = ("ls-tree", "-r", "-l", "-z", "--full-tree", kept_ref(sha))
    try:
        listing = await _checked(git, git_dir, *listed, max_output_bytes=MAX_LISTING_BYTES)
    except TooMuchOutput:
        raise _too_big() from None
    await asyncio.to_thread(check_listing, listing)
    tree = job / "tree"
    tree.mkdir(mode=0o755)
    index = {"GIT_INDEX_FILE": str(job / "index")}
    await _checked(git, git_dir, "read-tree", kept_ref(sha), environment=index)
    work_tree = f"--work-tree={tree}"
    await _checked(
        git, git_dir, work_tree, "checkout-index", "--all", "--force", "--quiet", environment=index
    )
    (job / "index").unlink()
    await asyncio.to_thread(_give_away, tree)
    return tree


def check_listing(listing: bytes) -> None:
    """Let the output of `git ls-tree -r -l -z` pass when such a tree may be written.

    Raises:
        Permanent: Too many files, too many bytes, or a path that is git's own in some spelling.
    """
    total_bytes = 0
    known: set[str] = set()
    for files, entry in enumerate(parsed(listing), start=1):
        total_bytes += entry.size_bytes
        if files > MAX_TREE_FILES or total_bytes > MAX_TREE_BYTES:
            raise _too_big()
        _check_path(entry, known)


def parsed(listing: bytes) -> Iterator[Listed]:
    """The entries of `git ls-tree -r -l -z`.

    Raises:
        RetryLater: git calls an object BAD: the mirror is broken.
    """
    for record in listing.split(b"\0"):
        if record:
            facts, path = record.split(b"\t", 1)
            mode, kind, _, size = facts.decode("ascii").split()
            if size == "BAD":
                raise RetryLater("the checkout failed: the mirror is broken", cause=Cause.SANDBOX_ERROR)
            yield Listed(mode, kind, 0 if size == "-" else int(size), path.decode("utf-8", "surrogateescape"))


def _check_path(entry: Listed, known: set[str]) -> None:
    for part in entry.path.split("/"):
        if part in known:
            continue
        if part in {"", ".", ".."} or is_git_spelling(part):
            raise _refused("a path in the commit is named like git's own directory")
        known.add(part)
    if entry.mode == _LINK_MODE and entry.size_bytes > _MAX_LINK_BYTES:
        raise _refused("a link in the commit is longer than any path")


def _too_big() -> Permanent:
    return Permanent(TOO_BIG, cause=Cause.SANDBOX_ERROR)


def _refused(words: str) -> Permanent:
    return Permanent(f"{words}; it is not checked out", cause=Cause.SANDBOX_ERROR)


async def _checked(
    git: Git, *arguments: str, environment: dict[str, str] | None = None, max_output_bytes: int = 65_536
) -> bytes:
    output = await git.run(
        *arguments,
        timeout_seconds=CHECKOUT_TIMEOUT_SECONDS,
        environment=environment,
        max_output_bytes=max_output_bytes,
    )
    if output.exit_code != 0:
        raise RetryLater(f"the checkout failed: {output.stderr.strip()[-300:]}", cause=Cause.SANDBOX_ERROR)
    return output.stdout


def _give_away(tree: Path) -> None:
    """Let the file server's uid own the tree; links themselves, never what they name."""
    uid = files_uid()
    if tree.stat().st_uid == uid:
        return
    argv = ["chown", "-h", "-R", "-P", f"{uid}:{uid}", "--", str(tree)]
    subprocess.run(
        argv,
        env={"PATH": SEARCH_PATH},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=300,
        check=True,
    )

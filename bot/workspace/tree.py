"""Turn one commit of a mirror into plain files, and a tree of another commit into those of this one."""

import asyncio
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path

from bot.domain.enums import Cause
from bot.errors import RetryLater
from bot.workspace import reset
from bot.workspace.git import SEARCH_PATH, Git
from bot.workspace.listing import SUBMODULE_MODE, Commit, Entry
from bot.workspace.mirror import Mirror
from bot.workspace.record import Doubtful, Record
from bot.workspace.remote import kept_ref
from bot.workspace.toolhost.confine import files_uid

CHECKOUT_TIMEOUT_SECONDS = 300.0
MAX_REWRITTEN_FILES = 2_000
MAX_REWRITTEN_BYTES = 64 * 1024 * 1024
"""Where more differs, a tree is written anew by git, which does that faster."""
_HEADER_BYTES = 128


class TooDifferent(Exception):
    """More differs than is rewritten."""


async def write(git: Git, mirror: Mirror, commit: Commit, job: Path) -> Record | None:
    """Write the files of *commit* to `tree` in *job*, owned by the file server's uid; returns their record.

    Submodules stay empty directories, filters and LFS do nothing, links are made and never followed. The
    record is None when the tree is not one that can be kept for another job.

    Raises:
        RetryLater: git failed.
    """
    tree = job / "tree"
    tree.mkdir(mode=0o755)
    index = {"GIT_INDEX_FILE": str(job / "index")}
    await _run(git, mirror.local("read-tree", kept_ref(commit.sha)), index)
    words = mirror.local(f"--work-tree={tree}", "checkout-index", "--all", "--force", "--quiet")
    await _run(git, words, index)
    (job / "index").unlink()
    await asyncio.to_thread(_give_away, tree)
    try:
        return await asyncio.to_thread(reset.first_record, tree, commit, files_uid())
    except (Doubtful, OSError):
        return None


async def turn(git: Git, mirror: Mirror, commit: Commit, tree: Path, record: Record) -> Record:
    """Make *tree*, which is as *record* says, the files of *commit*; returns the new record.

    Raises:
        TooDifferent: It is not touched: writing it anew is faster.
        Doubtful, OSError: It is not as *record* says, or cannot be changed: throw it away.
        RetryLater: git failed.
    """
    gone, wanted = reset.difference(record, commit)
    files = {path: commit.entries[path].oid for path in wanted}
    if len(wanted) > MAX_REWRITTEN_FILES or _total(commit, files.values()) > MAX_REWRITTEN_BYTES:
        raise TooDifferent
    uid = files_uid()
    await asyncio.to_thread(reset.check, tree, record, uid)
    contents = await _contents(git, mirror, commit.entries, files)
    return await asyncio.to_thread(reset.rewrite, tree, record, commit, uid, gone=gone, contents=contents)


async def restore(git: Git, mirror: Mirror, tree: Path, record: Record, strays: Path) -> Record:
    """Make *tree*, in which a job has worked, again what *record* says; what is too much goes to *strays*.

    Raises:
        TooDifferent, Doubtful, OSError: It is no tree to keep: throw it away.
        RetryLater: git failed.
    """
    uid = files_uid()
    missing = await asyncio.to_thread(reset.clean, tree, record, uid, strays)
    files = {path: record.files[path].oid for path in missing}
    size_bytes = sum(record.files[path].size_bytes for path in missing)
    if len(missing) > MAX_REWRITTEN_FILES or size_bytes > MAX_REWRITTEN_BYTES:
        raise TooDifferent
    contents = await _contents(git, mirror, record.entries, files)
    return await asyncio.to_thread(reset.rewrite, tree, record, record, uid, gone=[], contents=contents)


def _total(commit: Commit, oids: Iterable[str]) -> int:
    return sum(commit.sizes.get(oid, 0) for oid in oids)


async def _contents(
    git: Git, mirror: Mirror, entries: Mapping[str, Entry], files: Mapping[str, str]
) -> dict[str, bytes]:
    """The bytes of each path of *files* (path to object), out of one git process.

    Raises:
        RetryLater: An object is not in the mirror.
    """
    oids = sorted({oid for path, oid in files.items() if entries[path].mode != SUBMODULE_MODE})
    words = mirror.local("cat-file", "--batch", "--buffer")
    said = (
        await _run(git, words, {}, stdin="".join(f"{oid}\n" for oid in oids).encode("ascii")) if oids else b""
    )
    found: dict[str, bytes] = {}
    position = 0
    for oid in oids:
        end = said.find(b"\n", position)
        header = said[position:end].split()
        if len(header) != 3 or header[0] != oid.encode("ascii"):
            raise _failed("an object is missing")
        start, position = end + 1, end + 2 + int(header[2])
        found[oid] = said[start : position - 1]
    return {path: found.get(oid, b"") for path, oid in files.items()}


async def _run(git: Git, words: tuple[str, ...], environment: dict[str, str], stdin: bytes = b"") -> bytes:
    output = await git.run(
        *words,
        timeout_seconds=CHECKOUT_TIMEOUT_SECONDS,
        environment=environment,
        stdin=stdin,
        max_output_bytes=MAX_REWRITTEN_BYTES + MAX_REWRITTEN_FILES * _HEADER_BYTES,
    )
    if output.exit_code != 0:
        raise _failed(output.stderr.strip()[-300:])
    return output.stdout


def _failed(words: str) -> RetryLater:
    return RetryLater(f"the checkout failed: {words}", cause=Cause.SANDBOX_ERROR)


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

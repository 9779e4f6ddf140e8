"""Turn one commit of a mirror into plain files, and a tree of another commit into those of this one."""

import asyncio
import errno
import os
from functools import partial
from pathlib import Path

from bot.domain.enums import Cause
from bot.errors import Permanent, RetryLater
from bot.workspace import reset
from bot.workspace.git import Git
from bot.workspace.listing import SUBMODULE_MODE, Commit
from bot.workspace.mirror import Mirror
from bot.workspace.record import Record
from bot.workspace.toolhost.confine import files_uid
from bot.workspace.verdict import MirrorBroken, last_line
from bot.workspace.writing import ObjectMissing

CHECKOUT_TIMEOUT_SECONDS = 300.0
MAX_REWRITTEN_FILES = 2_000
MAX_REWRITTEN_BYTES = 64 * 1024 * 1024
"""Where more differs, a tree is written anew, so that the one that is there can wait for a nearer commit."""
_NEVER = frozenset({errno.EEXIST, errno.ENOTDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.EINVAL})
"""What a new tree answers to a path that no commit should have."""


class TooDifferent(Exception):
    """More differs than is rewritten."""


async def write(git: Git, mirror: Mirror, commit: Commit, job: Path) -> Record:
    """Write the files of *commit* to `tree` in *job*, owned by the file server's uid; returns their record.

    Submodules stay empty directories, filters and LFS do nothing, links are made and never followed: no
    program of git touches the tree.

    Raises:
        Permanent: A path of the commit cannot be written, here or anywhere.
        MirrorBroken: The mirror does not have what it should.
        RetryLater: The disk refuses.
    """
    tree = job / "tree"
    try:
        nothing = await asyncio.to_thread(reset.begin, tree, commit.sha, files_uid())
        return await _rewritten(git, mirror, tree, nothing, commit, gone=[], wanted=list(commit.entries))
    except OSError as error:
        if error.errno in _NEVER:
            words = "a path in the commit is too long, or is a file and a directory at once"
            raise Permanent(f"{words}; it is not checked out", cause=Cause.SANDBOX_ERROR) from None
        raise RetryLater(f"the checkout failed: {error.strerror}", cause=Cause.SANDBOX_ERROR) from None


async def turn(git: Git, mirror: Mirror, commit: Commit, tree: Path, record: Record) -> Record:
    """Make *tree*, which is as *record* says (see `reset.check`), the files of *commit*; the new record.

    Raises:
        TooDifferent: It is not touched: writing it anew is faster.
        OSError: It cannot be changed: throw it away.
        RetryLater: git failed, or the mirror does not have what it should: throw it away too.
    """
    gone, wanted = await asyncio.to_thread(reset.difference, record, commit)
    size_bytes = sum(commit.sizes.get(commit.entries[path].oid, 0) for path in wanted)
    if len(wanted) > MAX_REWRITTEN_FILES or size_bytes > MAX_REWRITTEN_BYTES:
        raise TooDifferent
    return await _rewritten(git, mirror, tree, record, commit, gone=gone, wanted=wanted)


async def restore(git: Git, mirror: Mirror, tree: Path, record: Record, strays: Path) -> Record:
    """Make *tree*, in which a job has worked, again what *record* says; what is too much goes to *strays*.

    Raises:
        TooDifferent, Doubtful, OSError: It is no tree to keep: throw it away.
        RetryLater: git failed.
    """
    uid = files_uid()
    missing = await asyncio.to_thread(reset.clean, tree, record, uid, strays)
    size_bytes = sum(record.files[path].size_bytes for path in missing)
    if len(missing) > MAX_REWRITTEN_FILES or size_bytes > MAX_REWRITTEN_BYTES:
        raise TooDifferent
    return await _rewritten(git, mirror, tree, record, record, gone=[], wanted=missing)


async def _rewritten(
    git: Git,
    mirror: Mirror,
    tree: Path,
    record: Record,
    goal: Commit | Record,
    *,
    gone: list[str],
    wanted: list[str],
) -> Record:
    """As `reset.rewrite`, with the contents out of one git process, which are written as they come.

    Raises:
        OSError: As `reset.rewrite`.
        MirrorBroken: A content is not there.
    """
    asked = [entry.oid for path in wanted if (entry := goal.entries[path]).mode != SUBMODULE_MODE]
    work = partial(reset.rewrite, tree, record, goal, files_uid(), gone=gone, wanted=wanted)
    if not asked:
        return await asyncio.to_thread(work, contents_fd=None)
    read_fd, write_fd = os.pipe2(os.O_CLOEXEC)
    writing = asyncio.ensure_future(asyncio.to_thread(work, contents_fd=read_fd))
    try:
        output = await git.run(
            *mirror.local("cat-file", "--batch", "--buffer"),
            timeout_seconds=CHECKOUT_TIMEOUT_SECONDS,
            stdin="".join(f"{oid}\n" for oid in asked).encode("ascii"),
            stdout_fd=write_fd,
        )
    except BaseException:
        await _ended(writing)
        raise
    await _ended(writing)
    try:
        return writing.result()
    except ObjectMissing as error:
        raise MirrorBroken(f"the checkout failed: {last_line(output.stderr, str(error))}") from None


async def _ended(writing: asyncio.Future[Record]) -> None:
    """Wait until nobody writes any more: git has ended, so that the pipe has an end."""
    await asyncio.wait({writing})
    if not writing.cancelled():
        writing.exception()

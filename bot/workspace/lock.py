"""Locks between processes that end with their holder (flock): of mirrors, of trees, of jobs."""

import asyncio
import fcntl
import os
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

from bot.errors import RetryLater

POLL_SECONDS = 0.1
BUSY = "another job is still fetching this repository"
_MAX_TRIES = 10


@asynccontextmanager
async def locked(path: Path, *, timeout_seconds: float) -> AsyncIterator[None]:
    """Hold the lock file *path* alone; a process that dies lets go.

    Raises:
        RetryLater: Somebody else held it for *timeout_seconds*.
    """
    with opened(path) as lock:
        try:
            await asyncio.wait_for(_taken(lock), timeout_seconds)
        except TimeoutError:
            raise RetryLater(BUSY) from None
        yield


class Lock:
    """A lock file that is open: not held, held with other readers, or alone."""

    def __init__(self, fd: int) -> None:
        """Use the file at *fd*."""
        self._fd = fd

    def take(self, *, is_shared: bool) -> bool:
        """Hold it so from now on, if nobody stands against it; else it is not held at all.

        Between the former hold and the new one others may have had it
        (https://man7.org/linux/man-pages/man2/flock.2.html, "converting a lock").
        """
        return _try_lock(self._fd, is_shared=is_shared)


@contextmanager
def opened(path: Path) -> Iterator[Lock]:
    """The lock file *path*, not held yet; at the end it is let go."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.utime(fd)  # when it was used last: the disk's budget asks
        yield Lock(fd)
    finally:
        os.close(fd)


def try_file(path: Path) -> int | None:
    """The lock file *path*, held alone by the descriptor returned; None when somebody else holds it."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    if _try_lock(fd, is_shared=False):
        return fd
    os.close(fd)
    return None


def try_directory(path: Path) -> int | None:
    """The directory *path*, held alone by the descriptor returned; None: it is held, or has gone."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError:
        return None
    if _try_lock(fd, is_shared=False) and is_still(path, fd):
        return fd
    os.close(fd)
    return None


def make_directory(parent: Path, prefix: str = "") -> tuple[Path, int]:
    """Make a directory in *parent* and hold it alone; its path, and the descriptor that holds it.

    Whoever sweeps up may come before it is held, and hold it or take it away: then another one is made.

    Raises:
        OSError: It cannot be made, or somebody came before us again and again.
    """
    for _ in range(_MAX_TRIES):
        path = parent / f"{prefix}{secrets.token_hex(8)}"
        path.mkdir(mode=0o700)
        fd = try_directory(path)
        if fd is not None:
            return path, fd
    raise OSError(f"no directory in {parent.name} could be held")


async def _taken(lock: Lock) -> None:
    while not lock.take(is_shared=False):  # noqa: ASYNC110 - flock has no event
        await asyncio.sleep(POLL_SECONDS)


def is_still(path: Path, fd: int) -> bool:
    """Whether *path* leads to what *fd* has open; no link is followed."""
    try:
        found = path.stat(follow_symlinks=False)
    except FileNotFoundError:
        return False
    return os.path.samestat(found, os.fstat(fd))


def _try_lock(fd: int, *, is_shared: bool) -> bool:
    try:
        fcntl.flock(fd, (fcntl.LOCK_SH if is_shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

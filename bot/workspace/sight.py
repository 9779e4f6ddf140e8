"""Look through a tree beside what is known of it: by descriptors, never through a link, never out of it.

Every directory is opened from its parent's descriptor without following links, and must be of the same
file system, owner and kind as we made it. So whatever a job has left in the tree, and even while somebody
still renames things in it, only the tree's own entries are looked at.
"""

import fcntl
import os
import stat
import struct
from collections.abc import Iterator
from contextlib import suppress
from typing import NamedTuple

from bot.workspace.record import Doubtful, Kept, Layout

MAX_DEPTH = 100
MAX_STRAYS = 10_000
DIRECTORY_MODE = 0o755
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
_FS_IOC_GETFLAGS = 0x80086601
_OWN_FLAGS = 0x00080000 | 0x00001000 | 0x10000000
"""Extents, hashed index, inline data: the file system's own (https://man7.org/linux/man-pages/man2/ioctl_iflags.2.html)."""


class Sight(NamedTuple):
    """One thing: *name* in the directory open at *directory_fd*.

    `kept` None: it does not belong there. `status` None: it belongs there and is missing.
    """

    directory_fd: int
    name: str
    path: str
    kept: Kept | None
    status: os.stat_result | None


def sights(root_fd: int, layout: Layout, uid: int) -> Iterator[Sight]:
    """Everything in the tree at *root_fd* and everything that *layout* wants there; *uid* owns it.

    A directory whose place is taken by something else yields that as a stray, then its files as missing.

    Raises:
        Doubtful: A directory is not as we make them, or there are more than `MAX_STRAYS` strays.
        OSError: Something cannot be looked at.
    """
    fd = os.open(".", _DIRECTORY, dir_fd=root_fd)
    try:
        yield from _Look(os.fstat(fd).st_dev, uid, _flags(fd)).directory(fd, layout, "", 0)
    finally:
        os.close(fd)


def opened(root_fd: int, parts: list[str]) -> int:
    """The directory at *parts* below *root_fd*, step by step and through no link.

    Raises:
        OSError: Something else stands in the way.
    """
    here = os.open(".", _DIRECTORY, dir_fd=root_fd)
    try:
        for part in parts:
            there = os.open(part, _DIRECTORY, dir_fd=here)
            os.close(here)
            here = there
    except BaseException:
        os.close(here)
        raise
    return here


def give(fd: int, uid: int) -> None:
    """Let *uid* own what is open at *fd*; a service that is not root keeps what is its own."""
    if os.geteuid() == 0:
        os.fchown(fd, uid, uid)


def step(here: int, part: str, uid: int) -> int:
    """The directory *part* in the one open at *here*, through no link; made for *uid* when it is missing.

    Raises:
        OSError: Something else stands there.
    """
    is_new = True
    try:
        os.mkdir(part, 0o700, dir_fd=here)
    except FileExistsError:
        is_new = False
    there = os.open(part, _DIRECTORY, dir_fd=here)
    if is_new:
        give(there, uid)
        os.fchmod(there, DIRECTORY_MODE)
    return there


class _Look:
    """One walk: the file system, the owner and the flags that every directory must have."""

    def __init__(self, device: int, uid: int, flags: int) -> None:
        self._device = device
        self._uid = uid
        self._flags = flags
        self._strays_left = MAX_STRAYS

    def directory(self, fd: int, layout: Layout, prefix: str, depth: int) -> Iterator[Sight]:
        self._check(fd, depth)
        found: set[str] = set()
        inner: list[str] = []
        with os.scandir(fd) as entries:
            seen = [
                (entry.name, entry.is_dir(follow_symlinks=False)) for entry in self._counted(entries, layout)
            ]
        for name, is_directory in seen:
            wanted = layout.get(name)
            if isinstance(wanted, dict) and is_directory:
                inner.append(name)
                found.add(name)
                continue
            kept = wanted if isinstance(wanted, Kept) else None
            if kept is not None:
                found.add(name)
            status = os.stat(name, dir_fd=fd, follow_symlinks=False)
            yield Sight(fd, name, prefix + name, kept, status)
        for name in layout.keys() - found:
            yield from _missing(fd, name, prefix + name, layout[name])
        for name in inner:
            yield from self._inner(fd, name, layout, prefix, depth)

    def _inner(self, fd: int, name: str, layout: Layout, prefix: str, depth: int) -> Iterator[Sight]:
        below = layout[name]
        if isinstance(below, Kept):
            raise Doubtful("a directory stands where a file belongs")
        inner_fd = os.open(name, _DIRECTORY, dir_fd=fd)
        try:
            yield from self.directory(inner_fd, below, f"{prefix}{name}/", depth + 1)
        finally:
            os.close(inner_fd)

    def _counted(self, entries: Iterator[os.DirEntry[str]], layout: Layout) -> Iterator[os.DirEntry[str]]:
        for entry in entries:
            self._strays_left -= entry.name not in layout
            if self._strays_left < 0:
                raise Doubtful("a job has left too much in its tree")
            yield entry

    def _check(self, fd: int, depth: int) -> None:
        status = os.fstat(fd)
        if depth > MAX_DEPTH or (status.st_dev, status.st_uid) != (self._device, self._uid):
            raise Doubtful("a directory is not one that we have made")
        if stat.S_IMODE(status.st_mode) != DIRECTORY_MODE:
            os.fchmod(fd, DIRECTORY_MODE)
        if _flags(fd) != self._flags or any(_is_settable(name) for name in _attributes(fd)):
            raise Doubtful("a directory has attributes that we have not given it")


def _missing(fd: int, name: str, path: str, wanted: "Layout | Kept") -> Iterator[Sight]:
    if isinstance(wanted, Kept):
        yield Sight(fd, name, path, wanted, None)
        return
    if not wanted:
        raise Doubtful("the directory of a submodule is gone")
    for below, leaf in wanted.items():
        yield from _missing(fd, below, f"{path}/{below}", leaf)


def _is_settable(attribute: str) -> bool:
    """Whether a file's owner can set the extended *attribute* (https://man7.org/linux/man-pages/man7/xattr.7.html)."""
    return attribute.startswith(("user.", "system.posix_acl"))


def _attributes(fd: int) -> list[str]:
    try:
        return os.listxattr(fd)
    except OSError:
        return []


def _flags(fd: int) -> int:
    buffer = bytearray(8)
    with suppress(OSError):
        fcntl.ioctl(fd, _FS_IOC_GETFLAGS, buffer)
    return int(struct.unpack("i", buffer[:4])[0]) & 0x7FFFFFFF & ~_OWN_FLAGS

"""What is known of a tree that was written: each file as it was when we wrote it, so that a change is seen.

A file counts as unchanged when its inode, type, permissions, size and change time (ctime) are still those
of the record. Size and modification time can be set by whoever owns a file; the change time cannot
(https://man7.org/linux/man-pages/man7/inode.7.html). Where the change time proves nothing (written just
before the record was made, or a file system that does not keep it for mapped writes), contents are hashed.
"""

import ctypes
import hashlib
import json
import os
import stat
import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple, TypeAlias

from bot.workspace.listing import SUBMODULE_MODE, Entry

TRUSTED_AFTER_NS = 100_000_000
"""Clocks of file systems tick every 1 to 10 ms; a change within one tick of the last one is not seen."""

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_TRUSTED_FILE_SYSTEMS = frozenset({0xEF53, 0x58465342, 0x9123683E, 0xF2F52010})
"""ext2 to ext4, XFS, Btrfs and F2FS: they note a change through mmap too, which tmpfs does not.

The numbers are those of https://man7.org/linux/man-pages/man2/statfs.2.html.
"""
_STATFS_BYTES = 512


class Doubtful(Exception):
    """A tree of which we cannot be sure; it is thrown away."""


class Kept(NamedTuple):
    """One file or link of the commit, and what `lstat` said of it after it was written."""

    mode: str
    oid: str
    st_mode: int
    inode: int
    ctime_ns: int
    size_bytes: int

    @classmethod
    def of(cls, mode: str, oid: str, status: os.stat_result) -> "Kept":
        """From git's *mode* and *oid* and the file's *status*."""
        return cls(mode, oid, status.st_mode, status.st_ino, status.st_ctime_ns, status.st_size)

    def is_same(self, status: os.stat_result) -> bool:
        """Whether *status* is that of the file that was written, untouched."""
        found = (status.st_mode, status.st_ino, status.st_ctime_ns, status.st_size)
        return status.st_nlink == 1 and found == self[2:]


Layout: TypeAlias = "dict[str, Layout | Kept]"
"""A directory: what stands in it by name."""


@dataclass(frozen=True)
class Record:
    """The files of the commit `sha` in one tree; `taken_at_ns` is the file system's clock afterwards."""

    sha: str
    files: Mapping[str, Kept]
    taken_at_ns: int
    disk_bytes: int
    is_ctime_trusted: bool
    boot_id: str = field(default_factory=lambda: _BOOT_ID.read_text().strip())

    @cached_property
    def layout(self) -> Layout:
        """The files as nested directories; a submodule is an empty one."""
        root: Layout = {}
        for path, kept in self.files.items():
            *parents, name = path.split("/")
            here = root
            for parent in parents:
                here = here.setdefault(parent, {})  # type: ignore[assignment]
            here[name] = {} if kept.mode == SUBMODULE_MODE else kept
        return root

    @cached_property
    def entries(self) -> dict[str, Entry]:
        """What the commit holds."""
        return {path: Entry(kept.mode, kept.oid) for path, kept in self.files.items()}

    def proves(self, kept: Kept) -> bool:
        """Whether an unchanged change time of *kept* means an unchanged file."""
        return self.is_ctime_trusted and kept.ctime_ns + TRUSTED_AFTER_NS < self.taken_at_ns

    def save(self, path: Path) -> None:
        """Write it whole and then move it to *path*."""
        draft = path.with_name(f"{path.name}.new")
        head = [self.sha, self.taken_at_ns, self.disk_bytes, self.is_ctime_trusted, self.boot_id]
        draft.write_text(json.dumps([head, self.files]), "ascii")
        draft.rename(path)

    @classmethod
    def load(cls, path: Path) -> "Record":
        """What `save` wrote.

        Raises:
            Doubtful: It is no record, or of an earlier start of the machine: not all may have come to disk.
        """
        try:
            (sha, taken_at_ns, disk_bytes, is_trusted, boot_id), files = json.loads(path.read_text("ascii"))
            kept = {name: Kept(*fields) for name, fields in files.items()}
        except (OSError, ValueError, TypeError):
            raise Doubtful("the record cannot be read") from None
        if boot_id != _BOOT_ID.read_text().strip():
            raise Doubtful("the machine has started anew")
        return cls(sha, kept, taken_at_ns, disk_bytes, is_trusted, boot_id)


def clock_ns(directory: Path) -> int:
    """What the clock of the file system of *directory* shows."""
    probe = directory / "clock"
    probe.touch()
    try:
        return probe.stat().st_ctime_ns
    finally:
        probe.unlink()


def is_ctime_trusted(directory: Path) -> bool:
    """Whether the file system of *directory* notes each change of a file in its change time."""
    libc = ctypes.CDLL(None, use_errno=True)
    answer = ctypes.create_string_buffer(_STATFS_BYTES)
    if libc.statfs(os.fsencode(directory), answer) != 0:
        return False
    return int(struct.unpack_from("l", answer)[0]) & 0xFFFFFFFF in _TRUSTED_FILE_SYSTEMS


def object_id(name: str, directory_fd: int, status: os.stat_result, like: str) -> str:
    """The id that git gives the file or link *name*, in the hash of *like*.

    https://git-scm.com/book/en/v2/Git-Internals-Git-Objects

    Raises:
        Doubtful: It is no longer what *status* says.
    """
    digest = hashlib.new("sha1" if len(like) == 40 else "sha256", usedforsecurity=False)
    digest.update(b"blob %d\0" % status.st_size)
    if stat.S_ISLNK(status.st_mode):
        digest.update(os.fsencode(os.readlink(name, dir_fd=directory_fd)))
        return digest.hexdigest()
    fd = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=directory_fd)
    with os.fdopen(fd, "rb") as file:
        if not os.path.samestat(os.fstat(fd), status):
            raise Doubtful("a file changes while it is looked at")
        while chunk := file.read(1 << 18):
            digest.update(chunk)
    return digest.hexdigest()

"""Write the files of a commit into a tree: by descriptors, never through a link, each one new.

The contents come from one `git cat-file --batch` through a pipe, while they are written: nothing larger
than a piece is held in memory. A file is given to its owner, and its status noted, while it is open.
"""

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from typing import Self

from bot.workspace.listing import LINK_MODE, SUBMODULE_MODE, Entry
from bot.workspace.record import Kept
from bot.workspace.sight import give, opened, step

PIPE_BYTES = 1024 * 1024
_PIECE_BYTES = 1024 * 1024
_HEADER_BYTES = 200
_EXECUTABLE_MODE = "100755"
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


class ObjectMissing(Exception):
    """The mirror does not have the contents of a file, or something else under their name."""


class Contents:
    """What `git cat-file --batch` says (https://git-scm.com/docs/git-cat-file, "BATCH OUTPUT")."""

    def __init__(self, fd: int | None) -> None:
        """Read from *fd*, which is closed at the end; None: nothing will be asked for."""
        self._file = None if fd is None else os.fdopen(fd, "rb", buffering=PIPE_BYTES)
        if fd is not None:
            with suppress(OSError):
                fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()

    def whole(self, oid: str) -> bytes:
        """The next object, which must be *oid*; for what is known to be small.

        Raises:
            ObjectMissing: It is not, or git has ended.
        """
        return self._piece(self._begin(oid), is_last=True)

    def copy(self, oid: str, fd: int) -> None:
        """Write the next object, which must be *oid*, to *fd*; raises as `whole`."""
        left_bytes = self._begin(oid)
        while left_bytes > _PIECE_BYTES:
            _write_all(fd, self._piece(_PIECE_BYTES, is_last=False))
            left_bytes -= _PIECE_BYTES
        _write_all(fd, self._piece(left_bytes, is_last=True))

    def _begin(self, oid: str) -> int:
        header = b"" if self._file is None else self._file.readline(_HEADER_BYTES)
        name, _, facts = header.partition(b" ")
        kind, _, size = facts.partition(b" ")
        if name != oid.encode("ascii") or kind != b"blob":
            raise ObjectMissing("an object is missing")
        return int(size)

    def _piece(self, size_bytes: int, *, is_last: bool) -> bytes:
        wanted = size_bytes + is_last  # a line end follows each object
        piece = b"" if self._file is None else self._file.read(wanted)
        if len(piece) != wanted:
            raise ObjectMissing("git ended in the middle of an object")
        return piece[:-1] if is_last else piece


class Root:
    """The root of a tree, open, and the directories on the way to the file that was written last."""

    def __init__(self, tree: Path, uid: int) -> None:
        """Write into *tree*, for *uid*."""
        self.fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._uid = uid
        self._way: list[tuple[str, int]] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._go_up(0)
        os.close(self.fd)

    def remove(self, path: str) -> None:
        """Remove one file, link or submodule, and the directories that are empty then."""
        self._go_up(0)
        *parents, name = path.split("/")
        directory_fd = opened(self.fd, parents)
        try:
            _remove(name, directory_fd)
        finally:
            os.close(directory_fd)
        while parents:
            name = parents.pop()
            directory_fd = opened(self.fd, parents)
            try:
                os.rmdir(name, dir_fd=directory_fd)
            except OSError:
                return
            finally:
                os.close(directory_fd)

    def write(self, path: str, entry: Entry, contents: Contents) -> Kept:
        """Make one file, link or submodule where nothing is; its content is the next of *contents*.

        Raises:
            OSError: Something is there, or the disk is full.
            ObjectMissing: As `Contents.copy`.
        """
        *parents, name = path.split("/")
        if entry.mode == SUBMODULE_MODE:
            self._directory([*parents, name])
            return Kept(*entry, 0, 0, 0, 0)
        directory_fd = self._directory(parents)
        if entry.mode == LINK_MODE:
            os.symlink(contents.whole(entry.oid), os.fsencode(name), dir_fd=directory_fd)
            _give_link(name, directory_fd, self._uid)
            return Kept.of(*entry, os.stat(name, dir_fd=directory_fd, follow_symlinks=False))
        fd = os.open(name, _NEW, 0o600, dir_fd=directory_fd)
        try:
            contents.copy(entry.oid, fd)
            give(fd, self._uid)
            os.fchmod(fd, 0o755 if entry.mode == _EXECUTABLE_MODE else 0o644)
            return Kept.of(*entry, os.fstat(fd))
        finally:
            os.close(fd)

    def _directory(self, parts: list[str]) -> int:
        """The directory at *parts*, made when missing; it is closed when the next path leads elsewhere."""
        same = 0
        for (known, _), part in zip(self._way, parts, strict=False):
            if known != part:
                break
            same += 1
        self._go_up(same)
        for part in parts[same:]:
            here = self._way[-1][1] if self._way else self.fd
            self._way.append((part, step(here, part, self._uid)))
        return self._way[-1][1] if self._way else self.fd

    def _go_up(self, depth: int) -> None:
        while len(self._way) > depth:
            os.close(self._way.pop()[1])


def _write_all(fd: int, piece: bytes) -> None:
    written = os.write(fd, piece)
    while written < len(piece):
        written += os.write(fd, piece[written:])


def _remove(name: str, directory_fd: int) -> None:
    try:
        os.unlink(name, dir_fd=directory_fd)
    except IsADirectoryError:
        os.rmdir(name, dir_fd=directory_fd)


def _give_link(name: str, directory_fd: int, uid: int) -> None:
    if os.geteuid() == 0:
        os.chown(name, uid, uid, dir_fd=directory_fd, follow_symlinks=False)

"""Open files beneath one directory and nowhere else, whatever links and races stand in the way.

The kernel resolves with `openat2` (https://man7.org/linux/man-pages/man2/openat2.2.html); where it
cannot, each component is opened by itself without following links.
"""

import ctypes
import errno
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeAlias

from bot.domain.paths import REFUSED, RefusedPath

MAX_FILE_BYTES = 1024 * 1024

_LIBC = ctypes.CDLL(None, use_errno=True)
_OPENAT2 = 437
_RESOLVE_NO_MAGICLINKS, _RESOLVE_NO_SYMLINKS, _RESOLVE_BENEATH = 0x02, 0x04, 0x08
_CAREFUL = os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | _CAREFUL
_REFUSING = frozenset({errno.ELOOP, errno.EXDEV, errno.ENXIO})

Opener: TypeAlias = Callable[[int, tuple[str, ...], int], int]
Hides: TypeAlias = Callable[[tuple[str, ...]], bool]
EXCLUDED = "This path is excluded by the repository's configuration (`exclude:`); work without it."


class Trouble(Exception):
    """An ordinary error of a tool; its text is for the model."""


class _OpenHow(ctypes.Structure):
    """`struct open_how`."""

    _fields_ = (("flags", ctypes.c_uint64), ("mode", ctypes.c_uint64), ("resolve", ctypes.c_uint64))


def open_by_kernel(root_fd: int, parts: tuple[str, ...], flags: int) -> int:
    """Open *parts* beneath *root_fd* with `openat2`; no link of any kind is followed.

    Raises:
        OSError: As `open` does; `ELOOP` for a link, `EXDEV` for a way out, `ENOSYS` without the call.
    """
    how = _OpenHow(
        flags & ~os.O_NOFOLLOW, 0, _RESOLVE_BENEATH | _RESOLVE_NO_MAGICLINKS | _RESOLVE_NO_SYMLINKS
    )
    path = os.fsencode("/".join(parts) or ".")
    fd = _LIBC.syscall(
        ctypes.c_long(_OPENAT2), ctypes.c_int(root_fd), path, ctypes.byref(how), ctypes.c_size_t(24)
    )
    if fd < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return int(fd)


def open_by_walk(root_fd: int, parts: tuple[str, ...], flags: int) -> int:
    """Open *parts* beneath *root_fd* one component at a time, refusing each link.

    Raises:
        OSError: As `open_by_kernel`.
    """
    here = os.open(".", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=root_fd)
    try:
        for part in parts[:-1]:
            here = _step_into(here, part)
        if flags & os.O_DIRECTORY and parts:
            here = _step_into(here, parts[-1])
        name = "." if flags & os.O_DIRECTORY else parts[-1]
        return os.open(name, flags | os.O_NOFOLLOW, dir_fd=here)
    finally:
        os.close(here)


def best_opener(root_fd: int) -> Opener:
    """`open_by_kernel` where this kernel (or this container) lets us, else `open_by_walk`."""
    try:
        os.close(open_by_kernel(root_fd, (), os.O_PATH | os.O_CLOEXEC))
    except OSError:
        return open_by_walk
    return open_by_kernel


class Tree:
    """One directory, by its descriptor; the only way in which the tools reach a file."""

    def __init__(
        self, root_fd: int, opener: Opener | None = None, hides: Hides = lambda _parts: False
    ) -> None:
        """Serve *root_fd* but for what *hides* covers; *opener* is chosen by what the kernel can do."""
        self.root_fd = root_fd
        self.hides = hides
        self._open = opener or best_opener(root_fd)

    @property
    def resolver(self) -> str:
        """The name of the opener, for reports."""
        return self._open.__name__

    @contextmanager
    def directory(self, parts: tuple[str, ...]) -> Iterator[int]:
        """A descriptor of the directory at *parts*.

        Raises:
            RefusedPath: A link or a special file is in the way.
            Trouble: There is no such directory.
        """
        fd = self._opened(parts, _DIRECTORY)
        try:
            yield fd
        finally:
            os.close(fd)

    def read(self, parts: tuple[str, ...]) -> tuple[bytes, int]:
        """The bytes and the permission bits of the plain file at *parts*.

        Raises:
            RefusedPath: A link, a hard link or a special file.
            Trouble: It is missing, a directory, or larger than `MAX_FILE_BYTES`.
        """
        if not parts:
            raise Trouble("This is a directory; use list_directory.")
        fd = self._opened(parts, os.O_RDONLY | _CAREFUL)
        content, status = _plain_content(fd)
        return content, stat.S_IMODE(status.st_mode)

    def read_if_there(self, parts: tuple[str, ...]) -> tuple[bytes, int] | None:
        """As `read`, but None when nothing is there."""
        try:
            with self.directory(parts[:-1]) as directory_fd:
                os.stat(parts[-1], dir_fd=directory_fd, follow_symlinks=False)
        except (Missing, FileNotFoundError):
            return None
        return self.read(parts)

    def drop_empty(self, parts: tuple[str, ...]) -> None:
        """Remove the directory at *parts* if nothing is in it, and then those above it in the same way.

        Raises:
            RefusedPath, Trouble: As `directory`.
        """
        for length in range(len(parts), 0, -1):
            try:
                with self.directory(parts[: length - 1]) as above_fd:
                    os.rmdir(parts[length - 1], dir_fd=above_fd)
            except (Missing, OSError):
                return

    def check_shown(self, parts: tuple[str, ...]) -> None:
        """Let *parts* pass.

        Raises:
            RefusedPath: It is excluded.
        """
        if self.hides(parts):
            raise RefusedPath(EXCLUDED)

    def _opened(self, parts: tuple[str, ...], flags: int) -> int:
        self.check_shown(parts)
        try:
            return self._open(self.root_fd, parts, flags)
        except OSError as error:
            raise _explained(error, "/".join(parts)) from None


class Missing(Trouble):
    """Nothing is at that path."""


def read_in(directory_fd: int, name: str) -> tuple[bytes, os.stat_result]:
    """The bytes and the status of the plain file *name* in an open directory; no link is followed.

    Raises:
        RefusedPath, Trouble: As `Tree.read`.
        OSError: It cannot be opened.
    """
    return _plain_content(os.open(name, os.O_RDONLY | _CAREFUL, dir_fd=directory_fd))


def _step_into(here: int, part: str) -> int:
    """Exchange *here* for its directory *part*; *here* is closed only when that worked."""
    there = os.open(part, os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=here)
    mode = os.fstat(there).st_mode
    if not stat.S_ISDIR(mode):
        os.close(there)
        raise OSError(errno.ELOOP if stat.S_ISLNK(mode) else errno.ENOTDIR, "not a directory")
    os.close(here)
    return there


def _explained(error: OSError, path: str) -> Exception:
    if error.errno in _REFUSING:
        return RefusedPath(REFUSED)
    if error.errno == errno.ENOENT:
        return Missing(f"There is nothing at {path!r}.")
    if error.errno == errno.ENOTDIR:
        return Missing(f"{path!r} is not a directory, or a part of it is not one.")
    return Trouble(f"{path!r} cannot be opened: {os.strerror(error.errno or 0)}.")


def _plain_content(fd: int) -> tuple[bytes, os.stat_result]:
    """What *fd* holds; it is closed."""
    try:
        status = os.fstat(fd)
        _check_plain(status)
        if status.st_size > MAX_FILE_BYTES:
            raise Trouble(f"The file has {status.st_size} bytes; the tools open at most {MAX_FILE_BYTES}.")
        return _read_all(fd, status.st_size), status
    finally:
        os.close(fd)


def _check_plain(status: os.stat_result) -> None:
    if stat.S_ISDIR(status.st_mode):
        raise Trouble("This is a directory; use list_directory.")
    if not stat.S_ISREG(status.st_mode) or status.st_nlink > 1:
        raise RefusedPath(REFUSED)


def _read_all(fd: int, expected_bytes: int) -> bytes:
    pieces = []
    remaining = MAX_FILE_BYTES + 1
    while remaining and (piece := os.read(fd, min(remaining, expected_bytes + 1))):
        pieces.append(piece)
        remaining -= len(piece)
    content = b"".join(pieces)
    if len(content) > MAX_FILE_BYTES:
        raise Trouble(f"The file has more than {MAX_FILE_BYTES} bytes.")
    return content

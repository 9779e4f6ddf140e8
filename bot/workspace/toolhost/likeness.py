"""How a copy in which commands ran differs from the tree that the tools read, and its way back."""

import os
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO

from bot.domain.paths import is_git_spelling
from bot.workspace.removal import remove_tree
from bot.workspace.toolhost import places
from bot.workspace.toolhost.beneath import Hides, Tree
from bot.workspace.toolhost.places import Obstacle, Place

MAX_ENTRIES = 400_000
_CHUNK_BYTES = 1 << 20
_TYPE_AND_EXECUTE = 0o170111


class Kind(StrEnum):
    """What a command did to an entry of its copy."""

    CHANGED = "changed"
    DELETED = "deleted"
    NEW = "new"


@dataclass(frozen=True, slots=True)
class Difference:
    """One entry that is not as in the tree; of a new directory only its own name."""

    parts: tuple[str, ...]
    kind: Kind

    @property
    def path(self) -> str:
        """Its path, for people."""
        return "/".join(self.parts)


@dataclass(frozen=True, slots=True)
class _Both:
    """One directory in the tree, and the same in the copy."""

    parts: tuple[str, ...]
    tree_fd: int
    copy_fd: int
    names: list[str]
    """What stands in the tree's one."""


def differences(job: Path, place: Place, hides: Hides) -> list[Difference]:
    """What is not as in the tree of *job*, but for what *hides* covers; times and sizes speak for contents.

    Code inside can keep both and change a file unseen: it deceives nobody but whoever sent it, because a
    verification never begins with this copy.

    Raises:
        Obstacle: A link stands in place of a directory, or there are too many entries.
    """
    found: list[Difference] = []
    for both in _directories(job, place, hides):
        found += _compared(both, hides)
    return found


def bring_back(job: Path, place: Place, hides: Hides) -> list[Difference]:
    """Make *place* as the tools see the tree: nothing that *hides* covers; what is new there stays.

    Returns what is new; in an older copy that may be what the tools have deleted since, and is gone now.

    Raises:
        Obstacle: A directory or a link of the commands stands in the way.
    """
    new: list[Difference] = []
    for both in _directories(job, place, hides):
        _conceal(place.work, both.parts, both.copy_fd, hides)
        for difference in _compared(both, hides):
            if difference.kind is Kind.NEW:
                new.append(difference)
            else:
                _restore(both, difference.parts[-1])
    gone = [state for state in places.wanted(job) if state.content is None]
    places.apply(place, gone)
    return new


def conceal(place: Place, hides: Hides) -> None:
    """Remove from all of a new copy what *hides* covers, wherever `prepare` has put it.

    Raises:
        RefusedPath, Trouble, OSError: A directory cannot be entered, and nobody knows what is in it.
    """
    for root in (place.work, place.home):
        with places.opened(root) as root_fd:
            _conceal_below(root, Tree(root_fd), hides)


def _conceal_below(root: Path, copy: Tree, hides: Hides) -> None:
    waiting: list[tuple[str, ...]] = [()]
    while waiting:
        parts = waiting.pop()
        with copy.directory(parts) as here_fd:
            _conceal(root, parts, here_fd, hides)
            waiting += [(*parts, name) for name in _names(here_fd) if _is_directory(here_fd, name)]


def _conceal(root: Path, parts: tuple[str, ...], copy_fd: int, hides: Hides) -> None:
    """Remove from one directory of the copy what the model must not see."""
    for name in _names(copy_fd):
        if not hides((*parts, name)):
            continue
        if _is_directory(copy_fd, name):
            remove_tree(root.joinpath(*parts, name))
        else:
            with suppress(FileNotFoundError):
                os.unlink(name, dir_fd=copy_fd)


def _is_directory(directory_fd: int, name: str) -> bool:
    status = _status(directory_fd, name)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _directories(job: Path, place: Place, hides: Hides) -> Iterator[_Both]:
    """Each directory of the tree with its counterpart, parents first; a missing counterpart is left out."""
    with places.opened(job / "tree") as tree_fd, places.opened(place.work) as copy_fd:
        tree, copy = Tree(tree_fd), Tree(copy_fd)
        waiting: list[tuple[str, ...]] = [()]
        seen = 0
        while waiting:
            parts = waiting.pop()
            with tree.directory(parts) as here_fd, copy.directory(parts) as there_fd:
                names = _names(here_fd)
                yield _Both(parts, here_fd, there_fd, names)
                seen += len(names)
                below = [(*parts, name) for name in names if _is_directory_in_both(here_fd, there_fd, name)]
                waiting += [each for each in below if not hides(each)]
            if seen > MAX_ENTRIES:
                raise Obstacle("there are too many files")


def _is_directory_in_both(here_fd: int, there_fd: int, name: str) -> bool:
    if is_git_spelling(name):
        return False
    here, there = _status(here_fd, name), _status(there_fd, name)
    return here is not None and there is not None and _are_directories(here, there)


def _are_directories(here: os.stat_result, there: os.stat_result) -> bool:
    return stat.S_ISDIR(here.st_mode) and stat.S_ISDIR(there.st_mode)


def _compared(both: _Both, hides: Hides) -> Iterator[Difference]:
    for name in sorted(name for name in both.names if not hides((*both.parts, name))):
        here, there = _status(both.tree_fd, name), _status(both.copy_fd, name)
        if here is None or is_git_spelling(name):
            continue
        if there is None:
            yield Difference((*both.parts, name), Kind.DELETED)
        elif not _is_alike(both, name, here, there):
            yield Difference((*both.parts, name), Kind.CHANGED)
    for name in sorted(set(_names(both.copy_fd)) - set(both.names)):
        if not hides((*both.parts, name)):
            yield Difference((*both.parts, name), Kind.NEW)


def _is_alike(both: _Both, name: str, here: os.stat_result, there: os.stat_result) -> bool:
    if stat.S_ISDIR(here.st_mode):
        return here.st_mode == there.st_mode
    if stat.S_ISLNK(here.st_mode) and stat.S_ISLNK(there.st_mode):
        return os.readlink(name, dir_fd=both.tree_fd) == os.readlink(name, dir_fd=both.copy_fd)
    if (here.st_mode & _TYPE_AND_EXECUTE, here.st_size) != (there.st_mode & _TYPE_AND_EXECUTE, there.st_size):
        return False
    if there.st_nlink > 1 or not stat.S_ISREG(here.st_mode):
        return False
    return here.st_mtime_ns == there.st_mtime_ns or _has_same_bytes(both, name)


def _has_same_bytes(both: _Both, name: str) -> bool:
    """Whether a file was only touched, or written as it was."""
    with _reading(both.tree_fd, name) as one, _reading(both.copy_fd, name) as other:
        while piece := one.read(_CHUNK_BYTES):
            if piece != other.read(_CHUNK_BYTES):
                return False
        return not other.read(1)


def _reading(directory_fd: int, name: str) -> BinaryIO:
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    return os.fdopen(os.open(name, flags, dir_fd=directory_fd), "rb")


def _restore(both: _Both, name: str) -> None:
    here, there = _status(both.tree_fd, name), _status(both.copy_fd, name)
    try:
        if here is not None and there is not None and _are_directories(here, there):
            os.chmod(name, stat.S_IMODE(here.st_mode), dir_fd=both.copy_fd)
            return
        if there is not None and stat.S_ISDIR(there.st_mode):
            raise Obstacle(f"{name} is a directory now")
        if there is not None:
            os.unlink(name, dir_fd=both.copy_fd)
        if here is None:
            return
        if stat.S_ISLNK(here.st_mode):
            os.symlink(os.readlink(name, dir_fd=both.tree_fd), name, dir_fd=both.copy_fd)
        elif stat.S_ISDIR(here.st_mode):
            places.make_directory(both.copy_fd, name)
        elif stat.S_ISREG(here.st_mode):
            _copy(both, name, here)
    except OSError as error:
        raise Obstacle(f"{name}: {error.strerror}") from None


def _copy(both: _Both, name: str, here: os.stat_result) -> None:
    with _reading(both.tree_fd, name) as source:
        with os.fdopen(places.put(both.copy_fd, here.st_mode), "wb") as target:
            while piece := source.read(_CHUNK_BYTES):
                target.write(piece)
            target.flush()
            os.utime(target.fileno(), ns=(here.st_mtime_ns, here.st_mtime_ns))
        places.settle(both.copy_fd, name)


def _names(directory_fd: int) -> list[str]:
    return os.listdir(directory_fd)


def _status(directory_fd: int, name: str) -> os.stat_result | None:
    try:
        return os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
    except FileNotFoundError:
        return None

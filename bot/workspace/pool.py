"""Trees that wait for the next job of their repository, and the slots that own them.

A slot is a directory of its own, locked while a job has its tree. The tree itself is renamed into the job's
directory and back: a slot that is neither locked nor whole was left by a crash and is thrown away, so that
no half-written tree is ever used.
"""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bot.workspace.lock import make_directory, try_directory
from bot.workspace.record import Doubtful, Record
from bot.workspace.trash import Trash

_RECORD, _TREE, _SIZE = "record", "tree", "size"


@dataclass(frozen=True, slots=True)
class Slot:
    """The place of one tree; `fd` holds its lock."""

    path: Path
    fd: int

    def note_size(self, size_bytes: int) -> None:
        """Write down what the tree takes, or will take, for the disk's budget."""
        (self.path / _SIZE).write_text(str(size_bytes))


class Pool:
    """The slots of all repositories, below *root* by the repository's id."""

    def __init__(self, root: Path, trash: Trash) -> None:
        """Use *root*, which is made when it is first needed."""
        self._root = root
        self._trash = trash

    def reserve(self, repository_id: int) -> Slot:
        """A new slot, for a tree that is yet to be written."""
        directory = self._root / str(int(repository_id))
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        return Slot(*make_directory(directory))

    def take(self, repository_id: int, tree: Path) -> tuple[Slot, Record] | None:
        """Move the tree that was used last to *tree*; None when the repository has none that waits."""
        for path in sorted(self._slots(repository_id), key=used_at_ns, reverse=True):
            fd = try_directory(path)
            if fd is None:
                continue
            try:
                record = Record.load(path / _RECORD)
                (path / _TREE).rename(tree)
                (path / _RECORD).unlink()
                return Slot(path, fd), record
            except (Doubtful, OSError):
                self.drop(Slot(path, fd))
        return None

    def put(self, slot: Slot, tree: Path, record: Record) -> None:
        """Let *tree*, which is as *record* says, wait in *slot*; the lock ends."""
        record.save(slot.path / _RECORD)
        slot.note_size(record.disk_bytes)
        tree.rename(slot.path / _TREE)
        os.close(slot.fd)

    def drop(self, slot: Slot) -> None:
        """Throw a slot away with what is in it; the lock ends."""
        try:
            self._trash.take(slot.path)
        finally:
            os.close(slot.fd)

    def evict(self, path: Path) -> int:
        """Throw away the slot at *path*; returns the bytes that this frees, 0 when a job has its tree."""
        size_bytes = self.size_bytes(path)
        fd = try_directory(path)
        if fd is None:
            return 0
        self.drop(Slot(path, fd))
        return size_bytes

    def is_busy(self, repository_id: int) -> bool:
        """Whether a job has a tree of the repository."""
        return any(_is_away(path) for path in self._slots(repository_id))

    def oldest(self) -> list[Path]:
        """All slots, the one used longest ago first."""
        return sorted(self.slots(), key=used_at_ns)

    def slots(self) -> Iterator[Path]:
        """All slots."""
        for directory in _children(self._root):
            yield from _children(directory)

    @staticmethod
    def size_bytes(path: Path) -> int:
        """What the tree of the slot at *path* takes."""
        try:
            return int((path / _SIZE).read_text())
        except (OSError, ValueError):
            return 0

    def _slots(self, repository_id: int) -> list[Path]:
        return _children(self._root / str(int(repository_id)))


def _is_away(path: Path) -> bool:
    """Whether a job has the tree; what a crash left does not count."""
    fd = try_directory(path)
    if fd is None:
        return True
    os.close(fd)
    return False


def used_at_ns(path: Path) -> int:
    """When *path* changed last; 0 when it has gone."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def _children(directory: Path) -> list[Path]:
    try:
        return sorted(directory.iterdir())
    except OSError:
        return []

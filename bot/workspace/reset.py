"""Make a tree the files of a commit again, writing only what differs; nothing that a job left remains.

What does not belong there is renamed out of the tree, whatever it is, and deleted later. A file that is
not exactly as we wrote it is replaced by a new one. No program of git touches the tree. Whatever is in
doubt raises `Doubtful` (or `OSError`), and the whole tree is thrown away.
"""

import itertools
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from bot.workspace.listing import LINK_MODE, SUBMODULE_MODE, Commit, Entry
from bot.workspace.record import Doubtful, Kept, Record, clock_ns, is_ctime_trusted, object_id
from bot.workspace.sight import Sight, give, opened, sights

_EXECUTABLE_MODE = "100755"


def first_record(tree: Path, commit: Commit, uid: int) -> Record:
    """The record of a *tree* that git has just written for *commit*.

    Raises:
        Doubtful: It is not all of the commit, and nothing else.
    """
    nothing = {path: Kept(entry.mode, entry.oid, 0, 0, 0, 0) for path, entry in commit.entries.items()}
    layout = Record(commit.sha, nothing, 0, 0, is_ctime_trusted=False).layout
    files = {path: kept for path, kept in nothing.items() if kept.mode == SUBMODULE_MODE}
    with _Root(tree) as root:
        for sight in sights(root.fd, layout, uid):
            if sight.kept is None or sight.status is None:
                raise Doubtful("git wrote something else")
            files[sight.path] = Kept.of(sight.kept.mode, sight.kept.oid, sight.status)
    return _record(tree, commit, files)


def check(tree: Path, record: Record, uid: int) -> None:
    """Let a *tree* pass that nobody has touched since its *record* was made.

    Raises:
        Doubtful: Something is there that was not, or is not there, or has changed.
    """
    with _Root(tree) as root:
        for sight in sights(root.fd, record.layout, uid):
            if sight.kept is None or sight.status is None or not sight.kept.is_same(sight.status):
                raise Doubtful("a tree that nobody used has changed")


def clean(tree: Path, record: Record, uid: int, strays: Path) -> list[str]:
    """Take out of *tree* what is not as in *record*, into the directory *strays*; returns the missing paths.

    Raises:
        Doubtful, OSError: It is no tree to keep.
    """
    missing: list[str] = []
    numbers = itertools.count()
    strays_fd = os.open(strays, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        with _Root(tree) as root:
            for sight in sights(root.fd, record.layout, uid):
                if not _is_unchanged(sight, record):
                    _take_out(sight, str(next(numbers)), strays_fd)
                    missing += [sight.path] if sight.kept is not None else []
    finally:
        os.close(strays_fd)
    return missing


def difference(record: Record, commit: Commit) -> tuple[list[str], list[str]]:
    """What of *record* must go, and what of *commit* must be written."""
    old, new = record.files, commit.entries
    gone = [path for path, kept in old.items() if new.get(path) != (kept.mode, kept.oid)]
    wanted = [path for path, entry in new.items() if path not in old or old[path][:2] != entry]
    return gone, wanted


def rewrite(
    tree: Path,
    record: Record,
    goal: Commit | Record,
    uid: int,
    *,
    gone: list[str],
    contents: Mapping[str, bytes],
) -> Record:
    """Remove *gone* from *tree*, write *contents* (bytes by path) as they are in *goal*; the new record.

    Raises:
        OSError: Something stands in the way: it is no tree to keep.
    """
    entries = goal.entries
    files = {path: kept for path, kept in record.files.items() if path in entries}
    with _Root(tree) as root:
        for path in gone:
            root.remove(path)
        for path, content in contents.items():
            files[path] = root.write(path, entries[path], content, uid)
    return _record(tree, goal, files)


def _record(tree: Path, goal: Commit | Record, files: Mapping[str, Kept]) -> Record:
    is_trusted = is_ctime_trusted(tree.parent)
    return Record(goal.sha, files, clock_ns(tree.parent), goal.disk_bytes, is_ctime_trusted=is_trusted)


def _take_out(sight: Sight, name: str, strays_fd: int) -> None:
    """Rename what stands there, if anything does; a link is renamed itself."""
    if sight.status is not None:
        os.rename(sight.name, name, src_dir_fd=sight.directory_fd, dst_dir_fd=strays_fd)


def _is_unchanged(sight: Sight, record: Record) -> bool:
    kept = sight.kept
    if kept is None or sight.status is None or not kept.is_same(sight.status):
        return False
    if record.proves(kept):
        return True
    return kept.oid == object_id(sight.name, sight.directory_fd, sight.status, kept.oid)


class _Root:
    """The root of a tree, open."""

    def __init__(self, tree: Path) -> None:
        self.fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self.fd)

    def remove(self, path: str) -> None:
        """Remove one file, link or submodule, and the directories that are empty then."""
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

    def write(self, path: str, entry: Entry, content: bytes, uid: int) -> Kept:
        """Make one file, link or submodule where nothing is."""
        *parents, name = path.split("/")
        if entry.mode == SUBMODULE_MODE:
            os.close(opened(self.fd, [*parents, name], uid))
            return Kept(entry.mode, entry.oid, 0, 0, 0, 0)
        directory_fd = opened(self.fd, parents, uid)
        try:
            if entry.mode == LINK_MODE:
                os.symlink(content, os.fsencode(name), dir_fd=directory_fd)
                _give_link(name, directory_fd, uid)
            else:
                _write(name, directory_fd, content, uid, is_executable=entry.mode == _EXECUTABLE_MODE)
            status = os.stat(name, dir_fd=directory_fd, follow_symlinks=False)
        finally:
            os.close(directory_fd)
        return Kept.of(entry.mode, entry.oid, status)


def _remove(name: str, directory_fd: int) -> None:
    try:
        os.unlink(name, dir_fd=directory_fd)
    except IsADirectoryError:
        os.rmdir(name, dir_fd=directory_fd)


def _give_link(name: str, directory_fd: int, uid: int) -> None:
    if os.geteuid() == 0:
        os.chown(name, uid, uid, dir_fd=directory_fd, follow_symlinks=False)


def _write(name: str, directory_fd: int, content: bytes, uid: int, *, is_executable: bool) -> None:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(name, flags, 0o600, dir_fd=directory_fd)
    with os.fdopen(fd, "wb") as file:
        file.write(content)
        file.flush()
        give(fd, uid)
        os.fchmod(fd, 0o755 if is_executable else 0o644)

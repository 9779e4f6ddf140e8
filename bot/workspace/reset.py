"""Make a tree the files of a commit again, writing only what differs; nothing that a job left remains.

What does not belong there is renamed out of the tree, whatever it is, and deleted later. A file that is
not exactly as we wrote it is replaced by a new one. No program of git touches the tree. Whatever is in
doubt raises `Doubtful` (or `OSError`), and the whole tree is thrown away.
"""

import itertools
import os
from collections.abc import Mapping
from pathlib import Path

from bot.workspace.listing import Commit
from bot.workspace.record import Doubtful, Kept, Record, clock_ns, is_ctime_trusted, object_id
from bot.workspace.sight import DIRECTORY_MODE, Sight, give, sights
from bot.workspace.writing import Contents, Root


def begin(tree: Path, sha: str, uid: int) -> Record:
    """Make the directory *tree*, with nothing in it, for the files of the commit *sha*."""
    tree.mkdir(mode=0o700)
    fd = os.open(tree, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        give(fd, uid)
        os.fchmod(fd, DIRECTORY_MODE)
    finally:
        os.close(fd)
    return Record(sha, {}, 0, 0, is_ctime_trusted=False)


def check(tree: Path, record: Record, uid: int) -> None:
    """Let a *tree* pass that nobody has touched since its *record* was made.

    Raises:
        Doubtful: Something is there that was not, or is not there, or has changed.
    """
    with Root(tree, uid) as root:
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
    with Root(tree, uid) as root, Root(strays, uid) as outside:
        for sight in sights(root.fd, record.layout, uid):
            if _is_unchanged(sight, record):
                continue
            _take_out(sight, str(next(numbers)), outside.fd)
            missing += [sight.path] if sight.kept is not None else []
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
    wanted: list[str],
    contents_fd: int | None,
) -> Record:
    """Remove *gone* from *tree*, write *wanted* as they are in *goal*; the new record.

    At *contents_fd*, which is closed at the end, is what `git cat-file --batch` says of the objects of
    *wanted*, in this order, submodules left out (None: there is none).

    Raises:
        OSError: Something stands in the way, or the disk is full: it is no tree to keep.
        ObjectMissing: A content is not there.
    """
    entries = goal.entries
    files = {path: kept for path, kept in record.files.items() if path in entries}
    with Contents(contents_fd) as contents, Root(tree, uid) as root:
        for path in gone:
            root.remove(path)
        for path in wanted:
            files[path] = root.write(path, entries[path], contents)
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

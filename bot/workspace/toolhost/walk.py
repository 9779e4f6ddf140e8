"""Go through the tree in order, without following links and without entering git's own directories."""

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from bot.domain.paths import RefusedPath, is_git_spelling
from bot.workspace.toolhost.beneath import Tree, Trouble

MAX_VISITED_ENTRIES = 400_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing in the tree: its path's components and its type bits."""

    parts: tuple[str, ...]
    mode: int
    target: str | None = None

    @property
    def is_directory(self) -> bool:
        """Whether it can be entered."""
        return stat.S_ISDIR(self.mode)

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file."""
        return stat.S_ISREG(self.mode)

    @property
    def label(self) -> str:
        """Its path as people write it: `dir/`, `file`, `link -> target`."""
        path = "/".join(self.parts)
        if self.is_directory:
            return path + "/"
        if self.target is not None:
            return f"{path} -> {self.target} (link, not followed)"
        return path if self.is_file else f"{path} (special file)"


def entries(tree: Tree, parts: tuple[str, ...], depth: int | None = None) -> Iterator[Entry]:
    """Everything below the directory *parts*, down to *depth* levels (None: all).

    Raises:
        RefusedPath: A link stands in the way to *parts*.
        Trouble: *parts* is no directory, or there are more than `MAX_VISITED_ENTRIES`.
    """
    waiting = [_children(tree, parts)]
    visited = 0
    while waiting:
        entry = next(waiting[-1], None)
        if entry is None:
            waiting.pop()
            continue
        visited += 1
        if visited > MAX_VISITED_ENTRIES:
            raise Trouble("There are too many files here; name a smaller directory.")
        yield entry
        if entry.is_directory and (depth is None or len(waiting) < depth):
            waiting.append(_reachable_children(tree, entry.parts))


def _reachable_children(tree: Tree, parts: tuple[str, ...]) -> Iterator[Entry]:
    """As `_children`; a directory that vanished or was swapped meanwhile counts as empty."""
    try:
        return _children(tree, parts)
    except (RefusedPath, Trouble):
        return iter(())


def _children(tree: Tree, parts: tuple[str, ...]) -> Iterator[Entry]:
    with tree.directory(parts) as directory_fd:
        with os.scandir(directory_fd) as found_entries:
            names = sorted(entry.name for entry in found_entries if not is_git_spelling(entry.name))
        found = [_entry(directory_fd, parts, name) for name in names if not tree.hides((*parts, name))]
    return iter([entry for entry in found if entry is not None])


def _entry(directory_fd: int, parts: tuple[str, ...], name: str) -> Entry | None:
    try:
        mode = os.stat(name, dir_fd=directory_fd, follow_symlinks=False).st_mode
        target = os.readlink(name, dir_fd=directory_fd) if stat.S_ISLNK(mode) else None
    except FileNotFoundError:
        return None
    return Entry((*parts, name), mode, target)

"""The text of a tree, kept in memory between searches and checked against the disk before each.

Files lie in blocks in the order of their paths, each text ending with a line feed, so that a search is one
pass over a few large byte strings. A block is read when a search comes to it, and read again when the status
of one of its files has changed. Nothing is followed, executed or configured by what the tree holds.
"""

import os
import stat
import time
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Final, NamedTuple, TypeAlias

from bot.domain import masks
from bot.domain.paths import RefusedPath, is_git_spelling
from bot.workspace.toolhost.beneath import MAX_FILE_BYTES, Tree, Trouble, read_in

MAX_HELD_BYTES: Final = 64 * 1024 * 1024
"""Text kept between searches; what is beyond is read anew by each search that comes to it."""
BLOCK_BYTES: Final = 512 * 1024
MAX_FILES: Final = 400_000
_TOO_MANY_BYTES: Final = 8 * BLOCK_BYTES
_RACY_NANOSECONDS: Final = 100_000_000
"""A status younger than this when it was read may hide a later change of the same moment (git's "racy")."""

Parts: TypeAlias = tuple[str, ...]
Stamp: TypeAlias = tuple[int, int, int, int]


class Member(NamedTuple):
    """One plain file as it was last seen."""

    parts: Parts
    path: str
    stamp: Stamp


@dataclass(slots=True)
class _Directory:
    stamp: Stamp
    is_settled: bool
    children: list["_Child"]


@dataclass(slots=True)
class _Child:
    """Something in a directory: `member` is the plain file that it was when it was last seen."""

    path: str
    is_directory: bool
    member: Member | None = None


@dataclass
class Block:
    """Files that follow one another: their texts joined, and where each begins."""

    members: tuple[Member, ...]
    data: bytes
    starts: list[int]
    is_settled: bool
    _suspects: dict[int, bool] = field(default_factory=dict)

    @cached_property
    def is_ascii(self) -> bool:
        """Whether no text in it holds anything else."""
        return self.data.isascii()

    def lowered(self) -> bytes:
        """`data` with its ASCII letters in lower case; every place stays where it is."""
        return self.data.lower()

    def end(self, index: int) -> int:
        """Where in `data` the text of the member at *index* ends."""
        return self.starts[index + 1] if index + 1 < len(self.starts) else len(self.data)

    def text(self, index: int) -> bytes:
        """What the member at *index* holds; nothing when it is no text."""
        return self.data[self.starts[index] : self.end(index)]

    def may_hold_secret(self, index: int) -> bool:
        """Whether the member at *index* may hold a secret; looked for once."""
        found = self._suspects.get(index)
        if found is None:
            name = self.members[index].parts[-1]
            found = masks.is_env_file(name) or masks.is_suspicious(self.text(index))
            self._suspects[index] = found
        return found


class Corpus:
    """The text files of one tree."""

    def __init__(self, tree: Tree, max_held_bytes: int = MAX_HELD_BYTES) -> None:
        """Hold at most *max_held_bytes* of the text of *tree*; nothing is read before it is asked for."""
        self._tree = tree
        self._max_held_bytes = max_held_bytes
        self._directories: dict[str, _Directory] = {}
        self._members: list[Member] = []
        self._groups: list[tuple[Member, ...]] = []
        self._held: dict[Parts, Block] = {}

    def refresh(self) -> list[Member]:
        """All plain files as they are now, in the order of their paths.

        Raises:
            Trouble: There are more than `MAX_FILES`.
        """
        members = self._walk()
        if members != self._members:
            self._groups = _regrouped(self._groups, members)
            self._members = members
        kept = {group[0].parts: group for group in self._groups}
        self._held = {
            first: block
            for first, block in self._held.items()
            if block.is_settled and kept.get(first) == block.members
        }
        return members

    def forget(self) -> None:
        """Hold nothing, as in the beginning."""
        self._directories, self._members, self._groups, self._held = {}, [], [], {}

    def blocks(self, parts: Parts) -> Iterator[tuple[Block, range]]:
        """The blocks that hold files at or below *parts*, and which of their members those are."""
        for group in self._groups:
            wanted = below(group, parts)
            if wanted:
                yield self._loaded(group), wanted

    def _loaded(self, group: tuple[Member, ...]) -> Block:
        block = self._held.get(group[0].parts)
        if block is None:
            block = _read(self._tree, group)
            held_bytes = sum(len(other.data) for other in self._held.values())
            if held_bytes + len(block.data) <= self._max_held_bytes:
                self._held[group[0].parts] = block
        return block

    def _walk(self) -> list[Member]:
        known, self._directories = self._directories, {}
        members: list[Member] = []
        levels = [iter(self._children("", os.fstat(self._tree.root_fd), known))]
        while levels:
            entered = self._files_before_directory(levels[-1], members)
            if len(members) > MAX_FILES:
                raise Trouble("There are too many files here to be searched.")
            if entered is None:
                levels.pop()
            else:
                levels.append(iter(self._children(*entered, known)))
        return members

    def _files_before_directory(
        self, children: Iterator[_Child], members: list[Member]
    ) -> tuple[str, os.stat_result] | None:
        """Add the plain files of *children* up to the next directory, and return that with its status."""
        root_fd = self._tree.root_fd
        for child in children:
            try:
                status = os.stat(child.path, dir_fd=root_fd, follow_symlinks=False)
            except OSError:
                continue
            if child.is_directory:
                if stat.S_ISDIR(status.st_mode):
                    return child.path, status
            elif stat.S_ISREG(status.st_mode):
                stamp = _stamp(status)
                if child.member is None or child.member.stamp != stamp:
                    child.member = Member(tuple(child.path.split("/")), child.path, stamp)
                members.append(child.member)
        return None

    def _children(self, path: str, status: os.stat_result, known: dict[str, _Directory]) -> list[_Child]:
        stamp = _stamp(status)
        found = known.get(path)
        if found is None or found.stamp != stamp or not found.is_settled:
            is_settled = _is_settled(status)
            found = _Directory(stamp, is_settled, _scanned(self._tree, path))
        self._directories[path] = found
        return found.children


def _scanned(tree: Tree, path: str) -> list[_Child]:
    """The directories and plain files in the directory *path*, without links and without git's own."""
    parts = tuple(path.split("/")) if path else ()
    above = path + "/" if path else ""
    try:
        with tree.directory(parts) as directory_fd, os.scandir(directory_fd) as found:
            entries = sorted(
                (entry.name, entry.is_dir(follow_symlinks=False))
                for entry in found
                if not entry.is_symlink() and not is_git_spelling(entry.name)
            )
    except (OSError, RefusedPath, Trouble):
        return []
    return [
        _Child(above + name, is_directory) for name, is_directory in entries if not tree.hides((*parts, name))
    ]


def _regrouped(groups: list[tuple[Member, ...]], members: list[Member]) -> list[tuple[Member, ...]]:
    """*members* in groups that begin where *groups* began, so that few blocks change with a file."""
    keys = [member.parts for member in members]
    bounds = [bisect_left(keys, group[0].parts) for group in groups[1:]]
    cuts = [0, *bounds, len(members)]
    pieces = [tuple(members[start:end]) for start, end in pairwise(cuts)]
    regrouped: list[tuple[Member, ...]] = []
    for piece in pieces:
        is_large = sum(_size(member) for member in piece) > _TOO_MANY_BYTES
        regrouped += _grouped(piece) if is_large or not groups else [piece] * bool(piece)
    return regrouped


def _grouped(members: tuple[Member, ...]) -> list[tuple[Member, ...]]:
    groups: list[tuple[Member, ...]] = []
    first = size = 0
    for index, member in enumerate(members):
        size += _size(member)
        if size >= BLOCK_BYTES:
            groups.append(members[first : index + 1])
            first, size = index + 1, 0
    return [*groups, members[first:]] if first < len(members) else groups


def _size(member: Member) -> int:
    """What a member counts for in a block: its bytes, and something for being there."""
    return min(member.stamp[1], MAX_FILE_BYTES) + 64


def below(members: Sequence[Member], parts: Parts) -> range:
    """Which of *members*, in the order of their paths, are *parts* or lie below it."""
    if not parts:
        return range(len(members))
    depth = len(parts)
    first = bisect_left(members, parts, key=lambda member: member.parts)
    last = bisect_right(members, parts, lo=first, key=lambda member: member.parts[:depth])
    return range(first, last)


def _read(tree: Tree, members: tuple[Member, ...]) -> Block:
    texts: list[bytes] = []
    starts: list[int] = []
    position = 0
    is_settled = True
    for text, is_quiet in _texts(tree, members):
        is_settled = is_settled and is_quiet
        starts.append(position)
        position += len(text)
        texts.append(text)
    return Block(members, b"".join(texts), starts, is_settled)


def _texts(tree: Tree, members: tuple[Member, ...]) -> Iterator[tuple[bytes, bool]]:
    """The text of each member, ended by a line feed, and whether it is surely what the status says."""
    index = 0
    while index < len(members):
        above = members[index].parts[:-1]
        end = index
        while end < len(members) and members[end].parts[:-1] == above:
            end += 1
        try:
            with tree.directory(above) as directory_fd:
                read = [_text(directory_fd, member) for member in members[index:end]]
        except (RefusedPath, Trouble):
            read = [(b"", False)] * (end - index)
        yield from read
        index = end


def _text(directory_fd: int, member: Member) -> tuple[bytes, bool]:
    if member.stamp[1] > MAX_FILE_BYTES:
        return b"", True
    try:
        content, status = read_in(directory_fd, member.parts[-1])
    except (OSError, RefusedPath, Trouble):
        return b"", False
    is_quiet = _stamp(status) == member.stamp and _is_settled(status)
    if b"\0" in content:
        return b"", is_quiet
    return content if not content or content.endswith(b"\n") else content + b"\n", is_quiet


def _is_settled(status: os.stat_result) -> bool:
    return status.st_ctime_ns < time.time_ns() - _RACY_NANOSECONDS


def _stamp(status: os.stat_result) -> Stamp:
    return (status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)

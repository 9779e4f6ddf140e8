"""What one commit holds: its paths, checked before anything of it is written, and the sizes of its files."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from bot.domain.enums import Cause
from bot.domain.paths import is_git_spelling
from bot.errors import Permanent

MAX_TREE_BYTES = 1024**3
MAX_TREE_FILES = 200_000
MAX_LISTING_BYTES = 64 * 1024 * 1024
LINK_MODE = "120000"
SUBMODULE_MODE = "160000"
_MAX_LINK_BYTES = 4096
_BLOCK_BYTES = 4096

TOO_BIG = (
    "the repository is too big for this installation: one commit may hold 200,000 files and 1 GiB; "
    "take large files out of it (what Git LFS keeps is not fetched) and ask again"
)


class TooBig(Permanent):
    """The commit, or what a fetch of it would write, is beyond the limits; the words say what to do."""


class Entry(NamedTuple):
    """One path of a commit: git's mode in octal, and the object that stands there."""

    mode: str
    oid: str


@dataclass(frozen=True)
class Commit:
    """Everything that the tree of `sha` holds, and how many bytes each object of a file has."""

    sha: str
    entries: Mapping[str, Entry]
    sizes: Mapping[str, int]

    @cached_property
    def disk_bytes(self) -> int:
        """What its files take on a disk, about."""
        return sum(_BLOCK_BYTES + _rounded(self.sizes.get(entry.oid, 0)) for entry in self.entries.values())


def parsed(listing: bytes) -> tuple[dict[str, Entry], dict[str, int]]:
    """The entries of `git ls-tree -r -z`, by path, and with `-l` the sizes of the objects that are here.

    Names that are no text keep their bytes as surrogates.

    Raises:
        Permanent: Too many files, or a path that is git's own in some spelling.
    """
    found: dict[str, Entry] = {}
    sizes: dict[str, int] = {}
    known: set[str] = set()
    for record in listing.split(b"\0"):
        if not record:
            continue
        facts, name = record.split(b"\t", 1)
        mode, _, oid, *size = facts.decode("ascii").split()
        path = name.decode("utf-8", "surrogateescape")
        _check_path(path, known)
        found[path] = Entry(mode, oid)
        if size and size[0].isdigit():
            sizes[oid] = int(size[0])
        if len(found) > MAX_TREE_FILES:
            raise too_big()
    return found, sizes


def contents(entries: Mapping[str, Entry]) -> set[str]:
    """The objects of all files and links; a submodule's commit is not in the repository."""
    return {entry.oid for entry in entries.values() if entry.mode != SUBMODULE_MODE}


def check_sizes(entries: Mapping[str, Entry], sizes: Mapping[str, int]) -> None:
    """Let a tree pass that may be written.

    Raises:
        Permanent: Too many bytes, or a link that is longer than any path.
    """
    if _total(entries.values(), sizes) > MAX_TREE_BYTES:
        raise too_big()
    for entry in entries.values():
        if entry.mode == LINK_MODE and sizes[entry.oid] > _MAX_LINK_BYTES:
            raise _refused("a link in the commit is longer than any path")


def too_big() -> TooBig:
    """The refusal, with the limits and what to do."""
    return TooBig(TOO_BIG, cause=Cause.SANDBOX_ERROR)


def _total(entries: Iterable[Entry], sizes: Mapping[str, int]) -> int:
    return sum(sizes[entry.oid] for entry in entries if entry.mode != SUBMODULE_MODE)


def _rounded(size_bytes: int) -> int:
    return -(-size_bytes // _BLOCK_BYTES) * _BLOCK_BYTES


def _check_path(path: str, known: set[str]) -> None:
    for part in path.split("/"):
        if part in known:
            continue
        if part in {"", ".", ".."} or is_git_spelling(part):
            raise _refused("a path in the commit is named like git's own directory")
        known.add(part)


def _refused(words: str) -> Permanent:
    return Permanent(f"{words}; it is not checked out", cause=Cause.SANDBOX_ERROR)

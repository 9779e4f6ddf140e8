"""Private copies of the checkout in which strangers' code may write: made, brought up to date, compared.

No process of a sandbox lives while this runs, so nothing moves under it; yet what one has left is hostile,
so every path is opened beneath its copy, and no link is followed.
"""

import os
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bot.domain.paths import RefusedPath, check_writable, split
from bot.workspace import sandbox
from bot.workspace.toolhost.beneath import Missing, Tree, Trouble
from bot.workspace.toolhost.originals import Originals

COPY_TIMEOUT_SECONDS = 300
_DRAFT = ".issuewright-draft"
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class Obstacle(Exception):
    """Something stands where a file of the change belongs; its text says where."""


@dataclass(frozen=True, slots=True)
class Place:
    """One copy: `work` is seen as /work inside, `home` as the home directory."""

    root: Path

    @property
    def work(self) -> Path:
        """The copy of the checkout."""
        return self.root / "work"

    @property
    def home(self) -> Path:
        """Where programs keep their caches."""
        return self.root / "home"


@dataclass(frozen=True, slots=True)
class State:
    """A file that the tools have touched, as it is to be: `content` None when it is not to be there."""

    parts: tuple[str, ...]
    content: bytes | None
    mode: int


def fresh(job: Path, root: Path, *, at_base: bool, as_before: frozenset[str] = frozenset()) -> Place:
    """A new copy at *root*: of what `prepare` made, else of the tree; at the base, or with the change.

    The paths *as_before* are as in the base all the same.

    Raises:
        Obstacle: The change does not fit on what `prepare` left.
        OSError, subprocess.SubprocessError: It cannot be copied (a full disk, say).
    """
    place = Place(root)
    prepared = job / "prepared"
    if prepared.is_dir():
        _run("cp", "-a", "--reflink=auto", "--", str(prepared), str(root))
        states = [] if at_base else [s for s in wanted(job) if "/".join(s.parts) not in as_before]
    else:
        root.mkdir(mode=0o700)
        _run("cp", "-a", "--reflink=auto", "--", str(job / "tree"), str(place.work))
        place.home.mkdir(mode=0o700)
        states = [s for s in original(job) if at_base or "/".join(s.parts) in as_before]
    apply(place, states)
    claim(place)
    return place


def claim(place: Place) -> None:
    """Let the code inside own everything in *place*."""
    if os.geteuid() == 0:
        owner = f"{sandbox.sandbox_uid()}:{sandbox.sandbox_uid()}"
        _run("chown", "-R", "-h", "-P", owner, "--", str(place.work), str(place.home))


def make_readable(place: Place) -> None:
    """Let *place* be copied by its owner, whatever permissions the code inside has set."""
    _run("chmod", "-R", "u+rwX", "--", str(place.root))


def original(job: Path) -> Iterator[State]:
    """What the tools have touched, as it was in the base."""
    with opened(job / "originals") as originals_fd:
        for kept in Originals(originals_fd):
            yield State(_checked(kept.path), kept.content, kept.mode)


def wanted(job: Path) -> Iterator[State]:
    """What the tools have touched, as it is now: with the base, exactly what will be published."""
    with opened(job / "tree") as tree_fd:
        tree = Tree(tree_fd)
        for kept in original(job):
            now = tree.read_if_there(kept.parts)
            yield State(kept.parts, None, kept.mode) if now is None else State(kept.parts, *now)


def apply(place: Place, states: list[State]) -> None:
    """Bring *states* about in *place*; raises Obstacle."""
    with opened(place.work) as work_fd:
        work = Tree(work_fd)
        for state in states:
            try:
                remove(work, state.parts) if state.content is None else _write(work, state)
            except (RefusedPath, Trouble, OSError):
                path = "/".join(state.parts)
                raise Obstacle(f"{path} cannot be put where something else stands now") from None


def remove(work: Tree, parts: tuple[str, ...]) -> None:
    """Take a file away, and the directories that are empty without it, as git would."""
    with suppress(Missing, FileNotFoundError), work.directory(parts[:-1]) as directory_fd:
        os.unlink(parts[-1], dir_fd=directory_fd)
    work.drop_empty(parts[:-1])


def put(directory_fd: int, mode: int) -> int:
    """A new empty file that `settle` will give its name; gives its descriptor."""
    with suppress(FileNotFoundError):
        os.unlink(_DRAFT, dir_fd=directory_fd)
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    fd = os.open(_DRAFT, flags, 0o600, dir_fd=directory_fd)
    os.fchmod(fd, stat.S_IMODE(mode) & 0o777)
    if os.geteuid() == 0:
        os.fchown(fd, sandbox.sandbox_uid(), sandbox.sandbox_uid())
    return fd


def settle(directory_fd: int, name: str) -> None:
    """Move the file of `put` to *name*; a link or a hard link there is replaced, never followed."""
    os.replace(_DRAFT, name, src_dir_fd=directory_fd, dst_dir_fd=directory_fd)


def make_directory(directory_fd: int, name: str) -> None:
    """A directory of the code inside; one that is there already is left."""
    with suppress(FileExistsError):
        os.mkdir(name, 0o755, dir_fd=directory_fd)
        if os.geteuid() == 0:
            os.chown(name, sandbox.sandbox_uid(), sandbox.sandbox_uid(), dir_fd=directory_fd)


@contextmanager
def opened(directory: Path) -> Iterator[int]:
    """A descriptor of *directory*."""
    fd = os.open(directory, _DIRECTORY)
    try:
        yield fd
    finally:
        os.close(fd)


def _write(work: Tree, state: State) -> None:
    for length in range(len(state.parts) - 1):
        with work.directory(state.parts[:length]) as directory_fd:
            make_directory(directory_fd, state.parts[length])
    with work.directory(state.parts[:-1]) as directory_fd:
        with os.fdopen(put(directory_fd, state.mode), "wb") as file:
            file.write(state.content or b"")
        settle(directory_fd, state.parts[-1])


def _checked(path: str) -> tuple[str, ...]:
    """The components of a path that the file server has named; it may be nobody's friend."""
    parts = split(path)
    check_writable(parts)
    return parts


def _run(*argv: str) -> None:
    """One program of ours on a copy, told nothing and heard nothing."""
    subprocess.run(
        argv,
        env={"PATH": sandbox.SEARCH_PATH},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=COPY_TIMEOUT_SECONDS,
        check=True,
    )

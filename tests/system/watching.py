"""A look at every process of the product, many times a second: what its neighbours could see of it."""

import os
import re
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

EVERY_SECONDS: Final = 0.02
_KINDS: Final = (
    ("web", re.compile(rb"-m\0bot\.app\0web")),
    ("worker", re.compile(rb"-m\0bot\.app\0worker")),
    ("prepare", re.compile(rb"-m\0bot\.app\0prepare")),
    ("supervisor", re.compile(rb"-m\0bot\.cli\.main\0serve")),
    ("tool host", re.compile(rb"-m\0bot\.workspace\.toolhost")),
    ("launcher", re.compile(rb"\A[^\0]*bwrap\0")),
    ("git fetch", re.compile(rb"\Agit\0.*\0fetch\0", re.DOTALL)),
    ("git", re.compile(rb"\A[^\0]*git[^\0]*\0")),
)


@dataclass(slots=True)
class Seen:
    """What was seen of one kind of process: its process ids, environments and command lines."""

    pids: set[int] = field(default_factory=set)
    environments: set[bytes] = field(default_factory=set)
    command_lines: set[bytes] = field(default_factory=set)
    owners: set[int] = field(default_factory=set)


class Watch:
    """Samples the descendants of one process until it is left."""

    def __init__(self, root_pid: int) -> None:
        """Watch *root_pid* and everything below it."""
        self.kinds: dict[str, Seen] = defaultdict(Seen)
        self._root_pid = root_pid
        self._is_over = threading.Event()

    @contextmanager
    def running(self) -> Iterator["Watch"]:
        """Look while the block runs."""
        thread = threading.Thread(target=self._look_again_and_again)
        thread.start()
        try:
            yield self
        finally:
            self._is_over.set()
            thread.join()

    def _look_again_and_again(self) -> None:
        while not self._is_over.wait(EVERY_SECONDS):
            for pid in family(self._root_pid):
                self._look_at(pid)

    def _look_at(self, pid: int) -> None:
        place = Path("/proc", str(pid))
        try:
            command_line = (place / "cmdline").read_bytes()
            environment = _read_unless_closed(place / "environ")
            owner = (place / "environ").stat().st_uid
            if (place / "cmdline").read_bytes() != command_line:
                return  # it has just begun another program: the next look sees which
        except OSError:
            return
        seen = self.kinds[kind_of(command_line)]
        seen.pids.add(pid)
        seen.environments.add(environment)
        seen.command_lines.add(command_line)
        seen.owners.add(owner)


def _read_unless_closed(path: Path) -> bytes:
    """What *path* holds; nothing where a process has closed itself to its own account, as ours do."""
    try:
        return path.read_bytes()
    except PermissionError:
        return b""


def kind_of(command_line: bytes) -> str:
    """Which of the product's processes has this command line."""
    return next((kind for kind, pattern in _KINDS if pattern.search(command_line)), "sandboxed code")


def family(root_pid: int) -> list[int]:
    """*root_pid* and all processes below it."""
    children: dict[int, list[int]] = defaultdict(list)
    for name in _numbers():
        children[_parent(name)].append(int(name))
    found = [root_pid]
    for pid in found:
        found += children[pid]
    return found


def commands_with(word: str) -> list[int]:
    """The processes of this machine whose command line holds *word*."""
    return [int(name) for name in _numbers() if word.encode() in _command(name)]


def gone_within(word: str, seconds: float) -> bool:
    """Whether no process with *word* in its command line is left after *seconds* at most."""
    end = time.monotonic() + seconds
    while commands_with(word) and time.monotonic() < end:
        time.sleep(EVERY_SECONDS)
    return not commands_with(word)


def _numbers() -> list[str]:
    """The names of all processes in /proc."""
    return [entry.name for entry in os.scandir("/proc") if entry.name.isdigit()]


def _parent(name: str) -> int:
    try:
        return int(Path("/proc", name, "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return 0


def _command(name: str) -> bytes:
    try:
        return Path("/proc", name, "cmdline").read_bytes()
    except OSError:
        return b""

"""A control group around each sandbox, where the service may make one: all its memory, processes, its end.

https://docs.kernel.org/admin-guide/cgroup-v2.html; a systemd unit hands one over with `Delegate=yes` and
`DelegateSubgroup=`: then our own group is a leaf, and its parent is ours to divide.
"""

import itertools
import os
import re
import select
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

END_TIMEOUT_SECONDS = 5.0
NEEDED = frozenset({"memory", "pids"})
_WANTED = ("memory", "pids", "cpu")
_PREFIX = "issuewright-sandbox-"
_COUNT = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Group:
    """One group; everything in it ends with `close`."""

    path: Path

    def add(self, pid: int) -> None:
        """Put a process in; what it starts from then on is in it too. Raises OSError."""
        (self.path / "cgroup.procs").write_text(str(pid))

    def close(self) -> None:
        """Kill whatever is in it and remove it; what resists is left for the next `sweep`."""
        with suppress(OSError):
            (self.path / "cgroup.kill").write_text("1")
        deadline = time.monotonic() + END_TIMEOUT_SECONDS
        with suppress(OSError):
            while _is_populated(self.path) and (left := deadline - time.monotonic()) > 0:
                _wait_for_event(self.path, left)
            self.path.rmdir()


def make(parent: Path, *, memory_bytes: int, processes: int) -> Group:
    """A new group below *parent* with these limits. Raises OSError."""
    path = parent / f"{_PREFIX}{os.getpid()}-{next(_COUNT)}"
    path.mkdir()
    try:
        (path / "memory.max").write_text(str(memory_bytes))
        (path / "pids.max").write_text(str(processes))
        for name, value in (("memory.swap.max", "0"), ("memory.oom.group", "1"), ("cpu.weight", "20")):
            with suppress(OSError):  # not in every kernel, or not handed over
                (path / name).write_text(value)
    except OSError:
        path.rmdir()
        raise
    return Group(path)


def parent() -> Path | None:
    """Where groups may be made, with memory and processes counted; None where nothing is handed over."""
    mount, own = _mount(Path("/proc/self/mountinfo").read_text()), _own(Path("/proc/self/cgroup").read_text())
    if mount is None or own is None:
        return None
    here = mount / own.lstrip("/")
    is_whole = here == mount and not (mount / "cgroup.type").exists()
    return ready(here if is_whole else here.parent) if is_whole or here != mount else None


def ready(place: Path) -> Path | None:
    """*place* when its groups are ours to make and count what must be counted; else None."""
    try:
        if not set((place / "cgroup.controllers").read_text().split()) >= NEEDED:
            return None
        for name in _WANTED:
            with suppress(OSError):
                (place / "cgroup.subtree_control").write_text(f"+{name}")
        is_counting = set((place / "cgroup.subtree_control").read_text().split()) >= NEEDED
        return place if is_counting and os.access(place, os.W_OK) else None
    except OSError:
        return None


def sweep(place: Path) -> None:
    """Remove the groups of brokers that are gone, and kill what still runs in them."""
    for path in place.glob(f"{_PREFIX}*"):
        pid = re.fullmatch(rf"{_PREFIX}(\d+)-\d+", path.name)
        if pid is not None and not Path(f"/proc/{pid[1]}").exists():
            Group(path).close()


def _own(text: str) -> str | None:
    """The path of our group in the unified hierarchy, from /proc/self/cgroup."""
    found = re.search(r"^0::(/.*)$", text, re.MULTILINE)
    return found[1] if found else None


def _mount(text: str) -> Path | None:
    """Where the unified hierarchy is mounted, from /proc/self/mountinfo."""
    found = re.search(r"^\S+ \S+ \S+ \S+ (\S+) .* - cgroup2 ", text, re.MULTILINE)
    return Path(found[1]) if found else None


def _is_populated(path: Path) -> bool:
    return "populated 1" in (path / "cgroup.events").read_text()


def _wait_for_event(path: Path, seconds: float) -> None:
    """Until the kernel says that something about the group has changed."""
    with (path / "cgroup.events").open("rb") as events:
        events.read()
        poller = select.poll()
        poller.register(events, select.POLLPRI)
        poller.poll(min(seconds, 0.2) * 1000)

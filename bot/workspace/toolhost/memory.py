"""How much memory everything in a sandbox takes together, where no control group counts it for us."""

import re
from collections.abc import Iterator
from pathlib import Path

MAX_SEEN_PROCESSES = 2_000

_FIELDS = re.compile(rb"^Rss(Anon|Shmem):\s+(\d+) kB", re.MULTILINE)


def used_bytes(first_pid: int) -> int:
    """What *first_pid* and everything below it hold: each its own memory, and the largest shared piece once.

    All that runs in a process namespace descends from its first process. Whoever ends meanwhile counts as 0.
    """
    own_kib, shared_kib = 0, 0
    for pid in _below(first_pid):
        fields = dict(_FIELDS.findall(_read(Path(f"/proc/{pid}/status"))))
        own_kib += int(fields.get(b"Anon", 0))
        shared_kib = max(shared_kib, int(fields.get(b"Shmem", 0)))
    return (own_kib + shared_kib) * 1024


def _below(first_pid: int) -> Iterator[int]:
    """*first_pid* and its descendants, `MAX_SEEN_PROCESSES` at most."""
    waiting = [first_pid]
    for _ in range(MAX_SEEN_PROCESSES):
        if not waiting:
            return
        pid = waiting.pop()
        yield pid
        for task in _tasks(pid):
            waiting += [int(word) for word in _read(task / "children").split()]


def _tasks(pid: int) -> list[Path]:
    try:
        return list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:
        return []


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""

"""Run one program to its end or its deadline, and keep the head and the tail of what it says."""

import json
import os
import select
import selectors
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass

from bot.workspace.toolhost import memory
from bot.workspace.toolhost.cgroup import Group
from bot.workspace.toolhost.room import CHECK_SECONDS, Room

MAX_OUTPUT_BYTES = 1024 * 1024
END_TIMEOUT_SECONDS = 30.0
NICENESS = 10
"""Strangers' code gives way to the service; its children inherit this and cannot take it back."""

_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended: `exit_code` of the launcher (negative: a signal), its output, its time."""

    exit_code: int
    output: bytes
    is_timed_out: bool
    duration_ms: int
    is_out_of_room: bool = False
    is_out_of_memory: bool = False


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a program may take: the rest of the disk, and memory, which `group` counts, or we do."""

    room: Room | None = None
    memory_bytes: int | None = None
    group: Group | None = None


class Capped:
    """Keeps the first and the last half of `max_bytes` of what is fed."""

    def __init__(self, max_bytes: int) -> None:
        """Begin empty."""
        self._half = max_bytes // 2
        self._head = bytearray()
        self._tail = bytearray()
        self._dropped = 0

    def feed(self, data: bytes) -> None:
        """Take *data* in."""
        room = self._half - len(self._head)
        self._head += data[:room]
        self._tail += data[room:] if room > 0 else data
        excess = len(self._tail) - self._half
        if excess > self._half:
            self._drop(excess)

    def result(self) -> bytes:
        """What was kept, with the count of what was not."""
        excess = len(self._tail) - self._half
        if excess > 0:
            self._drop(excess)
        if not self._dropped:
            return bytes(self._head + self._tail)
        note = f"\n[… {self._dropped} bytes left out …]\n".encode()
        return bytes(self._head) + note + bytes(self._tail)

    def _drop(self, count: int) -> None:
        del self._tail[:count]
        self._dropped += count


def run(
    argv: list[str],
    *,
    pass_fds: tuple[int, ...],
    status_fd: int,
    timeout_seconds: float,
    bounds: Bounds = Bounds(),
) -> Outcome:
    """Run the launcher *argv* with an empty environment; everything in it is gone when this returns.

    Its standard input is a socket to us: a word from its side is answered with a line, once. While it
    waits for that line, our end would be its end of file. *status_fd* is where bwrap writes its status;
    whatever takes more than *bounds* is ended.

    Raises:
        OSError: It cannot be started.
    """
    started = time.monotonic()
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            process = subprocess.Popen(
                argv,
                env={},
                stdin=theirs.fileno(),
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                pass_fds=pass_fds,
                start_new_session=True,
            )
        running = _Running(process, ours, status_fd, bounds)
        try:
            is_timed_out = not running.drain(started + timeout_seconds) and running.is_within_bounds
        finally:
            running.end()
    duration_ms = round((time.monotonic() - started) * 1000)
    return Outcome(
        process.returncode,
        running.kept.result(),
        is_timed_out,
        duration_ms,
        running.is_out_of_room,
        running.is_out_of_memory,
    )


class _Running:
    """A launcher and what it started."""

    def __init__(
        self, process: subprocess.Popen[bytes], ours: socket.socket, status_fd: int, bounds: Bounds
    ) -> None:
        """Watch *process*; *ours* is our end of its standard input."""
        if process.stdout is None:
            raise ValueError("the launcher has no output pipe")
        self._process = process
        self._stdout = process.stdout
        self._ours = ours
        self._status_fd = status_fd
        self._launcher_fd = os.pidfd_open(process.pid)
        self._first_process_fd: int | None = None
        self._first_pid: int | None = None
        self._bounds = bounds
        self._next_check = time.monotonic()
        self.is_out_of_room = False
        self.is_out_of_memory = False
        self.kept = Capped(MAX_OUTPUT_BYTES)

    def drain(self, deadline: float) -> bool:
        """Read until the launcher has ended; False when the deadline, or a bound, came first."""
        output, word = self._stdout.fileno(), self._ours.fileno()
        with selectors.DefaultSelector() as selector:
            for fd in (output, word, self._launcher_fd):
                selector.register(fd, selectors.EVENT_READ)
            while (left := deadline - time.monotonic()) > 0 and self._stays_within():
                ready = {key.fd for key, _ in selector.select(min(left, CHECK_SECONDS))}
                if word in ready:
                    selector.unregister(word)
                    self._let_go()
                if output in ready and not self._take(output):
                    selector.unregister(output)
                if ready == {self._launcher_fd}:
                    return True
        return False

    @property
    def is_within_bounds(self) -> bool:
        """Whether it had taken too much of nothing at the last look."""
        return not self.is_out_of_room and not self.is_out_of_memory

    def _stays_within(self) -> bool:
        """Whether disk and memory are left; looked at now and then."""
        now = time.monotonic()
        if now < self._next_check:
            return self.is_within_bounds
        self._next_check = now + CHECK_SECONDS
        most, room = self._bounds.memory_bytes, self._bounds.room
        self.is_out_of_room = room is not None and room.is_used_up()
        if most is not None and self._first_pid is not None:
            self.is_out_of_memory = memory.used_bytes(self._first_pid) > most
        return self.is_within_bounds

    def end(self) -> None:
        """Kill the launcher; with it dies process 1 inside, and with that all others."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
        self._process.wait()
        self._stdout.close()
        os.close(self._launcher_fd)
        if self._first_process_fd is not None:
            select.select([self._first_process_fd], [], [], END_TIMEOUT_SECONDS)
            os.close(self._first_process_fd)

    def _take(self, output: int) -> bool:
        """Read what is there; False at the end."""
        data = os.read(output, _CHUNK_BYTES)
        self.kept.feed(data)
        return bool(data)

    def _let_go(self) -> None:
        """Answer the first process's word with a line, unless it ended instead."""
        with suppress(ConnectionError, ProcessLookupError):
            if not self._ours.recv(_CHUNK_BYTES):
                return
            pid = status_field(os.pread(self._status_fd, _CHUNK_BYTES, 0), "child-pid")
            if pid is not None:
                self._hold(pid)
            self._ours.sendall(b"go\n")

    def _hold(self, pid: int) -> None:
        """Bound the first process inside before it starts anything."""
        self._first_process_fd, self._first_pid = os.pidfd_open(pid), pid
        if self._bounds.group is not None:
            self._bounds.group.add(pid)
        os.setpriority(os.PRIO_PROCESS, pid, NICENESS)


def status_field(status: bytes, name: str) -> int | None:
    """The number *name* in bwrap's status lines; None when it is not there."""
    for line in status.splitlines():
        fields = json.loads(line)
        if name in fields:
            return int(fields[name])
    return None

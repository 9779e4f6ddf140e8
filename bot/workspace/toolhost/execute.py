"""Run one program to its end or its deadline, and keep the head and the tail of what it says."""

import os
import selectors
import signal
import subprocess
import time
from dataclasses import dataclass

MAX_OUTPUT_BYTES = 1024 * 1024
_CHUNK_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended: `exit_code` of the launcher (negative: a signal), its output, its time."""

    exit_code: int
    output: bytes
    is_timed_out: bool
    duration_ms: int


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


def run(argv: list[str], *, pass_fds: tuple[int, ...], timeout_seconds: float) -> Outcome:
    """Run *argv* with an empty environment and no input; its session is killed at the deadline.

    Raises:
        OSError: It cannot be started.
    """
    started = time.monotonic()
    process = subprocess.Popen(
        argv,
        env={},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        pass_fds=pass_fds,
        start_new_session=True,
    )
    kept = Capped(MAX_OUTPUT_BYTES)
    try:
        is_timed_out = not _drain(process, kept, started + timeout_seconds)
    finally:
        _kill(process)
    duration_ms = round((time.monotonic() - started) * 1000)
    return Outcome(process.returncode, kept.result(), is_timed_out, duration_ms)


def _drain(process: subprocess.Popen[bytes], kept: Capped, deadline: float) -> bool:
    """Read until the program has ended; False when the deadline came first."""
    if process.stdout is None:
        raise ValueError("the program has no output pipe")
    pidfd = os.pidfd_open(process.pid)
    with selectors.DefaultSelector() as selector:
        output = process.stdout.fileno()
        os.set_blocking(output, False)
        selector.register(output, selectors.EVENT_READ)
        selector.register(pidfd, selectors.EVENT_READ)
        try:
            while (left := deadline - time.monotonic()) > 0:
                ready = {key.fd for key, _ in selector.select(left)}
                if output in ready and not _take(output, kept):
                    selector.unregister(output)
                elif pidfd in ready and output not in ready:
                    return True
        finally:
            os.close(pidfd)
    return False


def _take(output: int, kept: Capped) -> bool:
    """Read what is there; False at the end."""
    data = os.read(output, _CHUNK_BYTES)
    kept.feed(data)
    return bool(data)


def _kill(process: subprocess.Popen[bytes]) -> None:
    """End the launcher; with it dies the whole process namespace (`--die-with-parent`)."""
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.wait()
    if process.stdout is not None:
        process.stdout.close()

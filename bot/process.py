"""What a child of the supervisor does first, and the doorbell by which siblings wake each other.

Standard library only: supervisor, web and worker all import it.
"""

import contextlib
import ctypes
import os
import signal
import socket
import sys
import time
from typing import Final

MAX_SETTINGS_BYTES: Final = 1024 * 1024
_DRAIN_BYTES: Final = 4096

# <https://man7.org/linux/man-pages/man2/prctl.2.html>; numbers from linux/prctl.h
_PR_SET_PDEATHSIG: Final = 1
_PR_SET_DUMPABLE: Final = 4


def set_undumpable() -> None:
    """Close this process's `/proc` entries and memory to neighbours of the same uid.

    Lasts until the next `execve`, so every process calls it for itself. Does nothing outside Linux.

    Raises:
        OSError: The kernel refused.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_DUMPABLE, 0)


def die_with_parent(parent_pid: int) -> None:
    """Ask the kernel for a SIGTERM when the process *parent_pid* ends; a second call changes nothing.

    Raises:
        SystemExit: The parent had ended before the kernel was asked.
        OSError: The kernel refused.
    """
    if sys.platform == "linux":
        _prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if os.getppid() != parent_pid:
        raise SystemExit(f"the parent process {parent_pid} has ended")


def read_settings(fd: int) -> str:
    """Read the text that the parent wrote into the pipe *fd*, to its end, and close it.

    Raises:
        ValueError: More than `MAX_SETTINGS_BYTES`, or no UTF-8.
    """
    with os.fdopen(fd, "rb") as pipe:
        content = pipe.read(MAX_SETTINGS_BYTES + 1)
    if len(content) > MAX_SETTINGS_BYTES:
        raise ValueError(f"the settings are larger than {MAX_SETTINGS_BYTES} bytes")
    return content.decode()


def enter_child(*, parent_pid: int, settings_fd: int) -> str:
    """Begin as a child of the supervisor: closed to neighbours before the secrets are read.

    Ctrl-C reaches the whole terminal group; only the supervisor acts on it, so SIGINT is ignored here.
    Returns the settings as the parent wrote them.

    Raises:
        SystemExit: The parent is gone.
        ValueError: The settings cannot be read.
    """
    set_undumpable()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    die_with_parent(parent_pid)
    return read_settings(settings_fd)


class Doorbell:
    """One end of a socket pair: whoever has written rows rings, whoever looks for them waits."""

    def __init__(self, end: socket.socket) -> None:
        """Take over *end*."""
        end.settimeout(0)
        end.set_inheritable(False)
        self._end = end
        self._is_cut = False

    @classmethod
    def from_fd(cls, fd: int) -> "Doorbell":
        """Take over the inherited descriptor *fd*."""
        return cls(socket.socket(fileno=fd))

    @staticmethod
    def pair() -> tuple[socket.socket, socket.socket]:
        """Make both ends; each process wraps its own in a `Doorbell`."""
        return socket.socketpair()

    def ring(self) -> None:
        """Wake whoever waits; returns at once, also when the bell is full or nobody holds the other end."""
        # Full: enough rings are waiting already. Cut: the other side polls its rows anyway.
        with contextlib.suppress(BlockingIOError, ConnectionError):
            self._end.send(b"\0")

    async def wait(self, timeout_seconds: float) -> bool:
        """Return True when it was rung (many rings count as one), False after *timeout_seconds*."""
        import asyncio  # noqa: PLC0415 - the supervisor, which never waits, does without it

        deadline = time.monotonic() + timeout_seconds
        if not self._is_cut:
            loop = asyncio.get_running_loop()
            try:
                async with asyncio.timeout(timeout_seconds):
                    rings = await loop.sock_recv(self._end, _DRAIN_BYTES)
            except TimeoutError:
                return False
            except ConnectionError:
                rings = b""
            if rings:
                return True
            self._is_cut = True
        await asyncio.sleep(max(0.0, deadline - time.monotonic()))
        return False

    def close(self) -> None:
        """Give the descriptor back; the second time does nothing."""
        self._end.close()


def _prctl(option: int, argument: int) -> None:
    """Call prctl(2) with one argument."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, ctypes.c_ulong(argument), 0, 0, 0) != 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))

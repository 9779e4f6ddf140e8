"""What the broker and the file server give up before they read a word from outside."""

import contextlib
import ctypes
import os
import resource
import signal
from dataclasses import dataclass
from pathlib import Path

from bot.workspace.toolhost import seccomp

NOBODY = 65534
"""The uid and gid of everything that handles a repository's files when the service itself is root."""

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_CLONE_NEWNET = 0x40000000

_FIRST_TO_END = "1000"
_LIMITS = (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NOFILE, 64),
    (resource.RLIMIT_FSIZE, 64 * 1024 * 1024),
    (resource.RLIMIT_AS, 2 * 1024 * 1024 * 1024),
    (resource.RLIMIT_NPROC, 0),
)


@dataclass(frozen=True, slots=True)
class Confinement:
    """What holds the file server: `has_own_network` when it has a network namespace of its own."""

    uid: int
    has_own_network: bool


def files_uid() -> int:
    """The uid that owns trees and runs the file server: nobody's for a root service, else our own."""
    return NOBODY if os.geteuid() == 0 else os.geteuid()


def confine_broker() -> None:
    """Make the broker unreadable for neighbours of its uid, and let it die with the worker.

    When memory runs out, the kernel ends the broker and what it started first, and not the service:
    https://man7.org/linux/man-pages/man5/proc_pid_oom_score_adj.5.html
    """
    with contextlib.suppress(OSError):  # some containers forbid it
        Path("/proc/self/oom_score_adj").write_text(_FIRST_TO_END)
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


def confine_file_server(parent_pid: int) -> Confinement:
    """Drop uid, network, programs and privileges; the order matters (a new uid resets prctl flags).

    Raises:
        OSError: Something that must hold could not be set.
    """
    program = seccomp.file_server_filter()
    has_own_network = False
    if os.geteuid() == 0:
        has_own_network = _leave_network()
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    os.umask(0o022)
    for limit, value in _LIMITS:
        resource.setrlimit(limit, (value, value))
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    _prctl(_PR_SET_DUMPABLE, 0)
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent_pid:
        raise ProcessLookupError("the broker is gone")
    seccomp.install(program)
    return Confinement(os.geteuid(), has_own_network)


def _leave_network() -> bool:
    """Enter an empty network namespace; in a container that forbids it, the filter holds alone."""
    libc = ctypes.CDLL(None, use_errno=True)
    return bool(libc.unshare(_CLONE_NEWNET) == 0)


def _prctl(option: int, value: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(option, value, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl {option}: {os.strerror(number)}")

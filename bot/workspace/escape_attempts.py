"""What the escape probe runs inside the sandbox: each attempt must fail, but one write must work."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CALL = "import ctypes, sys; libc = ctypes.CDLL(None); sys.exit({call} < 0)"
_MAKE_NAMESPACE = _CALL.format(call="libc.unshare(0x10000000)")
_BE_TRACED = _CALL.format(call="libc.ptrace(0, 0, None, None)")
# The number of the session's keyring, which is made if there is none.
_KEYS = _CALL.format(
    call="libc.syscall(219 if 'aarch64' in __import__('platform').machine() else 250, 0, -3, 1)"
)


def attempts(bait: dict[str, Any]) -> dict[str, Callable[[], bool]]:
    """The ways out, by what would have been reached; true means that it was."""
    return {
        "a file outside was read": lambda: bool(Path(bait["canary_path"]).read_bytes()),
        "the environment of another process was read": _reads_foreign_environment,
        "a private home was read": lambda: _reads_home(Path(bait["home"])),
        "a port of this machine was reached": lambda: _connects(bait["port"]),
        "a file outside was written": lambda: _writes(Path(bait["outside"])),
        "a system file was written": lambda: _writes(Path("/usr/issuewright-probe")),
        "the account file with passwords was read": lambda: bool(Path("/etc/shadow").read_bytes()),
        "a process outside was seen": _sees_foreign_process,
        "the sandbox's code is root": lambda: os.getuid() == 0,
        "a socket that no network namespace holds was made": _makes_host_socket,
        "a namespace of its own was made": lambda: _is_allowed(_MAKE_NAMESPACE),
        "another process could be traced": lambda: _is_allowed(_BE_TRACED),
        "the kernel's keys were reached": lambda: _is_allowed(_KEYS),
    }


def run(bait: dict[str, Any]) -> dict[str, Any]:
    """Try them all; `works` says whether the copy of the tree can be written."""
    escapes = [name for name, attempt in attempts(bait).items() if _succeeds(attempt)]
    return {"escapes": escapes, "works": _succeeds(lambda: _writes(Path("written")))}


def _succeeds(attempt: Callable[[], bool]) -> bool:
    try:
        return attempt()
    except OSError:
        return False


def _reads_foreign_environment() -> bool:
    """Whether any process but this one, its shell included, shows something beyond what we set."""
    own = set(os.environ)
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            names = {item.split(b"=", 1)[0].decode() for item in path.read_bytes().split(b"\0") if item}
        except OSError:
            continue
        if names - own:
            return True
    return False


def _reads_home(home: Path) -> bool:
    """Whether a file, and not only the way to our own Python, is in *home*."""
    return any(entry.is_file() for entry in home.iterdir())


def _connects(port: int) -> bool:
    with socket.create_connection(("127.0.0.1", port), timeout=2):
        return True


def _writes(path: Path) -> bool:
    path.write_text("written by the probe")
    return True


def _makes_host_socket() -> bool:
    """Whether code could speak to the machine's host, or to the kernel's rarely used families."""
    families = [getattr(socket, name, None) for name in ("AF_VSOCK", "AF_ALG", "AF_PACKET")]
    return any(_opens(family) for family in families if family is not None)


def _opens(family: int) -> bool:
    for kind in (socket.SOCK_STREAM, socket.SOCK_SEQPACKET, socket.SOCK_RAW):
        try:
            socket.socket(family, kind).close()
        except OSError:
            continue
        return True
    return False


def _is_allowed(code: str) -> bool:
    """Whether *code* ends well in a process of its own, which it may spoil."""
    done = subprocess.run([sys.executable, "-I", "-c", code], check=False, capture_output=True, timeout=20)
    return done.returncode == 0


def _sees_foreign_process() -> bool:
    return len(list(Path("/proc").glob("[0-9]*"))) > 8


if __name__ == "__main__":
    print(json.dumps(run(json.loads(Path("bait.json").read_text()))))  # noqa: T201 - its answer

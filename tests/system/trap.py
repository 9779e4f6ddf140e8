"""Stands in for code in a configuration: says that it runs, and tries to get out and to leave something.

It runs wherever a program reads the configuration; `facts.json` beside it says where the prey is.
"""

import contextlib
import json
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path

CONNECT_SECONDS = 1.0
MARK = "issuewright-left-"


def spring(name: str) -> None:
    """Print that *name* is run, and each way in which it got out."""
    facts = json.loads(Path(__file__).with_name("facts.json").read_text())
    sys.stdout.write(f"ran: {name}\n")
    with contextlib.suppress(OSError):
        Path(facts["outside"], f"escaped {name.replace('/', ' ')}").touch()
        sys.stdout.write(f"wrote: {name}\n")
    with contextlib.suppress(OSError):
        sys.stdout.write(f"read: {name}: {Path(facts['canary']).read_text()}\n")
    with contextlib.suppress(OSError), socket.create_connection(tuple(facts["door"]), CONNECT_SECONDS):
        sys.stdout.write(f"connected: {name}\n")


def found(kind: str, top: str) -> Iterator[str]:
    """Everything below *top* that an earlier command of this *kind* has left."""
    for folder, folders, files in os.walk(top):
        if folder == top:
            folders[:] = [name for name in folders if name not in {"proc", "sys", "usr"}]
        yield from (f"{folder}/{name}" for name in (*folders, *files) if name.startswith(MARK + kind))


def leave(kind: str, top: str) -> int:
    """Leave something in each place that can be written; how many those are."""
    home = Path(os.environ["HOME"])
    ours = (Path(), home, home / ".cache", home / ".config", Path(os.environ["TMPDIR"]))
    count = 0
    for place in (*ours, *(Path(top, name) for name in ("tmp", "var/tmp", "dev/shm", "run"))):
        with contextlib.suppress(OSError):
            place.mkdir(parents=True, exist_ok=True)
            (place / (MARK + kind)).write_text("x")
            count += 1
    return count


def main() -> int:
    """`run NAME` springs; `leave KIND TOP` fails where something of its kind (of any: prepare) was left."""
    if sys.argv[1] == "run":
        spring(sys.argv[2])
        return 0
    _, _, kind, top = sys.argv
    there = list(found("" if kind == "prepare" else kind, top))
    sys.stdout.write(json.dumps({"found": there, "left": leave(kind, top)}))
    return bool(there)


if __name__ == "__main__":
    sys.exit(main())

"""A stand-in for the product's processes: reports on stdout what it was given, then behaves as told.

Arguments: the behaviour, the name, then what every child gets. Behaviours: `live` (until SIGTERM),
`stubborn` (tells of SIGTERM and lives on), `end:<code>`, `crash:<file>` (dies at its first start),
`refuse` (says why to the supervisor, where that wants to hear it, and ends with 2).
"""

import ctypes
import json
import os
import signal
import sys
from pathlib import Path
from types import FrameType

from bot.process import enter_child

_GET_DUMPABLE = 3


def say(**words: object) -> None:
    """One JSON line, whole, although siblings write into the same pipe."""
    os.write(1, json.dumps(words).encode() + b"\n")


def descriptors() -> dict[str, str]:
    """What this process holds open, by number."""
    found = {}
    for entry in Path("/proc/self/fd").iterdir():
        try:
            found[entry.name] = str(entry.readlink())
        except OSError:  # the listing's own descriptor
            continue
    return found


def main() -> int:
    """Report, then behave."""
    behaviour, name, *rest = sys.argv[1:]
    options = dict(word.split("=", 1) for word in rest)
    # Read before `enter_child`: after it the kernel shows them to root alone.
    environ = Path("/proc/self/environ").read_text().split("\0")
    settings = enter_child(parent_pid=int(options["--parent-pid"]), settings_fd=int(options["--settings-fd"]))
    sys.stderr.write(f"{name} talks\n")
    is_stubborn = behaviour == "stubborn"

    def ended(_number: int, _frame: FrameType | None) -> None:
        say(name=name, term=os.getpid())
        if not is_stubborn:
            raise SystemExit

    signal.signal(signal.SIGTERM, ended)
    say(
        name=name,
        pid=os.getpid(),
        settings=json.loads(settings),
        options=options,
        environ=environ,
        dumpable=ctypes.CDLL(None).prctl(_GET_DUMPABLE, 0, 0, 0, 0),
        descriptors=descriptors(),
    )
    if behaviour == "refuse":
        if "--report-fd" in options:
            os.write(int(options["--report-fd"]), b"no start, and why\0")
        return 2
    if behaviour.startswith("end:"):
        return int(behaviour.removeprefix("end:"))
    if behaviour.startswith("crash:") and not (seen := Path(behaviour.removeprefix("crash:"))).exists():
        seen.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        signal.pause()


if __name__ == "__main__":
    sys.exit(main())

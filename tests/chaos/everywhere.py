"""All boundaries of all kinds of requests, in processes of pytest, counted for the table."""

import os
import re
import subprocess
import sys
import time
from collections import deque
from pathlib import Path
from typing import Final

from tests.chaos.plan import Tally

NAME: Final = "boundaries"
ROOT: Final = Path(__file__).parents[2]
# One test is hundreds of plays here: it is not stuck when it takes longer than one of the suite.
PYTEST: Final = (sys.executable, *["-m", "pytest", "-q", "-p", "no:xdist", "-o", "faulthandler_timeout=0"])
_SAID_LINES: Final = 80
_FOUND: Final = re.compile(r"^\.?(?P<kind>[\w ]+): (?P<cuts>\d+) cuts at \d+ boundaries, (?P<wrong>\d+)")


def cut_everywhere(seed: str) -> Tally:
    """Cut at every boundary there is; prints each kind as it ends."""
    tally, began = Tally(NAME, "sqlite"), time.monotonic()
    environment = {**os.environ, "ISSUEWRIGHT_CHAOS_SHARE": "1", "ISSUEWRIGHT_TEST_SEED": seed}
    command = [*PYTEST, "-s", "tests/chaos/test_boundaries.py"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as pytest:
        last = deque((line for line in pytest.stdout or () if not _count(line, tally)), _SAID_LINES)
    if pytest.returncode:
        print("".join(last), flush=True)  # noqa: T201
        tally.found.stuck.append(f"pytest ended with {pytest.returncode}; again: {' '.join(command[1:])}")
    tally.seconds = time.monotonic() - began
    return tally


def _count(line: str, tally: Tally) -> bool:
    """Whether *line* told of a kind, which is counted."""
    found = _FOUND.match(line)
    if found is None:
        return False
    print(line.strip(), flush=True)  # noqa: T201
    tally.kills += int(found["cuts"])
    tally.requests += int(found["cuts"]) + 1
    tally.note("kinds")
    tally.found.duplicates.extend([found["kind"]] * int(found["wrong"]))
    return True

"""All boundaries of all kinds of requests, in processes of pytest, counted for the table."""

import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Final

from tests.chaos.plan import Tally

NAME: Final = "boundaries"
ROOT: Final = Path(__file__).parents[2]
_FOUND: Final = re.compile(r"^\.?(?P<kind>[\w ]+): (?P<cuts>\d+) cuts at \d+ boundaries, (?P<wrong>\d+)")


def cut_everywhere(seed: str) -> Tally:
    """Cut at every boundary there is; prints each kind as it ends."""
    tally, began = Tally(NAME, "sqlite"), time.monotonic()
    environment = {**os.environ, "ISSUEWRIGHT_CHAOS_SHARE": "1", "ISSUEWRIGHT_TEST_SEED": seed}
    command = [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:xdist", "tests/chaos/test_boundaries.py"]
    with subprocess.Popen(
        command, cwd=ROOT, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as pytest:
        for line in pytest.stdout or ():
            _count(line, tally)
    if pytest.returncode:
        tally.found.stuck.append(f"pytest ended with {pytest.returncode}; again: {' '.join(command[1:])}")
    tally.seconds = time.monotonic() - began
    return tally


def _count(line: str, tally: Tally) -> None:
    found = _FOUND.match(line)
    if found is None:
        return
    print(line.strip(), flush=True)  # noqa: T201
    tally.kills += int(found["cuts"])
    tally.requests += int(found["cuts"]) + 1
    tally.note("kinds")
    tally.found.duplicates.extend([found["kind"]] * int(found["wrong"]))

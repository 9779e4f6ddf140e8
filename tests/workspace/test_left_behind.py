"""A worker that is killed takes with it what hostile code has hidden from its parents."""

import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bot.workspace.sandbox import find_bwrap
from bot.workspace.toolhost.confine import files_uid

pytestmark = pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here")
_DOOMED_WORKER = """
import asyncio, sys
from pathlib import Path
from bot.domain.enums import Tier
from bot.domain.values import SandboxStatus
from bot.workspace.host import ProcessToolHost
from bot.workspace.sandbox import find_bwrap
async def work():
    host = ProcessToolHost(Path(sys.argv[1]), SandboxStatus(Tier.SANDBOX), find_bwrap())
    await host.call("run_command", {"command": sys.argv[2]}, timeout_seconds=100)
asyncio.run(work())
"""
_HIDING = """trap '' TERM HUP
(setsid sh -c 'trap "" TERM; (setsid sleep {mark} &) ; sleep {mark}' &)
sleep {mark}
"""


def running(mark: str) -> Iterator[int]:
    """Descriptors of the `sleep` processes with *mark* as their argument."""
    for place in Path("/proc").glob("[0-9]*"):
        try:
            if (place / "cmdline").read_bytes() == f"sleep\0{mark}\0".encode():
                yield os.pidfd_open(int(place.name))
        except OSError:
            continue


def test_a_double_fork_in_a_session_of_its_own_ends_with_a_killed_worker(tmp_path: Path) -> None:
    mark = f"987.{os.getpid()}"
    for name in ("tree", "originals"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, files_uid(), -1)
    argv = [sys.executable, "-c", _DOOMED_WORKER, str(tmp_path), _HIDING.format(mark=mark)]
    with subprocess.Popen(argv, cwd=Path(__file__).parents[2]) as worker:
        hidden: list[int] = []
        while len(hidden) < 3 and worker.poll() is None:
            for fd in hidden:
                os.close(fd)
            hidden = list(running(mark))
        worker.kill()
    assert len(hidden) == 3
    for fd in hidden:
        assert select.select([fd], [], [], 5)[0], "ended within five seconds"
        os.close(fd)
    assert not list(running(mark))

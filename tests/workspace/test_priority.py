"""What works on a checkout goes behind whoever answers people."""

import os
import subprocess

from bot.workspace.host import ProcessToolHost
from bot.workspace.priority import NICENESS, lower
from tests.workspace.test_host import process

__all__ = ["process"]


def test_a_session_and_what_it_starts_go_behind_others() -> None:
    with subprocess.Popen(
        ["/bin/sh", "-c", "read _; nice; cat /proc/self/autogroup || true"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    ) as session:
        lower(session.pid)
        said, _ = session.communicate("\n")
    niceness, *group = said.splitlines()
    assert int(niceness) == NICENESS
    assert all(line.endswith(f"nice {NICENESS}") for line in group)


def test_a_process_that_has_ended_meanwhile_is_no_error() -> None:
    with subprocess.Popen(["/bin/true"]) as ended:
        ended.wait()
    lower(ended.pid)
    assert os.getpriority(os.PRIO_PROCESS, 0) < NICENESS


async def test_both_processes_of_the_tool_host_go_behind_others(process: ProcessToolHost) -> None:
    assert process.pid is not None
    for pid in (process.pid, int(process.ready["pid"])):
        assert os.getpriority(os.PRIO_PROCESS, pid) == NICENESS

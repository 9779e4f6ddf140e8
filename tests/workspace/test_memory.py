"""How much memory a family of processes takes together, and that too much ends it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bot.workspace import sandbox
from bot.workspace.sandbox import Launcher, find_bwrap
from bot.workspace.toolhost import execute, memory, verification
from bot.workspace.toolhost.confine import files_uid
from bot.workspace.toolhost.verification import Scratch

MIB = 1024**2
_FAMILY = (
    "import os, sys\nx = bytearray(40 << 20)\npid = os.fork()\ny = bytearray(30 << 20) if not pid else 0\n"
    "os.write(1, b'x')\nsys.stdin.read()"
)


def test_a_process_and_its_children_are_counted_together() -> None:
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", _FAMILY], stdin=pipe, stdout=pipe) as family:
        assert family.stdout is not None
        assert len(family.stdout.read(2)) == 2
        assert 110 * MIB < memory.used_bytes(family.pid) < 160 * MIB
        family.communicate(timeout=20)
    assert memory.used_bytes(family.pid) == 0


def test_a_program_that_takes_too_much_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "used_bytes", lambda _pid: 11)
    monkeypatch.setattr(execute, "CHECK_SECONDS", 0.05)
    argv = ["/bin/sh", "-c", "echo ready >&0; read -r word; sleep 100"]
    status = os.memfd_create("status")
    os.pwrite(status, b'{"child-pid": %d}\n' % os.getppid(), 0)
    monkeypatch.setattr(os, "setpriority", lambda *_: None)
    monkeypatch.setattr(execute, "END_TIMEOUT_SECONDS", 0.1)
    outcome = execute.run(
        argv, pass_fds=(), status_fd=status, timeout_seconds=60, bounds=execute.Bounds(memory_bytes=10)
    )
    assert (outcome.is_out_of_memory, outcome.is_timed_out, outcome.exit_code) == (True, False, -9)


@pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here")
def test_many_small_processes_that_take_too_much_together_are_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sandbox, "MAX_MEMORY_BYTES", 200 * MIB)
    for name in ("tree", "originals"):
        (tmp_path / name).mkdir()
        os.chown(tmp_path / name, files_uid(), -1)
    code = "import time; x = bytearray(30 << 20); time.sleep(50)"
    command = f"for n in 1 2 3 4 5 6 7 8 9 10 11 12; do python3 -c '{code}' & done; wait"
    record = verification.verify(Launcher(str(find_bwrap())), Scratch(tmp_path), command, 45)
    assert (record["exit_code"], record["reason"]) == (137, "stopped because it took too much memory")

"""Run one verification command in the sandbox, on a private copy of the tree, and record it."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bot.workspace import sandbox
from bot.workspace.removal import remove_tree
from bot.workspace.toolhost import execute, seccomp
from bot.workspace.toolhost.room import Room

COPY_TIMEOUT_SECONDS = 300
TIMED_OUT = 124
"""The exit code of a command that was stopped at its deadline, as timeout(1) gives it."""
OUT_OF_ROOM = 137
"""The exit code of a command that was stopped because it filled the disk, as shells give it for a kill."""


def verify(bwrap: str, job: Path, command: str, timeout_seconds: float) -> dict[str, Any]:
    """The fields of a `CommandRecord` (without tier NONE's words when it ran) for *command*."""
    if "\0" in command:
        return _not_run("the command holds a NUL character")
    with _private_copy(job) as tree, _descriptors() as descriptors:
        argv = sandbox.command_line(
            bwrap, str(tree), command, seconds=timeout_seconds, descriptors=descriptors
        )
        outcome = execute.run(
            argv,
            pass_fds=descriptors.all(),
            status_fd=descriptors.status,
            timeout_seconds=timeout_seconds,
            room=Room(job),
        )
        exit_code = execute.status_field(os.pread(descriptors.status, 4096, 0), "exit-code")
    output = outcome.output.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    record = {"duration_ms": outcome.duration_ms, "output": output, "tier": "sandbox"}
    if outcome.is_timed_out:
        reason = f"stopped after {timeout_seconds:g} seconds"
        return {**record, "exit_code": TIMED_OUT, "reason": reason}
    if outcome.is_out_of_room:
        return {**record, "exit_code": OUT_OF_ROOM, "reason": "stopped because it filled the disk"}
    if exit_code is None:
        return _not_run(f"the sandbox could not start the command: {output[-500:].strip()}")
    return {**record, "exit_code": exit_code, "reason": ""}


def _not_run(reason: str) -> dict[str, Any]:
    return {"exit_code": None, "duration_ms": 0, "output": "", "tier": "none", "reason": reason}


@contextmanager
def _private_copy(job: Path) -> Iterator[Path]:
    """A copy of the job's tree that is gone afterwards."""
    scratch = Path(tempfile.mkdtemp(prefix="scratch-", dir=job))
    try:
        copy = scratch / "work"
        _run("cp", "-a", "--reflink=auto", "--", str(job / "tree"), str(copy))
        if os.geteuid() == 0:
            _run(
                "chown", "-R", "-h", "-P", f"{sandbox.sandbox_uid()}:{sandbox.sandbox_uid()}", "--", str(copy)
            )
        yield copy
    finally:
        remove_tree(scratch)


def _run(*argv: str) -> None:
    """One program of ours on the copy, told nothing and heard nothing."""
    subprocess.run(
        argv,
        env={"PATH": sandbox.SEARCH_PATH},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=COPY_TIMEOUT_SECONDS,
        check=True,
    )


@contextmanager
def _descriptors() -> Iterator[sandbox.Descriptors]:
    """Files in memory: what bwrap reads, and where it writes how the command ended."""
    hosts = "127.0.0.1 localhost\n::1 localhost\n"
    contents = [sandbox.passwd_line().encode(), sandbox.group_line().encode(), hosts.encode()]
    files = [_in_memory(content) for content in (*contents, seccomp.sandbox_filter(), b"")]
    try:
        yield sandbox.Descriptors(*files)
    finally:
        for fd in files:
            os.close(fd)


def _in_memory(content: bytes) -> int:
    fd = os.memfd_create("sandbox", os.MFD_CLOEXEC)
    os.write(fd, content)
    os.lseek(fd, 0, os.SEEK_SET)
    return fd

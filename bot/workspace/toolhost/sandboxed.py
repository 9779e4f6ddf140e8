"""Run one command in the sandbox on a private copy, and say how it ended."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from bot.workspace import sandbox
from bot.workspace.sandbox import Launcher
from bot.workspace.toolhost import cgroup, execute, seccomp
from bot.workspace.toolhost.places import Place
from bot.workspace.toolhost.room import Room

TIMED_OUT = 124
"""The exit code of a command that was stopped at its deadline, as timeout(1) gives it."""
STOPPED = 137
"""The exit code of a command that was stopped because it took too much, as shells give it for a kill."""


def run(launcher: Launcher, job: Path, place: Place, command: str, timeout_seconds: float) -> dict[str, Any]:
    """The fields of a `CommandRecord` (but for the command itself) for *command*, run in *place*.

    Raises:
        OSError: The launcher cannot be started.
    """
    if "\0" in command:
        return not_run("the command holds a NUL character")
    with _descriptors() as descriptors, _group() as group:
        argv = sandbox.command_line(
            launcher,
            place.work,
            place.home,
            command,
            limits=sandbox.limits(timeout_seconds, is_counted=group is not None),
            descriptors=descriptors,
        )
        outcome = execute.run(
            argv,
            pass_fds=descriptors.all(),
            status_fd=descriptors.status,
            timeout_seconds=timeout_seconds,
            bounds=execute.Bounds(Room(job), None if group else sandbox.MAX_MEMORY_BYTES, group),
        )
        exit_code = execute.status_field(os.pread(descriptors.status, 4096, 0), "exit-code")
    output = outcome.output.decode("utf-8", "replace").replace("\0", "\N{REPLACEMENT CHARACTER}")
    record = {"duration_ms": outcome.duration_ms, "output": output, "tier": "sandbox"}
    if outcome.is_timed_out:
        reason = f"stopped after {timeout_seconds:g} seconds"
        return {**record, "exit_code": TIMED_OUT, "reason": reason}
    if outcome.is_out_of_room:
        return {**record, "exit_code": STOPPED, "reason": "stopped because it filled the disk"}
    if outcome.is_out_of_memory:
        return {**record, "exit_code": STOPPED, "reason": "stopped because it took too much memory"}
    if exit_code is None:
        return not_run(f"the sandbox could not start the command: {output[-500:].strip()}")
    return {**record, "exit_code": exit_code, "reason": ""}


def not_run(reason: str) -> dict[str, Any]:
    """The fields of a record of a command that did not run."""
    return {"exit_code": None, "duration_ms": 0, "output": "", "tier": "none", "reason": reason}


@contextmanager
def _group() -> Iterator[cgroup.Group | None]:
    """A control group for one command; None where there is none to be had."""
    parent = cgroup.parent()
    group = None
    if parent is not None:
        cgroup.sweep(parent)
        with suppress(OSError):
            group = cgroup.make(
                parent, memory_bytes=sandbox.MAX_MEMORY_BYTES, processes=sandbox.MAX_PROCESSES
            )
    try:
        yield group
    finally:
        if group is not None:
            group.close()


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

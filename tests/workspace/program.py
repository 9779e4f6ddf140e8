"""A tool host as a program by itself, started as the worker does it, with both lines to it."""

import asyncio
import json
import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.workspace.host import ProcessToolHost
from bot.workspace.toolhost.confine import files_uid
from bot.workspace.toolprocess import Handed, launch

PATIENCE_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Said:
    """What was answered by the file server and by the broker, and what stood on the error output."""

    files: list[dict[str, Any]]
    errands: list[dict[str, Any]]
    log: str


def lay_out(job: Path) -> None:
    """A job's directories, empty."""
    for name in ("tree", "originals"):
        (job / name).mkdir()
        os.chown(job / name, files_uid(), -1)


def ask(
    job: Path,
    files: Sequence[dict[str, Any]] = (),
    errands: Sequence[dict[str, Any]] = (),
    *,
    bwrap: str | None = None,
    options: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Said:
    """Run it on *job* with Python's *options*: first the *files* are asked for, then the *errands*."""
    tree_fd, originals_fd = (os.open(job / name, os.O_RDONLY) for name in ("tree", "originals"))
    requests_fd, asking_fd = os.pipe()
    answers_fd, replies_fd = os.pipe()
    start = launch(job, bwrap, (), Handed(tree_fd, originals_fd, requests_fd, replies_fd))
    with tempfile.TemporaryFile() as log, os.fdopen(answers_fd, "rb") as answers:
        with subprocess.Popen(
            [start.argv[0], *options, *start.argv[1:]],
            env=start.environment if environment is None else environment,
            pass_fds=start.descriptors,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            cwd="/",
        ) as process:
            for fd in start.descriptors:
                os.close(fd)
            with os.fdopen(asking_fd, "wb") as asking:
                asking.write(_lines(files))
            replies = answers.read()
            said, _ = process.communicate(_lines(errands), timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
        log.seek(0)
        return Said(_read(replies), _read(said), log.read().decode())


def _lines(requests: Sequence[dict[str, Any]]) -> bytes:
    return b"".join(json.dumps(request).encode() + b"\n" for request in requests)


def _read(lines: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in lines.splitlines()]


async def kill(host: ProcessToolHost) -> None:
    """SIGKILL the broker, and wait until its file server, which the kernel ends with it, is gone."""
    child = os.pidfd_open(host.ready["pid"])
    os.kill(host.pid or 0, signal.SIGKILL)
    ended = asyncio.Event()
    asyncio.get_running_loop().add_reader(child, ended.set)
    await asyncio.wait_for(ended.wait(), PATIENCE_SECONDS)
    asyncio.get_running_loop().remove_reader(child)
    os.close(child)

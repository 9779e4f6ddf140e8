"""The broker: passes file requests to its child, answers sandbox requests itself."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bot.workspace.toolhost import confine, server, verification
from bot.workspace.toolhost.beneath import Tree
from bot.workspace.toolhost.originals import Originals

MAX_LINE_BYTES = 64 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Options:
    """What the worker hands over on the command line: descriptors, the job's directory, the bwrap."""

    tree_fd: int
    originals_fd: int
    job: Path
    bwrap: str

    @classmethod
    def parse(cls, arguments: list[str]) -> "Options":
        """From four words, in this order."""
        tree_fd, originals_fd, job, bwrap = arguments
        return cls(int(tree_fd), int(originals_fd), Path(job), bwrap)


@dataclass(frozen=True, slots=True)
class Child:
    """The file server as the broker sees it."""

    requests: BinaryIO
    replies: BinaryIO


def run(options: Options) -> int:
    """Serve until the worker closes our input; returns the exit code."""
    confine.confine_broker()
    child = _start_file_server(options)
    os.close(options.tree_fd)
    os.close(options.originals_fd)
    if not _pass_on(child.replies):
        return 1
    for line in sys.stdin.buffer:
        request = json.loads(line)
        if request["op"] == "verify":
            _say(_verified(options, request))
            continue
        child.requests.write(line)
        child.requests.flush()
        if not _pass_on(child.replies):
            return 1
    return 0


def _verified(options: Options, request: dict[str, Any]) -> dict[str, Any]:
    try:
        return verification.verify(options.bwrap, options.job, request["command"], request["timeout_seconds"])
    except (OSError, verification.subprocess.SubprocessError) as error:
        return {"failed": f"{type(error).__name__}: {error}"}


def _pass_on(replies: BinaryIO) -> bool:
    """One line of the child to the worker, unread; False when the child is gone."""
    line = replies.readline(MAX_LINE_BYTES)
    sys.stdout.buffer.write(line)
    sys.stdout.buffer.flush()
    return line.endswith(b"\n")


def _say(message: dict[str, Any]) -> None:
    sys.stdout.buffer.write(json.dumps(message).encode() + b"\n")
    sys.stdout.buffer.flush()


def _start_file_server(options: Options) -> Child:
    """Fork; the child never comes back from here."""
    request_read, request_write = os.pipe()
    reply_read, reply_write = os.pipe()
    broker_pid = os.getpid()
    if os.fork() != 0:
        os.close(request_read)
        os.close(reply_write)
        return Child(os.fdopen(request_write, "wb"), os.fdopen(reply_read, "rb"))
    os.close(request_write)
    os.close(reply_read)
    _forget_the_worker()
    with os.fdopen(request_read, "rb") as requests, os.fdopen(reply_write, "wb") as replies:
        os._exit(_be_file_server(options, broker_pid, requests, replies))


def _forget_the_worker() -> None:
    """Replace the worker's pipes by nothing."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)


def _be_file_server(options: Options, broker_pid: int, requests: BinaryIO, replies: BinaryIO) -> int:
    try:
        held = confine.confine_file_server(broker_pid)
        tree = Tree(options.tree_fd)
        files = server.FileServer(tree, Originals(options.originals_fd))
    except OSError as error:
        replies.write(json.dumps({"failed": str(error)}).encode() + b"\n")
        replies.flush()
        return 1
    ready = {"ready": True, "uid": held.uid, "own_network": held.has_own_network, "resolver": tree.resolver}
    replies.write(json.dumps(ready).encode() + b"\n")
    replies.flush()
    server.serve(files, requests, replies)
    return 0

"""The broker: passes file requests to its child, answers sandbox requests itself."""

import json
import os
import sys
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from bot.domain import masks
from bot.workspace.sandbox import Launcher
from bot.workspace.toolhost import confine, server
from bot.workspace.toolhost.beneath import Tree
from bot.workspace.toolhost.errands import Errands
from bot.workspace.toolhost.originals import Originals

MAX_LINE_BYTES = 64 * 1024 * 1024
_SAID = ("text", "output", "failed")


@dataclass(frozen=True, slots=True)
class Options:
    """What the worker hands over on the command line: descriptors, the job's directory, the launcher."""

    tree_fd: int
    originals_fd: int
    job: Path
    launcher: Launcher

    @classmethod
    def parse(cls, arguments: list[str]) -> "Options":
        """From four words and one for each toolchain, in this order."""
        tree_fd, originals_fd, job, bwrap, *toolchains = arguments
        return cls(int(tree_fd), int(originals_fd), Path(job), Launcher(bwrap, tuple(toolchains)))


@dataclass(frozen=True, slots=True)
class Pipes:
    """A way to ask and a way to be answered, one JSON line each."""

    requests: BinaryIO
    replies: BinaryIO


def run(options: Options) -> int:
    """Serve the worker on standard input and output until it closes them; returns the exit code."""
    confine.confine_broker()
    child = _start_file_server(options)
    os.close(options.tree_fd)
    os.close(options.originals_fd)
    return serve(options, Pipes(sys.stdin.buffer, sys.stdout.buffer), child)


def serve(options: Options, worker: Pipes, child: Pipes) -> int:
    """Answer each request of *worker*; 0 when it is done, 1 when the *child* is gone."""
    if not _pass_on(child, worker):
        return 1
    with closing(Errands(options.launcher, options.job)) as errands:
        for line in worker.requests:
            request = json.loads(line)
            if errands.are_for(request["op"]):
                _say(worker, masked(errands.answer(request)))
                continue
            if request["op"] == "configure":
                errands.configure(request["options"].get("exclude", ()))
            child.requests.write(line)
            child.requests.flush()
            if not _pass_on(child, worker):
                return 1
    return 0


def masked(answer: dict[str, Any]) -> dict[str, Any]:
    """*answer* with the secrets masked in whatever commands have said, also in its `records`."""
    said = {key: masks.mask(answer[key])[0] for key in _SAID if isinstance(answer.get(key), str)}
    records = {"records": [masked(record) for record in answer["records"]]} if "records" in answer else {}
    return answer | said | records


def be_file_server(options: Options, pipes: Pipes, give_up_power: Callable[[], confine.Confinement]) -> int:
    """What the child does: give up all power, say so, and serve; returns its exit code."""
    try:
        held = give_up_power()
        tree = Tree(options.tree_fd)
        files = server.FileServer(tree, Originals(options.originals_fd))
    except OSError as error:
        _say(pipes, {"failed": str(error)})
        return 1
    ready = {"uid": held.uid, "has_own_network": held.has_own_network, "resolver": tree.resolver}
    _say(pipes, {"ready": True, "pid": os.getpid(), **ready})
    server.serve(files, pipes.requests, pipes.replies)
    return 0


def _pass_on(child: Pipes, worker: Pipes) -> bool:
    """One line of the child to the worker, unread; False when the child is gone."""
    line = child.replies.readline(MAX_LINE_BYTES)
    worker.replies.write(line)
    worker.replies.flush()
    return line.endswith(b"\n")


def _say(pipes: Pipes, message: dict[str, Any]) -> None:
    pipes.replies.write(json.dumps(message).encode() + b"\n")
    pipes.replies.flush()


def _start_file_server(options: Options) -> Pipes:
    """Fork; the child never comes back from here."""
    request_read, request_write = os.pipe()
    reply_read, reply_write = os.pipe()
    broker_pid = os.getpid()
    if os.fork() != 0:
        os.close(request_read)
        os.close(reply_write)
        return Pipes(os.fdopen(request_write, "wb"), os.fdopen(reply_read, "rb"))
    os.close(request_write)
    os.close(reply_read)
    _forget_the_worker()
    pipes = Pipes(os.fdopen(request_read, "rb"), os.fdopen(reply_write, "wb"))
    os._exit(be_file_server(options, pipes, lambda: confine.confine_file_server(broker_pid)))


def _forget_the_worker() -> None:
    """Replace the worker's pipes by nothing."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)

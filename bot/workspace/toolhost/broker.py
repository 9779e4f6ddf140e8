"""The broker: starts the file server, its child, and answers what needs the sandbox itself.

The worker talks to the file server by two pipes of their own, which the broker closes before it serves.
"""

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

_SAID = ("text", "output", "failed")


@dataclass(frozen=True, slots=True)
class Options:
    """What the worker hands over on the command line: descriptors, the job's directory, the launcher."""

    tree_fd: int
    originals_fd: int
    requests_fd: int
    replies_fd: int
    job: Path
    launcher: Launcher

    @classmethod
    def parse(cls, arguments: list[str]) -> "Options":
        """From six words and one for each toolchain, in this order."""
        tree_fd, originals_fd, requests_fd, replies_fd = map(int, arguments[:4])
        job, bwrap, *toolchains = arguments[4:]
        launcher = Launcher(bwrap, tuple(toolchains))
        return cls(tree_fd, originals_fd, requests_fd, replies_fd, Path(job), launcher)


@dataclass(frozen=True, slots=True)
class Pipes:
    """A way to ask and a way to be answered, one JSON line each."""

    requests: BinaryIO
    replies: BinaryIO


def run(options: Options) -> int:
    """Serve the worker on standard input and output until it closes them; returns the exit code."""
    confine.confine_broker()
    _start_file_server(options)
    for fd in (options.tree_fd, options.originals_fd, options.requests_fd, options.replies_fd):
        os.close(fd)
    serve(options, Pipes(sys.stdin.buffer, sys.stdout.buffer))
    return 0


def serve(options: Options, worker: Pipes) -> None:
    """Answer each request of *worker* until there are no more."""
    with closing(Errands(options.launcher, options.job)) as errands:
        for line in worker.requests:
            _say(worker, masked(errands.answer(json.loads(line))))


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


def _say(pipes: Pipes, message: dict[str, Any]) -> None:
    pipes.replies.write(json.dumps(message).encode() + b"\n")
    pipes.replies.flush()


def _start_file_server(options: Options) -> None:
    """Fork; the child never comes back from here."""
    broker_pid = os.getpid()
    if os.fork() != 0:
        return
    _forget_the_broker()
    pipes = Pipes(os.fdopen(options.requests_fd, "rb"), os.fdopen(options.replies_fd, "wb"))
    os._exit(be_file_server(options, pipes, lambda: confine.confine_file_server(broker_pid)))


def _forget_the_broker() -> None:
    """Replace the broker's pipes by nothing."""
    nothing = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(nothing, fd)
    os.close(nothing)

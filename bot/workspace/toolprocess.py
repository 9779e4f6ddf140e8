"""A tool host's process as the worker sees it: how it is started, the two lines to it, how it ends.

The file server is asked for files without a way round; the broker, for what needs the sandbox.
"""

import asyncio
import json
import os
import signal
import sys
from contextlib import ExitStack, suppress
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import IO, Any, cast

from bot.domain.values import Json
from bot.workspace import priority
from bot.workspace.toolhost.confine import files_uid

MAX_LINE_BYTES = 64 * 1024 * 1024
_NO_BWRAP = "-"


class Gone(Exception):
    """The process ended, or said something that is no answer."""


@dataclass(frozen=True, slots=True)
class Handed:
    """The descriptors that a tool host is handed: two directories, and its file server's ends of pipes."""

    tree_fd: int
    originals_fd: int
    requests_fd: int
    replies_fd: int


@dataclass(frozen=True, slots=True)
class Launch:
    """How the tool host is started: exactly these words, this environment and these descriptors."""

    argv: tuple[str, ...]
    environment: dict[str, str]
    descriptors: tuple[int, ...]


def launch(job: Path, bwrap: str | None, toolchains: tuple[str, ...], handed: Handed) -> Launch:
    """The start of a tool host for the directory *job* (it holds `tree` and `originals`)."""
    descriptors: tuple[int, ...] = astuple(handed)
    words = (*map(str, descriptors), str(job), bwrap or _NO_BWRAP, *toolchains)
    argv = (sys.executable, "-I", "-m", "bot.workspace.toolhost", *words)
    return Launch(argv, {}, descriptors)


@dataclass(frozen=True, slots=True)
class Line:
    """A way to ask and a way to be answered, one JSON line each; who asks waits for the answer."""

    answers: asyncio.StreamReader
    requests: asyncio.WriteTransport
    listening: asyncio.ReadTransport | None = None

    async def ask(self, request: Json) -> Json:
        """The answer to *request*; raises what `read` raises."""
        # What does not fit into the pipe follows by itself: nothing more is sent until the answer is there.
        self.requests.write(json.dumps(request).encode() + b"\n")
        return await self.read()

    async def read(self) -> Json:
        """The next line as an object.

        Raises:
            Gone: There is none.
        """
        try:
            answer: Json = json.loads(await self.answers.readline())
        except ValueError:
            raise Gone from None
        return answer

    def close(self) -> None:
        """Say nothing more, and hear nothing more; the second time does nothing."""
        self.requests.close()
        if self.listening is not None:
            self.listening.close()


@dataclass(frozen=True, slots=True)
class ToolProcess:
    """A broker that runs, with its file server: `errands` leads to the one, `files` to the other."""

    process: asyncio.subprocess.Process
    errands: Line
    files: Line

    async def greeted(self, options: Json | None) -> Json:
        """What the file server says of itself, once both have taken the *options*; `failed` if it does not.

        Raises:
            Gone: One of them ended.
        """
        ready = await self.files.read()
        if options is None or "failed" in ready:
            return ready
        request = {"op": "configure", "options": options}
        taken = ready | await self.files.ask(request)
        return taken if "failed" in taken else taken | await self.errands.ask(request)

    async def stop(self) -> None:
        """End both, and everything in them."""
        with suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.errands.close()
        self.files.close()
        await self.process.wait()


async def start(job: Path, bwrap: str | None, toolchains: tuple[str, ...]) -> ToolProcess:
    """Start a tool host for the directory *job*; it has said nothing yet.

    Raises:
        OSError: The directory is not there, or no process can be started.
    """
    _make_originals(job / "originals")
    with ExitStack() as theirs, ExitStack() as ours:
        tree_fd, originals_fd = _directory(theirs, job / "tree"), _directory(theirs, job / "originals")
        requests_fd, asking_fd = os.pipe()
        theirs.callback(os.close, requests_fd)
        asking = ours.enter_context(os.fdopen(asking_fd, "wb", 0))
        answers_fd, replies_fd = os.pipe()
        theirs.callback(os.close, replies_fd)
        files = await _line(ours.enter_context(os.fdopen(answers_fd, "rb", 0)), asking)
        ours.callback(files.close)
        handed = Handed(tree_fd, originals_fd, requests_fd, replies_fd)
        process = await _spawn(launch(job, bwrap, toolchains, handed))
        ours.pop_all()
    errands = Line(cast(asyncio.StreamReader, process.stdout), cast(Any, process.stdin).transport)
    return ToolProcess(process, errands, files)


async def _spawn(plan: Launch) -> asyncio.subprocess.Process:
    process = await asyncio.create_subprocess_exec(
        *plan.argv,
        env=plan.environment,
        pass_fds=plan.descriptors,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.DEVNULL,
        start_new_session=True,
        limit=MAX_LINE_BYTES,
        cwd="/",
    )
    priority.lower(process.pid)
    return process


async def _line(answers: IO[bytes], asking: IO[bytes]) -> Line:
    """Our ends of two pipes."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader(limit=MAX_LINE_BYTES)
    requests, _ = await loop.connect_write_pipe(asyncio.BaseProtocol, asking)
    with ExitStack() as undo:
        undo.callback(requests.close)
        listening, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), answers)
        undo.pop_all()
    return Line(reader, requests, listening)


def _directory(stack: ExitStack, path: Path) -> int:
    """A descriptor of a directory, until *stack* is left."""
    fd = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    stack.callback(os.close, fd)
    return fd


def _make_originals(directory: Path) -> None:
    directory.mkdir(mode=0o700, exist_ok=True)
    if os.geteuid() == 0:
        os.chown(directory, files_uid(), files_uid())

"""The only place that starts git: argument lists, no shell, no configuration but ours, bounded.

The options and variables are those of https://git-scm.com/docs/git and https://git-scm.com/docs/git-config.
"""

import asyncio
import os
import resource
import signal
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from bot.errors import Permanent, RetryLater
from bot.workspace import priority
from bot.workspace.remote import Remote, token_config, without_token
from bot.workspace.toolhost.execute import Capped

MAX_OUTPUT_BYTES = 1024 * 1024
MAX_ERROR_BYTES = 64 * 1024
MAX_PACK_BYTES = 2 * 1024**3
"""No file that git writes may be larger (RLIMIT_FSIZE); the tree itself is limited in `tree`."""

SEARCH_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_HARDENING = (
    "core.hooksPath=/dev/null",
    "core.fsmonitor=false",
    "core.attributesFile=/dev/null",
    "core.excludesFile=/dev/null",
    "core.autocrlf=false",
    "core.bigFileThreshold=32m",
    "core.symlinks=true",
    "core.protectHFS=true",
    "core.protectNTFS=true",
    "core.askPass=",
    "credential.helper=",
    "diff.external=",
    "fetch.recurseSubmodules=false",
    "filter.lfs.smudge=",
    "filter.lfs.process=",
    "filter.lfs.required=false",
    "gc.auto=0",
    "http.followRedirects=false",
    "http.lowSpeedLimit=1000",
    "http.lowSpeedTime=60",
    "maintenance.auto=false",
    "pack.threads=1",
    "protocol.allow=never",
    "protocol.version=2",
    "submodule.recurse=false",
)


NO_CONTENTS = "blob:none"
_FILTER_IGNORED = b"filtering not recognized by server"
"""Git's warning before everything comes: https://github.com/git/git/blob/v2.39.0/fetch-pack.c#L1251."""


@dataclass(frozen=True, slots=True)
class GitOutput:
    """How a git process ended; `stderr` never holds the token."""

    exit_code: int
    stdout: bytes
    stderr: str


@dataclass(frozen=True, slots=True)
class FetchRequest:
    """What one `git fetch` asks for, in one request to the server, and what it may cost.

    `refspecs` are commits with the ref that shall keep each, or bare object names. `filter` says which
    contents of files are left out (never those that are named; None: none); `is_newest_only` leaves out
    the history (https://git-scm.com/docs/git-rev-list, "--filter").
    """

    refspecs: tuple[str, ...]
    timeout_seconds: float
    max_bytes: int
    filter: str | None = NO_CONTENTS
    is_newest_only: bool = False

    @property
    def names_contents(self) -> bool:
        """Whether bare objects are wanted: then the server must not hear of commits that hold them."""
        return not any(":" in refspec for refspec in self.refspecs)


class TooMuchOutput(Exception):
    """Git said more than was asked for."""


class FilterIgnored(Exception):
    """The server does not know the filter, and would send everything or sends nothing."""


class TookTooLong(RetryLater):
    """Git was stopped at its deadline."""


class Git:
    """Starts git, each time with an empty home, no foreign configuration and a deadline."""

    def __init__(self, home: Path, remote: Remote) -> None:
        """Use *home*, an empty directory of ours, and talk to *remote* only."""
        self._home = home
        self.remote = remote

    async def run(
        self,
        *arguments: str,
        timeout_seconds: float,
        environment: Mapping[str, str] | None = None,
        max_output_bytes: int = MAX_OUTPUT_BYTES,
        max_file_bytes: int | None = None,
        stdin: bytes = b"",
        config_fd: int | None = None,
        stdout_fd: int | None = None,
    ) -> GitOutput:
        """Run `git` with *arguments*; without *config_fd* it can reach no server, whatever it is asked.

        What it says goes to *stdout_fd* where that is given; it is closed here.

        Raises:
            TooMuchOutput: It said more than *max_output_bytes*; it was stopped there.
            FilterIgnored: It is fetching everything because the server does not know filters.
            RetryLater: It did not end within *timeout_seconds*.
            Permanent: There is no git on this machine.
        """
        try:
            process = await self._start(arguments, environment or {}, config_fd, stdout_fd)
        finally:
            if stdout_fd is not None:
                os.close(stdout_fd)
        limit = min(max_file_bytes or MAX_PACK_BYTES, MAX_PACK_BYTES)
        with suppress(ProcessLookupError):
            resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (limit, limit))
        try:
            talk = _talk(process, stdin, max_output_bytes)
            stdout, stderr = await asyncio.wait_for(talk, timeout_seconds)
        except TimeoutError:
            raise TookTooLong(f"git took longer than {timeout_seconds:g} seconds") from None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await _gone(process)
        return GitOutput(process.returncode or 0, stdout, stderr.decode("utf-8", "replace"))

    async def fetch(self, mirror: Path, full_name: str, token: str, request: FetchRequest) -> GitOutput:
        """Fetch what *request* names into *mirror*; only this process gets *token*.

        The server counts as a promisor for this process alone: what is written to the mirror's own
        configuration would let a later git fetch by itself what it misses
        (https://git-scm.com/docs/partial-clone).

        Raises:
            FilterIgnored: *request* has a filter, and the server does not know filters.
            RetryLater: It did not end in time.
            Permanent: A name or a token has a shape that none has.
        """
        url = self.remote.url(full_name)
        promises = (f"remote.{url}.promisor=true", f"remote.{url}.partialclonefilter={NO_CONTENTS}")
        flags = (
            "--no-tags --no-write-fetch-head --no-auto-maintenance --no-recurse-submodules --quiet --stdin"
        )
        arguments = [f"--git-dir={mirror}"]
        if request.filter is not None:
            arguments += [word for promise in promises for word in ("-c", promise)]
        arguments += ["-c", "fetch.negotiationAlgorithm=noop"] if request.names_contents else []
        arguments += ["fetch", *flags.split()]
        arguments += [f"--filter={request.filter}"] if request.filter is not None else []
        arguments += ["--depth=1"] if request.is_newest_only else []
        with token_config(url, token) as config_fd:
            output = await self.run(
                *arguments,
                "--",
                url,
                timeout_seconds=request.timeout_seconds,
                environment=self.remote.proxies,
                max_file_bytes=request.max_bytes,
                stdin="".join(f"{refspec}\n" for refspec in request.refspecs).encode("ascii"),
                config_fd=config_fd,
            )
        return GitOutput(output.exit_code, output.stdout, without_token(output.stderr, token))

    async def _start(
        self,
        arguments: tuple[str, ...],
        environment: Mapping[str, str],
        config_fd: int | None,
        stdout_fd: int | None,
    ) -> asyncio.subprocess.Process:
        protocols = [] if config_fd is None else [f"protocol.{self.remote.scheme}.allow=always"]
        options = [word for option in (*_HARDENING, *protocols) for word in ("-c", option)]
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *options,
                *arguments,
                env={**self._environment(config_fd), **environment},
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE if stdout_fd is None else stdout_fd,
                stderr=asyncio.subprocess.PIPE,
                pass_fds=() if config_fd is None else (config_fd,),
                start_new_session=True,
                cwd=self._home,
            )
        except FileNotFoundError:
            raise Permanent("git is not installed on this machine") from None
        priority.lower(process.pid)
        return process

    def _environment(self, config_fd: int | None) -> dict[str, str]:
        home = str(self._home)
        return {
            "PATH": SEARCH_PATH,
            "HOME": home,
            "XDG_CONFIG_HOME": home,
            "LC_ALL": "C",
            "GIT_ATTR_NOSYSTEM": "1",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": "/dev/null" if config_fd is None else f"/dev/fd/{config_fd}",
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_NO_REPLACE_OBJECTS": "1",
            "GIT_NO_LAZY_FETCH": "1",
            "GIT_OPTIONAL_LOCKS": "0",
            "GIT_PROTOCOL_FROM_USER": "0",
        }


async def _talk(process: asyncio.subprocess.Process, stdin: bytes, max_bytes: int) -> tuple[bytes, bytes]:
    if process.stdin is None or process.stderr is None:
        raise ValueError("git was started without pipes")
    fed = asyncio.create_task(_fed(process.stdin, stdin))
    said = asyncio.create_task(_whole(process.stdout, max_bytes))
    warned = asyncio.create_task(_ends(process.stderr))
    try:
        _, stdout, stderr = await asyncio.gather(fed, said, warned)
    finally:
        # Nobody else may read a pipe while one of these waits for it.
        for task in (fed, said, warned):
            task.cancel()
        await asyncio.gather(fed, said, warned, return_exceptions=True)
    await process.wait()
    return stdout, stderr


async def _gone(process: asyncio.subprocess.Process) -> None:
    """Wait for the end of a process that was killed, and of its pipes.

    What it had written has to be read first: asyncio stops reading a pipe of which too much is unread, and
    waits for the end of every pipe before it says that a process has ended.
    """
    streams = [stream for stream in (process.stdout, process.stderr) if stream is not None]
    await asyncio.gather(process.wait(), *(_thrown_away(stream) for stream in streams))


async def _thrown_away(stream: asyncio.StreamReader) -> None:
    while await stream.read(1 << 16):
        pass


async def _fed(stream: asyncio.StreamWriter, data: bytes) -> None:
    with suppress(BrokenPipeError, ConnectionResetError):
        stream.write(data)
        await stream.drain()
    stream.close()


async def _whole(stream: asyncio.StreamReader | None, max_bytes: int) -> bytes:
    if stream is None:
        return b""
    chunks: list[bytes] = []
    left = max_bytes
    while chunk := await stream.read(1 << 16):
        left -= len(chunk)
        if left < 0:
            raise TooMuchOutput
        chunks.append(chunk)
    return b"".join(chunks)


async def _ends(stream: asyncio.StreamReader) -> bytes:
    kept = Capped(MAX_ERROR_BYTES)
    while chunk := await stream.read(1 << 16):
        kept.feed(chunk)
        if _FILTER_IGNORED in kept.result():
            raise FilterIgnored
    return kept.result()

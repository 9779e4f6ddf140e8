"""The room's face: a checkout for a job, a tool host on it, and its return."""

import asyncio
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from bot.domain.ports import ToolHost
from bot.domain.values import Json, RepositoryRef, SandboxStatus
from bot.errors import Permanent, RetryLater
from bot.workspace import reset, tree
from bot.workspace.commits import whole_commit
from bot.workspace.disk import DEFAULT_BUDGET_BYTES, Disk
from bot.workspace.git import Git
from bot.workspace.jobhost import JobHost
from bot.workspace.listing import Commit
from bot.workspace.lock import is_still, make_directory, try_directory
from bot.workspace.mirror import Mirror
from bot.workspace.pool import Pool, Slot
from bot.workspace.probe import probe
from bot.workspace.record import Doubtful, Record
from bot.workspace.remote import NETWORK_VARIABLES, Remote, checked_name, checked_sha
from bot.workspace.sandbox import find_bwrap
from bot.workspace.toolhost.confine import files_uid
from bot.workspace.trash import Trash
from bot.workspace.verdict import MirrorBroken

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A job's own copy of the files of `base_sha`; no git directory is in or near `tree`."""

    base_sha: str
    tree: Path
    repository: RepositoryRef | None = None


@dataclass(slots=True)
class _Held:
    """What a job holds: its directory, and the slot of its tree with what is known of it."""

    job: Path
    job_fd: int
    slot: Slot | None = None
    record: Record | None = None
    waiting: Record | None = None
    """Set while the tree is one that has waited, as it was."""
    hosts: list[JobHost] = field(default_factory=list)

    @property
    def tree(self) -> Path:
        return self.job / "tree"

    @property
    def is_ours(self) -> bool:
        """Whether its path still leads to the directory that it holds."""
        return is_still(self.job, self.job_fd)


class Workspace:
    """Mirrors, waiting trees and jobs below one directory; several processes may share it."""

    def __init__(
        self,
        root: Path,
        *,
        git_url: str,
        verify_timeout_seconds: float,
        sandbox: SandboxStatus | None = None,
        toolchains: tuple[str, ...] = (),
        network_environment: Mapping[str, str] | None = None,
        budget_bytes: int = DEFAULT_BUDGET_BYTES,
    ) -> None:
        """Work below *root*; *sandbox* is what `probe` found (None: probe when first needed).

        `toolchains` are the operator's directories that the code inside may read.
        `network_environment` may hold proxy and certificate variables for git; others are ignored.
        Trees and mirrors together take at most *budget_bytes*.

        Raises:
            ValueError: *git_url* is not https (or http to this machine).
        """
        proxies = {k: v for k, v in (network_environment or {}).items() if k in NETWORK_VARIABLES}
        self._root = root
        self._git = Git(root / "home", Remote(git_url, proxies))
        self._verify_timeout_seconds = verify_timeout_seconds
        self._sandbox = sandbox
        self._toolchains = toolchains
        self._probing = asyncio.Lock()
        self._trash = Trash(root / "trash")
        self._pool = Pool(root / "pool", self._trash)
        self._disk = Disk(root, self._pool, self._trash, budget_bytes)
        self._held: dict[Path, _Held] = {}

    async def checkout(self, repository: RepositoryRef, sha: str, token: str, job_id: str) -> Checkout:
        """The files of *sha* for *job_id*, in a directory that no other attempt of the job ever has.

        What attempts left whose process is dead is removed first.

        Raises:
            RetryLater: The server is away, the fetch broke, or the disk is full.
            NotFound, Forbidden, Unauthorized: The server says so.
            Permanent: No such commit, too big, or a tree that must not be written.
        """
        checked_sha(sha)
        checked_name(repository.full_name)
        if _JOB_ID.fullmatch(job_id) is None:
            raise Permanent("that is no job id")
        held = await asyncio.to_thread(self._begin, job_id)
        try:
            await self._fill(held, repository, sha, token)
        except BaseException:
            await asyncio.to_thread(self._undo, held)
            raise
        self._held[held.job] = held
        return Checkout(sha, held.tree, repository)

    async def open_host(self, checkout: Checkout, options: Json | None = None) -> ToolHost:
        """A running tool host on *checkout*; for *options* see `toolhost.server.FileServer.configure`.

        Raises:
            Permanent: It does not start (cause `sandbox_error`).
        """
        status = await self.sandbox_status()
        host = JobHost(checkout.tree.parent, status, find_bwrap(), self._toolchains)
        host.max_command_seconds = self._verify_timeout_seconds
        host.options = options
        if checkout.repository is not None:
            host.history = (self._git, self._mirror(checkout.repository), checkout.base_sha)
        if held := self._held.get(checkout.tree.parent):
            held.hosts.append(host)
        await host.start()
        return host

    async def discard(self, checkout: Checkout) -> None:
        """Take the job's files away; the tree waits for the next job when nothing is left in it.

        The second time does nothing.
        """
        job = checkout.tree.parent
        held = self._held.pop(job, None)
        if held is None:
            await asyncio.to_thread(self._sweep, job)
            return
        try:
            if checkout.repository is not None:
                await self._return(held, self._mirror(checkout.repository))
        finally:
            await asyncio.to_thread(self._end, held)

    async def sandbox_status(self) -> SandboxStatus:
        """What the escape probe found; it runs once at most."""
        async with self._probing:
            if self._sandbox is None:
                self._sandbox = await probe(self._toolchains)
            return self._sandbox

    async def _fill(self, held: _Held, repository: RepositoryRef, sha: str, token: str) -> None:
        mirror = self._mirror(repository)
        room = partial(self._disk.make_room, 0, repository.id)
        taking = asyncio.ensure_future(asyncio.to_thread(self._take, held, repository.id))
        try:
            async with whole_commit(mirror, sha, token, make_room=room) as commit:
                await taking
                await self._write(held, mirror, commit, repository.id)
        except MirrorBroken:
            async with mirror.held():
                await mirror.distrust()
            raise
        finally:
            await asyncio.wait({taking})

    def _take(self, held: _Held, repository_id: int) -> None:
        """Give the job a tree that waits and that nobody has touched; it is looked through meanwhile."""
        taken = self._pool.take(repository_id, held.tree)
        if taken is None:
            return
        held.slot, record = taken
        try:
            reset.check(held.tree, record, files_uid())
        except (Doubtful, OSError):
            self._lose(held)
        else:
            held.waiting = record

    async def _write(self, held: _Held, mirror: Mirror, commit: Commit, repository_id: int) -> None:
        if held.slot is not None and held.waiting is not None:
            record, held.waiting = held.waiting, None
            try:
                held.record = await tree.turn(self._git, mirror, commit, held.tree, record)
                held.slot.note_size(commit.disk_bytes)
                return
            except tree.TooDifferent:
                held.waiting = record
                await asyncio.to_thread(self._put_back, held)
            except (OSError, RetryLater):
                await asyncio.to_thread(self._lose, held)
        await asyncio.to_thread(self._disk.make_room, commit.disk_bytes, repository_id)
        held.slot = await asyncio.to_thread(self._pool.reserve, repository_id)
        held.slot.note_size(commit.disk_bytes)
        held.record = await tree.write(self._git, mirror, commit, held.job)

    def _put_back(self, held: _Held) -> None:
        """Let a tree that was taken, and that nothing has touched, wait on."""
        if held.slot is not None and held.waiting is not None:
            self._pool.put(held.slot, held.tree, held.waiting)
            held.slot = held.waiting = None

    def _lose(self, held: _Held) -> None:
        """Throw the job's tree away."""
        self._trash.take(held.tree)
        if held.slot is not None:
            self._pool.drop(held.slot)
        held.slot = None

    async def _return(self, held: _Held, mirror: Mirror) -> None:
        """Let the tree wait for the next job, if it can be made as it was."""
        record, slot = held.record, held.slot
        if record is None or slot is None or not all(host.is_over for host in held.hosts):
            return
        if not held.is_ours:
            return
        strays = held.job / "strays"
        try:
            await asyncio.to_thread(strays.mkdir, 0o700)
            cleaned = await tree.restore(self._git, mirror, held.tree, record, strays)
            await asyncio.to_thread(self._pool.put, slot, held.tree, cleaned)
        except (Doubtful, OSError, RetryLater, tree.TooDifferent):
            return
        held.slot = None

    def _mirror(self, repository: RepositoryRef) -> Mirror:
        return Mirror(self._root / "mirrors", self._git, repository)

    def _begin(self, job_id: str) -> _Held:
        """The job's directory, new and held; what a crash left goes on this occasion."""
        for name in ("", "home", "mirrors", "jobs", "pool"):
            (self._root / name).mkdir(mode=0o700, parents=True, exist_ok=True)
        jobs = self._root / "jobs"
        for left in sorted(jobs.iterdir()):
            self._sweep(left)
        self._trash.empty()
        return _Held(*make_directory(jobs, f"{job_id}-"))

    def _sweep(self, left: Path) -> None:
        """Throw a job's directory away when no process holds it."""
        fd = try_directory(left)
        if fd is not None:
            with suppress(OSError):
                self._trash.take(left)
            os.close(fd)

    def _undo(self, held: _Held) -> None:
        """Let go after a checkout that failed; a tree that had waited waits on."""
        with suppress(OSError):
            self._put_back(held)
        self._end(held)

    def _end(self, held: _Held) -> None:
        """Let go of everything that a job holds; its files and its slot are thrown away."""
        try:
            if held.is_ours:
                self._trash.take(held.job)
            if held.slot is not None:
                self._pool.drop(held.slot)
        finally:
            os.close(held.job_fd)

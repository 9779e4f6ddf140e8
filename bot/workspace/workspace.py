"""The room's face: a checkout for a job, a tool host on it, and its removal."""

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.domain.ports import ToolHost
from bot.domain.values import RepositoryRef, SandboxStatus
from bot.errors import Permanent, RetryLater
from bot.workspace.git import Git
from bot.workspace.host import ProcessToolHost
from bot.workspace.mirror import Mirror
from bot.workspace.probe import probe
from bot.workspace.remote import NETWORK_VARIABLES, Remote, checked_name, checked_sha
from bot.workspace.removal import remove_tree
from bot.workspace.sandbox import find_bwrap
from bot.workspace.tree import materialise

_JOB_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, slots=True)
class Checkout:
    """A job's own copy of the files of `base_sha`; no git directory is in or near `tree`."""

    base_sha: str
    tree: Path


class Workspace:
    """Mirrors and trees below one directory."""

    def __init__(
        self,
        root: Path,
        *,
        git_url: str,
        verify_timeout_seconds: float,
        sandbox: SandboxStatus | None = None,
        toolchains: tuple[str, ...] = (),
        network_environment: Mapping[str, str] | None = None,
    ) -> None:
        """Work below *root*; *sandbox* is what `probe` found (None: probe when first needed).

        `toolchains` are the operator's directories that the code inside may read.
        `network_environment` may hold proxy and certificate variables for git; others are ignored.

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

    async def checkout(self, repository: RepositoryRef, sha: str, token: str, job_id: str) -> Checkout:
        """The files of *sha* for *job_id*; what an earlier attempt of the job left is removed first.

        Raises:
            RetryLater: The server is away, or the fetch broke.
            NotFound, Forbidden, Unauthorized: The server says so.
            Permanent: No such commit, too big, or a tree that must not be written.
        """
        checked_sha(sha)
        checked_name(repository.full_name)
        job = self._job(job_id)
        await asyncio.to_thread(self._make_places)
        await asyncio.to_thread(remove_tree, job)
        job.mkdir(mode=0o700)
        mirror = Mirror(self._root / "mirrors", self._git, repository)
        async with mirror.held():
            await mirror.ensure(sha, token)
            try:
                tree = await materialise(self._git, mirror.path, sha, job)
            except RetryLater:
                await mirror.distrust()
                raise
        return Checkout(sha, tree)

    async def open_host(self, checkout: Checkout) -> ToolHost:
        """A running tool host on *checkout*.

        Raises:
            Permanent: It does not start (cause `sandbox_error`).
        """
        status = await self.sandbox_status()
        host = ProcessToolHost(checkout.tree.parent, status, find_bwrap(), self._toolchains)
        host.max_command_seconds = self._verify_timeout_seconds
        await host.start()
        return host

    async def discard(self, checkout: Checkout) -> None:
        """Remove the job's files; the second time does nothing."""
        await asyncio.to_thread(remove_tree, checkout.tree.parent)

    async def sandbox_status(self) -> SandboxStatus:
        """What the escape probe found; it runs once at most."""
        async with self._probing:
            if self._sandbox is None:
                self._sandbox = await probe(self._toolchains)
            return self._sandbox

    def _job(self, job_id: str) -> Path:
        if _JOB_ID.fullmatch(job_id) is None:
            raise Permanent("that is no job id")
        return self._root / "jobs" / job_id

    def _make_places(self) -> None:
        for name in ("", "home", "mirrors", "jobs"):
            (self._root / name).mkdir(mode=0o700, parents=True, exist_ok=True)

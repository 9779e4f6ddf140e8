"""A job's tool host that also answers for the history, and of which it is known when it has ended."""

import asyncio
import os
import select
from contextlib import suppress

from bot.domain.values import Json, ToolResult
from bot.workspace import history
from bot.workspace.git import Git
from bot.workspace.host import ProcessToolHost
from bot.workspace.mirror import Mirror
from bot.workspace.toolhost.globs import Exclusion

END_TIMEOUT_SECONDS = 10.0


class JobHost(ProcessToolHost):
    """A `ProcessToolHost` with `git_log`; `is_over` says whether nothing that it started can still write."""

    history: tuple[Git, Mirror, str] | None = None
    """Where `git_log` looks: the mirror and the commit."""
    is_over = True

    async def call(self, name: str, arguments: Json, *, timeout_seconds: float) -> ToolResult:
        """As in `ProcessToolHost`; `git_log` is answered from the mirror, which the process never sees."""
        if name != "git_log":
            return await super().call(name, arguments, timeout_seconds=timeout_seconds)
        if self.history is None:
            return ToolResult(history.GONE, is_error=True)
        git, mirror, sha = self.history
        hides = Exclusion((self.options or {}).get("exclude", ()))
        return await history.answer(git, mirror, sha, arguments, hides)

    async def _stop(self) -> None:
        """End the process, and wait until the file server, its child, has ended as well."""
        if self.pid is None:
            return
        pid = self.ready.get("pid")
        watch = None
        if isinstance(pid, int):
            with suppress(ProcessLookupError):
                watch = os.pidfd_open(pid)
        await super()._stop()
        if watch is not None:
            self.is_over = await asyncio.to_thread(_has_ended, watch) and self.is_over


def _has_ended(watch: int) -> bool:
    """Whether the process of the descriptor *watch*, which is closed, ends in time.

    https://man7.org/linux/man-pages/man2/pidfd_open.2.html: it is readable when the process has ended.
    """
    try:
        readable, _, _ = select.select([watch], [], [], END_TIMEOUT_SECONDS)
        return bool(readable)
    finally:
        os.close(watch)

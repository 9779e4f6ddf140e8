"""What the workspace may take of the disk, and what goes first when it is too much."""

import os
from collections.abc import Iterator
from pathlib import Path

from bot.domain.enums import Cause
from bot.errors import Permanent, RetryLater
from bot.workspace.lock import try_file
from bot.workspace.pool import Pool, used_at_ns
from bot.workspace.trash import Trash

GIB = 1024**3
DEFAULT_BUDGET_BYTES = 20 * GIB
MIN_FREE_BYTES = GIB
"""Left to everybody else on the file system."""
WAIT_SECONDS = 60.0


class Disk:
    """The budget of trees and mirrors below *root*; trees and mirrors that a job uses are never touched."""

    def __init__(self, root: Path, pool: Pool, trash: Trash, budget_bytes: int) -> None:
        """Keep the sum below *budget_bytes*."""
        self._root = root
        self._pool = pool
        self._trash = trash
        self._budget_bytes = budget_bytes

    def make_room(self, needed_bytes: int, repository_id: int) -> None:
        """Evict what was used longest ago, trees first, until *needed_bytes* fit.

        The mirror of the repository that asks stays.

        Raises:
            Permanent: They never fit.
            RetryLater: They do not fit while other jobs run, or the file system is full.
        """
        if needed_bytes > self._budget_bytes:
            raise Permanent(
                f"the checkout needs {needed_bytes / GIB:.1f} GiB, and the workspace may hold "
                f"{self._budget_bytes / GIB:.1f} GiB; raise ISSUEWRIGHT_WORKSPACE_GIB",
                cause=Cause.SANDBOX_ERROR,
            )
        if self._free_bytes() < needed_bytes + MIN_FREE_BYTES:
            self._trash.settle()
        over = self._over(needed_bytes)
        if over > 0:
            for freed in self._evictions(repository_id):
                over -= freed
                if over <= 0:
                    break
        if self._free_bytes() < needed_bytes + MIN_FREE_BYTES:
            self._trash.settle()
        if self._over(needed_bytes) > 0:
            raise RetryLater(
                "the workspace's disk is full (ISSUEWRIGHT_WORKSPACE_GIB, and 1 GiB is left free)",
                after_seconds=WAIT_SECONDS,
                cause=Cause.SANDBOX_ERROR,
                is_away=True,
            )

    def used_bytes(self) -> int:
        """What all trees and mirrors take."""
        trees = sum(self._pool.size_bytes(path) for path in self._pool.slots())
        return trees + sum(_mirror_bytes(mirror) for mirror in self._mirrors())

    def _over(self, needed_bytes: int) -> int:
        over_budget = self.used_bytes() + needed_bytes - self._budget_bytes
        return max(over_budget, needed_bytes + MIN_FREE_BYTES - self._free_bytes())

    def _evictions(self, repository_id: int) -> Iterator[int]:
        """Throw away, step by step, what was used longest ago; each time the bytes that this freed."""
        for path in self._pool.oldest():
            yield self._pool.evict(path)
        for mirror in sorted(self._mirrors(), key=lambda mirror: used_at_ns(mirror.with_suffix(".lock"))):
            if mirror.stem != str(repository_id):
                yield self._evict_mirror(mirror)

    def _evict_mirror(self, mirror: Path) -> int:
        size_bytes = _mirror_bytes(mirror)
        fd = try_file(mirror.with_suffix(".lock"))
        if fd is None:
            return 0
        try:
            if self._pool.is_busy(int(mirror.stem)):
                return 0
            self._trash.take(mirror)
            return size_bytes
        finally:
            os.close(fd)

    def _mirrors(self) -> list[Path]:
        return [path for path in (self._root / "mirrors").glob("*.git") if path.stem.isdigit()]

    def _free_bytes(self) -> int:
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize


def _mirror_bytes(mirror: Path) -> int:
    try:
        return int(mirror.with_suffix(".size").read_text())
    except (OSError, ValueError):
        return 0

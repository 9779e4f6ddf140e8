"""A commit of a mirror while somebody reads it: one job fetches at a time, the others find what it got."""

import asyncio
import os
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from bot.errors import RetryLater
from bot.workspace import lock as lock_module
from bot.workspace import mirror as mirror_module
from bot.workspace.listing import Commit
from bot.workspace.lock import Lock, is_still
from bot.workspace.mirror import Mirror

MAX_FETCHES = 3


@asynccontextmanager
async def whole_commit(
    mirror: Mirror, sha: str, token: str, *, make_room: Callable[[], None]
) -> AsyncIterator[Commit]:
    """All of *sha*, in a mirror that stays for as long as the context lasts; *make_room* goes before a fetch.

    Raises:
        RetryLater: Others held the mirror too long, or as `Mirror.ensure` and *make_room*.
        Permanent: As `Mirror.ensure` and *make_room*.
    """
    with lock_module.opened(mirror.lock_path) as lock:
        for _ in range(MAX_FETCHES):
            commit = await _found(mirror, sha, lock)
            if commit is None:
                await asyncio.to_thread(make_room)
                commit = await _fetched(mirror, sha, token, lock)
            if commit is not None:
                yield commit
                return
    raise RetryLater("the mirror is thrown away again and again")


async def _found(mirror: Mirror, sha: str, lock: Lock) -> Commit | None:
    """What the mirror has, and *lock* held with others; or None, and it is held alone."""
    deadline = asyncio.get_running_loop().time() + mirror_module.LOCK_TIMEOUT_SECONDS
    while True:
        if mirror.knows(sha) and lock.take(is_shared=True) and (commit := await mirror.commit(sha)):
            return commit
        if lock.take(is_shared=False):
            return None
        if asyncio.get_running_loop().time() > deadline:
            raise RetryLater(lock_module.BUSY)
        # Two who stand in each other's way come back at different times.
        await asyncio.sleep(lock_module.POLL_SECONDS * random.uniform(0.5, 1.5))  # noqa: S311


async def _fetched(mirror: Mirror, sha: str, token: str, lock: Lock) -> Commit | None:
    """Fetch while *lock* is held alone, then hold it with others; None: the mirror has gone in between."""
    commit = await mirror.ensure(sha, token)
    anchor = os.open(mirror.path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        is_held = lock.take(is_shared=True)
        return commit if is_held and is_still(mirror.path, anchor) else None
    finally:
        os.close(anchor)

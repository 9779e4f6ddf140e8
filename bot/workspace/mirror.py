"""One bare repository per GitHub repository id: a cache of commits that can be thrown away at any time."""

import asyncio
import fcntl
import os
import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from bot.domain.enums import Cause
from bot.domain.values import RepositoryRef
from bot.errors import Forbidden, NotFound, Permanent, RetryLater, Unauthorized
from bot.workspace.git import Git, GitOutput
from bot.workspace.remote import checked_sha, kept_ref
from bot.workspace.removal import remove_tree

FETCH_TIMEOUT_SECONDS = 600.0
LOCK_TIMEOUT_SECONDS = 900.0
LOCK_POLL_SECONDS = 0.1
LOCAL_TIMEOUT_SECONDS = 60.0
MAX_MIRROR_BYTES = 4 * 1024**3
TOO_BIG = "the repository is too big for this installation (more than 1 GiB or 200,000 files in one commit)"

_RAW_ATTRIBUTES = "* -text -filter -ident -diff -merge !working-tree-encoding !eol\n"
"""Highest precedence: files arrive as they are stored, whatever `.gitattributes` of the tree says."""

_STATUS = re.compile(r"requested URL returned error: (\d{3})")


class Mirror:
    """The mirror of one repository below *root*; at most one holder at a time, in all processes."""

    def __init__(self, root: Path, git: Git, repository: RepositoryRef) -> None:
        """Name the places; nothing is made yet."""
        self.path = root / f"{int(repository.id)}.git"
        self._lock_path = root / f"{int(repository.id)}.lock"
        self._git = git
        self._full_name = repository.full_name

    @asynccontextmanager
    async def held(self) -> AsyncIterator[None]:
        """Hold the mirror alone; another process that dies lets go.

        Raises:
            RetryLater: Somebody held it for `LOCK_TIMEOUT_SECONDS`.
        """
        fd = os.open(self._lock_path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            async with asyncio.timeout(LOCK_TIMEOUT_SECONDS):
                while not _try_lock(fd):  # noqa: ASYNC110 - flock has no event
                    await asyncio.sleep(LOCK_POLL_SECONDS)
        except TimeoutError:
            os.close(fd)
            raise RetryLater("another job is still fetching this repository") from None
        try:
            yield
        finally:
            os.close(fd)

    async def ensure(self, sha: str, token: str) -> None:
        """Have the commit *sha* here; call it only while `held`. The second time nothing is fetched.

        Raises:
            RetryLater: The server is away, or the transfer broke (a doubtful mirror is removed).
            NotFound, Forbidden, Unauthorized: The server says so.
            Permanent: There is no such commit, or it is too big.
        """
        checked_sha(sha)
        await asyncio.to_thread(self._tidy)
        if not self.path.exists():
            await self._make()
        if await self._has(sha):
            return
        output = await self._git.fetch(
            self.path, self._full_name, sha, token, timeout_seconds=FETCH_TIMEOUT_SECONDS
        )
        if output.exit_code == 0:
            return
        error = _explained(output, sha)
        if isinstance(error, RetryLater):
            await self.distrust()
        raise error

    async def distrust(self) -> None:
        """Throw the mirror away, because what came out of it was broken; call it only while `held`."""
        await asyncio.to_thread(remove_tree, self.path)

    async def _has(self, sha: str) -> bool:
        arguments = (
            f"--git-dir={self.path}",
            "rev-parse",
            "--verify",
            "--quiet",
            f"{kept_ref(sha)}^{{tree}}",
        )
        output = await self._git.run(*arguments, timeout_seconds=LOCAL_TIMEOUT_SECONDS)
        return output.exit_code == 0

    async def _make(self) -> None:
        """Make it whole beside its place, then move it there."""
        draft = self.path.with_suffix(".new")
        await asyncio.to_thread(remove_tree, draft)
        output = await self._git.run(
            "init",
            "--bare",
            "--quiet",
            "--template=",
            "--",
            str(draft),
            timeout_seconds=LOCAL_TIMEOUT_SECONDS,
        )
        if output.exit_code != 0:
            raise RetryLater(f"a mirror could not be made: {_last_line(output.stderr)}")
        (draft / "info").mkdir(exist_ok=True)
        (draft / "info" / "attributes").write_text(_RAW_ATTRIBUTES)
        draft.rename(self.path)

    def _tidy(self) -> None:
        """Remove what a killed git left behind, and a mirror that has grown too big."""
        packs = list((self.path / "objects" / "pack").glob("*"))
        if sum(pack.stat().st_size for pack in packs) > MAX_MIRROR_BYTES:
            remove_tree(self.path)
            return
        drafts = [pack for pack in packs if pack.name.startswith("tmp_")]
        for stale in (*drafts, *self.path.glob("*.lock"), *self.path.glob("refs/issuewright/*.lock")):
            stale.unlink()


def _try_lock(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _explained(output: GitOutput, sha: str) -> Permanent | RetryLater:
    """What a failed fetch means for the job."""
    said = output.stderr
    found = _STATUS.search(said)
    status = found.group(1) if found else ""
    gone = NotFound("the repository is not there, or not for us (404)")
    rejected = Unauthorized("the server did not accept the read token (401)")
    moved = NotFound("the repository has moved to another name")
    verdicts: tuple[tuple[str, Permanent], ...] = (
        ("' not found", gone),
        ("could not read Username", rejected),
        ("Authentication failed", rejected),
        ("redirect", moved),
        ("not our ref", Permanent(f"the commit {sha} is not in the repository any more")),
        ("remote ref", Permanent(f"the commit {sha} is not in the repository any more")),
        (f"signal {signal.SIGXFSZ.value}", Permanent(TOO_BIG, cause=Cause.SANDBOX_ERROR)),
    )
    by_status = {
        "401": rejected,
        "403": Forbidden("the read token may not fetch this repository (403)"),
        "301": moved,
        "302": moved,
        "307": moved,
        "308": moved,
        "404": gone,
        "410": gone,
        "451": gone,
    }
    for words, error in verdicts:
        if words in said:
            return error
    return by_status.get(status) or RetryLater(f"the fetch failed: {_last_line(said)}")


def _last_line(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1][:300] if lines else "no word from git"

"""One bare repository per GitHub repository id: a cache of commits that can be thrown away at any time.

The first fetch brings the history without the contents of files, the second, in one request, the contents
that the wanted commit needs. Later ones bring what is new, contents included. Nothing else ever asks the
server, and no object goes before the whole mirror does.
"""

import asyncio
import time
from collections.abc import Collection
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from bot.domain.enums import Cause
from bot.domain.values import RepositoryRef
from bot.errors import RetryLater
from bot.workspace import git as git_module
from bot.workspace import listing
from bot.workspace.git import FetchRequest, FilterIgnored, Git, GitOutput, TookTooLong, TooMuchOutput
from bot.workspace.listing import Commit
from bot.workspace.lock import locked
from bot.workspace.remote import KEPT_REFS, checked_sha, kept_ref
from bot.workspace.removal import remove_tree
from bot.workspace.verdict import TooBigBefore, explained, is_too_large, last_line, refuses_filter

FETCH_TIMEOUT_SECONDS = 600.0
HISTORY_TIMEOUT_SECONDS = 300.0
"""A history that takes longer, or more than `MAX_HISTORY_BYTES`, is left out: the newest commit will do."""
MAX_HISTORY_BYTES = 1024**3
MAX_FETCH_BYTES = 2 * 1024**3
LOCK_TIMEOUT_SECONDS = 1200.0
LOCAL_TIMEOUT_SECONDS = 60.0
MAX_MIRROR_BYTES = 4 * 1024**3
MAX_PACKS = 400
"""Each fetch leaves a pack or two; a mirror with more of them is slow, and begins anew."""

NO_LARGE_CONTENTS = "blob:limit=1m"
MAX_NEAR_BYTES = 256 * 1024**2
NEAR_SECONDS = 14 * 86_400.0
"""After a commit that came so recently the next one comes with its small contents, in one request."""
MAX_REFS = 50

_RAW_ATTRIBUTES = "* -text -filter -ident -diff -merge !working-tree-encoding !eol\n"
"""Highest precedence: files arrive as they are stored, whatever `.gitattributes` of the tree says."""

_NO_FILTERS = "issuewright-no-filters"
_NEWEST_ONLY = "issuewright-newest-only"
_NO_LIMITS = "issuewright-no-limits"
_EMPTY = "issuewright-empty"
"""Files in the mirror that remember what its server or its history did not allow, or that it is empty."""


class Mirror:
    """The mirror of one repository below *root*: many readers or one who fetches, in all processes."""

    def __init__(self, root: Path, git: Git, repository: RepositoryRef) -> None:
        """Name the places; nothing is made yet."""
        self.path = root / f"{int(repository.id)}.git"
        self.size_path = root / f"{int(repository.id)}.size"
        self.lock_path = root / f"{int(repository.id)}.lock"
        self._too_big = TooBigBefore(root / f"{int(repository.id)}.too-big")
        self._git = git
        self._full_name = repository.full_name

    def held(self) -> AbstractAsyncContextManager[None]:
        """Hold the mirror alone.

        Raises:
            RetryLater: Others held it for `LOCK_TIMEOUT_SECONDS`.
        """
        return locked(self.lock_path, timeout_seconds=LOCK_TIMEOUT_SECONDS)

    @property
    def has_history(self) -> bool:
        """Whether the commits before the newest are here too."""
        return self.path.exists() and not (self.path / "shallow").exists()

    def knows(self, sha: str) -> bool:
        """Whether *sha* was fetched before, and likely is here still."""
        return (self.path / kept_ref(checked_sha(sha))).exists()

    async def ensure(self, sha: str, token: str) -> Commit:
        """Have all of the commit *sha* here; call it only while `held`. The second time nothing is fetched.

        Raises:
            RetryLater: The server is away, or the transfer broke (a doubtful mirror is removed).
            NotFound, Forbidden, Unauthorized: The server says so.
            Permanent: There is no such commit, it is too big, or a tree that must not be written.
        """
        if self._too_big.holds(sha, time.time()):
            raise listing.too_big()
        try:
            commit = await self._ensured(sha, token)
        except listing.TooBig:
            await asyncio.to_thread(self._too_big.add, sha, time.time())
            raise
        await asyncio.to_thread(self._settle)
        return commit

    async def commit(self, sha: str) -> Commit | None:
        """What *sha* holds when all of it is here, else None; call it only while `held` or `shared`.

        Raises:
            Permanent: It is too big, or a tree that must not be written.
        """
        if not self.knows(sha):
            return None
        try:
            entries, sizes = await self._listed(sha)
        except RetryLater:  # `ensure` finds out what is broken, and throws it away
            return None
        if listing.contents(entries) - sizes.keys():
            return None
        await asyncio.to_thread(listing.check_sizes, entries, sizes)
        return Commit(sha, entries, sizes)

    async def distrust(self) -> None:
        """Throw the mirror away, because what came out of it was broken; call it only while `held`."""
        await asyncio.to_thread(remove_tree, self.path)

    def local(self, *arguments: str) -> tuple[str, ...]:
        """The words of a git command on the mirror."""
        return (f"--git-dir={self.path}", *arguments)

    async def _ensured(self, sha: str, token: str) -> Commit:
        await asyncio.to_thread(self._tidy)
        if not self.path.exists():
            await self._make()
        if not self.knows(sha):
            await self._fetch_commit(sha, token)
        try:
            entries, sizes = await self._listed(sha, is_empty=self._is(_EMPTY) and not self._is(_NO_FILTERS))
        except RetryLater:
            await self.distrust()
            raise
        missing = listing.contents(entries) - sizes.keys()
        if missing and not self._is(_NO_FILTERS):
            most = listing.MAX_TREE_BYTES + listing.MAX_LISTING_BYTES
            await self._fetch(sha, token, FetchRequest(tuple(missing), FETCH_TIMEOUT_SECONDS, most))
            (self.path / _EMPTY).unlink(missing_ok=True)
            sizes |= await self._sizes(missing)
        if listing.contents(entries) - sizes.keys():
            await self.distrust()
            raise _failed("the mirror has a hole")
        await asyncio.to_thread(listing.check_sizes, entries, sizes)
        return Commit(sha, entries, sizes)

    async def _listed(
        self, sha: str, *, is_empty: bool = False
    ) -> tuple[dict[str, listing.Entry], dict[str, int]]:
        """The entries of *sha* and the sizes of the contents that are here; *is_empty*: none is.

        Looking for what is not here is slow: git looks through all packs anew each time.
        """
        words = self.local("ls-tree", "-r", *([] if is_empty else ["-l"]), "-z", "--full-tree", sha)
        try:
            output = await self._git.run(
                *words, timeout_seconds=LOCAL_TIMEOUT_SECONDS, max_output_bytes=listing.MAX_LISTING_BYTES
            )
        except TooMuchOutput:
            raise listing.too_big() from None
        if output.exit_code != 0:
            raise _failed(last_line(output.stderr))
        return await asyncio.to_thread(listing.parsed, output.stdout)

    async def _sizes(self, oids: Collection[str]) -> dict[str, int]:
        """The size of each of *oids* that is here."""
        output = await self._git.run(
            *self.local("cat-file", "--batch-check", "--buffer"),
            timeout_seconds=LOCAL_TIMEOUT_SECONDS,
            stdin="".join(f"{oid}\n" for oid in oids).encode("ascii"),
            max_output_bytes=listing.MAX_LISTING_BYTES,
        )
        if output.exit_code != 0:
            raise _failed(last_line(output.stderr))
        facts = (line.split() for line in output.stdout.decode("ascii").splitlines())
        return {words[0]: int(words[2]) for words in facts if len(words) == 3 and words[1] == "blob"}

    async def _fetch_commit(self, sha: str, token: str) -> None:
        """With its history where that is possible, else alone; what stood in the way is remembered."""
        refspecs = (f"+{sha}:{kept_ref(sha)}",)
        if self._is_near():
            near = FetchRequest(refspecs, HISTORY_TIMEOUT_SECONDS, MAX_NEAR_BYTES, NO_LARGE_CONTENTS)
            try:
                return await self._fetch(sha, token, near)
            except FilterIgnored:
                (self.path / _NO_LIMITS).touch()
            except (TookTooLong, _TooLarge):
                await asyncio.to_thread(self._tidy)
        if not self._is(_NO_FILTERS) and not self._is(_NEWEST_ONLY):
            history = FetchRequest(refspecs, HISTORY_TIMEOUT_SECONDS, MAX_HISTORY_BYTES)
            try:
                return await self._fetch(sha, token, history)
            except FilterIgnored:
                (self.path / _NO_FILTERS).touch()
            except (TookTooLong, _TooLarge):
                await self._begin_anew(_NEWEST_ONLY)
        if not self._is(_NO_FILTERS):
            alone = FetchRequest(refspecs, FETCH_TIMEOUT_SECONDS, MAX_HISTORY_BYTES, is_newest_only=True)
            try:
                return await self._fetch(sha, token, alone)
            except FilterIgnored:
                (self.path / _NO_FILTERS).touch()
        whole = FetchRequest(
            refspecs, FETCH_TIMEOUT_SECONDS, MAX_FETCH_BYTES, filter=None, is_newest_only=True
        )
        return await self._fetch(sha, token, whole)

    async def _fetch(self, sha: str, token: str, request: FetchRequest) -> None:
        output = await self._git.fetch(self.path, self._full_name, token, request)
        if output.exit_code == 0:
            return
        if request.filter is not None and refuses_filter(output):
            raise FilterIgnored
        is_full = is_too_large(output) or self._has_full_draft(request.max_bytes)
        await asyncio.to_thread(self._tidy)
        if is_full:
            raise _TooLarge(listing.TOO_BIG, cause=Cause.SANDBOX_ERROR)
        error = explained(output, sha)
        if isinstance(error, RetryLater):
            await self.distrust()
        raise error

    def _has_full_draft(self, max_bytes: int) -> bool:
        """Whether a pack was cut at the limit; git does not always say that this is why it ended."""
        drafts = (self.path / "objects" / "pack").glob("tmp_pack_*")
        return any(draft.stat().st_size >= min(max_bytes, git_module.MAX_PACK_BYTES) for draft in drafts)

    async def _begin_anew(self, marker: str) -> None:
        await self.distrust()
        await self._make()
        (self.path / marker).touch()

    def _is(self, marker: str) -> bool:
        return (self.path / marker).exists()

    async def _make(self) -> None:
        """Make it whole beside its place, then move it there."""
        draft = self.path.with_suffix(".new")
        await asyncio.to_thread(remove_tree, draft)
        words = ("init", "--bare", "--quiet", "--template=", "--", str(draft))
        output: GitOutput = await self._git.run(*words, timeout_seconds=LOCAL_TIMEOUT_SECONDS)
        if output.exit_code != 0:
            raise RetryLater(f"a mirror could not be made: {last_line(output.stderr)}")
        (draft / "info").mkdir(exist_ok=True)
        (draft / "info" / "attributes").write_text(_RAW_ATTRIBUTES)
        (draft / _EMPTY).touch()
        draft.rename(self.path)

    def _is_near(self) -> bool:
        """Whether what is new since the commits that are here is likely little: one request will do."""
        if not self.has_history or any(self._is(marker) for marker in (_NO_FILTERS, _NO_LIMITS, _EMPTY)):
            return False
        refs = self._refs()
        return bool(refs) and time.time() - refs[-1].stat().st_mtime < NEAR_SECONDS

    def _refs(self) -> list[Path]:
        """The refs of the commits that are kept, the newest last; only who holds the mirror alone asks."""
        return sorted((self.path / KEPT_REFS).glob("*"), key=lambda ref: ref.stat().st_mtime_ns)

    def _settle(self) -> None:
        """Forget the oldest refs (no object goes), and note what the objects take, for the disk's budget."""
        for old in self._refs()[:-MAX_REFS]:
            old.unlink()
        objects = (self.path / "objects").rglob("*")
        self.size_path.write_text(str(sum(found.stat().st_size for found in objects if found.is_file())))

    def _tidy(self) -> None:
        """Remove what a killed git left behind, and a mirror that has grown too big."""
        packs = list((self.path / "objects" / "pack").glob("*"))
        count = sum(pack.suffix == ".pack" for pack in packs)
        if sum(pack.stat().st_size for pack in packs) > MAX_MIRROR_BYTES or count > MAX_PACKS:
            remove_tree(self.path)
            return
        drafts = [pack for pack in packs if pack.name.startswith("tmp_")]
        for stale in (*drafts, *self.path.glob("*.lock"), *(self.path / KEPT_REFS).glob("*.lock")):
            stale.unlink()


class _TooLarge(listing.TooBig):
    """What was asked for does not fit into what a fetch may write."""


def _failed(words: str) -> RetryLater:
    return RetryLater(f"the checkout failed: {words}", cause=Cause.SANDBOX_ERROR)

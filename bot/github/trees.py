"""Calls on what git holds: files, branches, commits and trees; nothing here moves a branch that exists.

https://docs.github.com/en/rest/git
"""

from collections.abc import Sequence
from typing import Final

from bot.domain.values import Json
from bot.errors import Invalid, NotFound
from bot.github.faults import Conflict
from bot.github.line import RepositoryLine
from bot.github.paths import checked_branch, checked_path, checked_sha
from bot.github.values import FILE_MODES, CommitInfo, TreeEntry

MAX_FILE_BYTES: Final = 1024 * 1024


class TreeCalls(RepositoryLine):
    """The Git Data API and the contents of files."""

    async def file(self, path: str, ref: str | None = None) -> bytes | None:
        """The bytes of a file at *ref* (default branch without one); None when no file is there.

        Raises:
            Invalid: It is larger than 1 MiB.
        """
        variables = {"path": checked_path(path), **({"ref": ref} if ref else {})}
        try:
            kind, content = await self._raw("/contents/{path}{?ref}", variables, MAX_FILE_BYTES)
        except NotFound:
            return None
        # Folders and submodules are described in JSON instead.
        return None if kind.partition(";")[0].strip() == "application/json" else content

    async def folder(self, path: str, ref: str) -> list[str]:
        """The paths of the plain files right in a folder at *ref*, sorted; none where no folder is there.

        GitHub lists at most 1,000: https://docs.github.com/en/rest/repos/contents#get-repository-content
        """
        variables = {"path": checked_path(path), "ref": ref}
        try:
            found = await self._read("/contents/{path}{?ref}", lambda data: data, variables)
        except NotFound:
            return []
        entries = found if isinstance(found, list) else []
        return sorted(str(entry["path"]) for entry in entries if entry.get("type") == "file")

    async def branch_sha(self, branch: str) -> str | None:
        """The commit at the tip of *branch*; None when there is none, or nothing in the repository."""
        ref = f"heads/{checked_branch(branch)}"
        try:
            name, sha = await self._read(
                "/git/ref/{ref}", lambda data: (data["ref"], str(data["object"]["sha"])), {"ref": ref}
            )
        except (NotFound, Conflict):
            return None
        return sha if name == f"refs/{ref}" else None

    async def commit(self, sha: str) -> CommitInfo:
        """The commit object *sha*."""
        return await self._read("/git/commits/{sha}", CommitInfo.from_json, {"sha": checked_sha(sha)})

    async def create_tree(self, base_tree: str, entries: Sequence[TreeEntry]) -> str:
        """A tree that is *base_tree* with *entries* put in or taken out; gives its SHA."""
        for entry in entries:
            checked_path(entry.path)
            if entry.mode not in FILE_MODES:
                raise Invalid(f"not the mode of a plain file: {entry.mode!r}")
        body = {"base_tree": checked_sha(base_tree), "tree": [entry.to_json() for entry in entries]}
        return await self._write("POST", "/git/trees", _sha_of, {}, body)

    async def create_commit(self, message: str, tree: str, parents: Sequence[str]) -> str:
        """A commit by the App itself, which GitHub signs; gives its SHA."""
        body = {"message": message, "tree": checked_sha(tree), "parents": [checked_sha(p) for p in parents]}
        return await self._write("POST", "/git/commits", _sha_of, {}, body)

    async def create_ref(self, branch: str, sha: str) -> None:
        """A new branch at *sha*; never moves one that exists.

        Raises:
            Invalid: The branch exists, or GitHub does not have the commit.
        """
        body = {"ref": f"refs/heads/{checked_branch(branch)}", "sha": checked_sha(sha)}
        await self._write("POST", "/git/refs", lambda data: data["ref"], {}, body)


def _sha_of(data: Json) -> str:
    """The object id of an answer."""
    return str(data["sha"])

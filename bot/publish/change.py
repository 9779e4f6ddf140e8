"""Writes that propose a change: a branch and its pull request."""

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Final

from bot.domain.paths import protected_reason
from bot.domain.values import Json
from bot.errors import Invalid, OutcomeUnknown, Permanent
from bot.github.repository import RepositoryApi
from bot.github.values import CommitInfo, TreeEntry
from bot.publish.drafts import Draft, Hand, Remote, Write

JOB_TRAILER: Final = "Issuewright-Job"


class Branch:
    """One tree, one commit, one new ref through the Git Data API; no push, never forced.

    https://docs.github.com/en/rest/git
    """

    is_idempotent = False
    permissions: Mapping[str, str] = {"contents": "write", "pull_requests": "read"}

    async def look(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote | None:
        """The branch with a commit that carries this job's trailer and holds the frozen files.

        Where a pull request of ours has come of it already, that stands for it, whatever people have done
        with the branch since: what they pushed stays, and what they deleted is not made again.

        Raises:
            Permanent: A branch of this name exists and is not this job's, or holds another change.
        """
        branch = draft.payload["branch"]
        sha = await api.branch_sha(branch)
        commit = None if sha is None else await api.commit(sha)
        is_ours = commit is not None and _has_trailer(commit, draft.payload["job_id"])
        if commit is not None and is_ours and await _holds(api, commit, draft.payload):
            return Remote(None, commit.sha)
        pulls = [pull for pull in await api.pulls_with_head(branch) if pull.author_id == hand.bot_user_id]
        if pulls:
            return Remote(None, min(pulls, key=lambda pull: pull.number).head_sha)
        if commit is None:
            return None
        what = "holds another change for this request" if is_ours else "is not this job's"
        raise Permanent(f"the branch {branch} exists already and {what}; delete it and ask again")

    async def send(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote:
        """Commit the frozen files on the frozen base and name the commit."""
        payload = draft.payload
        tree = await _tree(api, payload)
        commit = await api.create_commit(payload["message"], tree, [payload["base_sha"]])
        try:
            await api.create_ref(payload["branch"], commit)
        except Invalid as error:
            # Somebody was faster: it is either our own earlier request that landed late, or not ours.
            return await _landed(self, api, draft, hand, error)
        return Remote(None, commit)


class PullRequest:
    """A draft pull request, unique by its head branch."""

    is_idempotent = False
    permissions: Mapping[str, str] = {"pull_requests": "write", "contents": "read"}

    async def look(self, api: RepositoryApi, draft: Draft, _hand: Hand) -> Remote | None:
        """The pull request of this head, open or closed."""
        pulls = await api.pulls_with_head(draft.payload["head"])
        first = min(pulls, key=lambda pull: pull.number, default=None)
        return None if first is None else Remote(first.number, first.url)

    async def send(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote:
        """Open it."""
        payload, body = draft.payload, draft.text("body")
        try:
            pull = await api.create_pull(payload["title"], body, payload["head"], payload["base"])
        except Invalid as error:
            # GitHub takes one for each head: an earlier request of ours may have landed late.
            return await _landed(self, api, draft, hand, error)
        return Remote(pull.number, pull.url)


async def _landed(write: Write, api: RepositoryApi, draft: Draft, hand: Hand, refused: Invalid) -> Remote:
    """The thing that stands in the way, when it is ours.

    Raises:
        OutcomeUnknown: GitHub says that it is there and does not show it yet.
        Invalid: It was *refused* for another reason.
    """
    landed = await write.look(api, draft, hand)
    if landed is not None:
        return landed
    if "already exists" in str(refused):
        raise OutcomeUnknown(str(refused)) from refused
    raise refused


def _has_trailer(commit: CommitInfo, name: str) -> bool:
    return f"{JOB_TRAILER}: {name}" in commit.message.splitlines()


async def _holds(api: RepositoryApi, commit: CommitInfo, payload: Json) -> bool:
    """Whether a commit is the frozen change; a database from a backup may have frozen another one."""
    return commit.parents == (payload["base_sha"],) and commit.tree_sha == await _tree(api, payload)


async def _tree(api: RepositoryApi, payload: Json) -> str:
    """The tree of the frozen files on the frozen base: the same files make the same tree, twice is once."""
    base = await api.commit(payload["base_sha"])
    return await api.create_tree(base.tree_sha, _entries(payload["files"]))


def _entries(files: Sequence[Json]) -> list[TreeEntry]:
    """Deletions first, for a file may take the place of a folder and a folder that of a file.

    What stood below a path that becomes a file goes with it: GitHub refuses to delete what is not there.
    """
    entries = [_entry(file) for file in files]
    kept = [entry for entry in entries if entry.content is not None]
    paths = {entry.path for entry in kept}
    gone = [entry for entry in entries if entry.content is None]
    return [*(one for one in gone if paths.isdisjoint(map(str, PurePosixPath(one.path).parents))), *kept]


def _entry(file: Json) -> TreeEntry:
    """A file of the frozen change, checked once more at the last gate before GitHub."""
    reason = protected_reason(file["path"])
    if reason is not None:
        raise Permanent(f"{file['path']} cannot be published: {reason}")
    return TreeEntry(file["path"], "100755" if file["is_executable"] else "100644", file["content"])

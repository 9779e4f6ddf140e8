"""Writes that propose a change: a branch and its pull request."""

from collections.abc import Mapping
from typing import Final

from bot.domain.paths import protected_reason
from bot.domain.values import Json
from bot.errors import Invalid, OutcomeUnknown, Permanent
from bot.github.repository import RepositoryApi
from bot.github.values import TreeEntry
from bot.publish.drafts import Draft, Hand, Remote, Write

JOB_TRAILER: Final = "Issuewright-Job"


class Branch:
    """One tree, one commit, one new ref through the Git Data API; no push, never forced.

    https://docs.github.com/en/rest/git
    """

    is_idempotent = False
    permissions: Mapping[str, str] = {"contents": "write"}

    async def look(self, api: RepositoryApi, draft: Draft, _hand: Hand) -> Remote | None:
        """The branch with a commit that carries this job's trailer.

        Raises:
            Permanent: A branch of this name exists and is not this job's.
        """
        sha = await api.branch_sha(draft.payload["branch"])
        if sha is None:
            return None
        trailer = f"{JOB_TRAILER}: {draft.payload['job_id']}"
        if trailer not in (await api.commit(sha)).message.splitlines():
            raise Permanent(
                f"the branch {draft.payload['branch']} exists already and is not this job's; "
                "delete it and ask again"
            )
        return Remote(None, sha)

    async def send(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote:
        """Commit the frozen files on the frozen base and name the commit."""
        payload = draft.payload
        entries = [_entry(file) for file in payload["files"]]
        base = await api.commit(payload["base_sha"])
        tree = await api.create_tree(base.tree_sha, entries)
        commit = await api.create_commit(payload["message"], tree, [base.sha])
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


def _entry(file: Json) -> TreeEntry:
    """A file of the frozen change, checked once more at the last gate before GitHub."""
    reason = protected_reason(file["path"])
    if reason is not None:
        raise Permanent(f"{file['path']} cannot be published: {reason}")
    return TreeEntry(file["path"], "100755" if file["is_executable"] else "100644", file["content"])

"""Each kind of write: how it is found on GitHub when it has landed, and how it is made."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, Protocol

from bot.domain import markers
from bot.domain.enums import OperationKind
from bot.domain.paths import protected_reason
from bot.domain.values import Json
from bot.errors import Invalid, Permanent
from bot.github.repository import RepositoryApi
from bot.github.values import TreeEntry

JOB_TRAILER: Final = "Issuewright-Job"


@dataclass(frozen=True, slots=True)
class Remote:
    """What GitHub calls the thing that was written."""

    id: int | None = None
    url: str | None = None


@dataclass(frozen=True, slots=True)
class Hand:
    """Who writes: the marker key and our own numeric id, by which we know our writes again."""

    marker_key: bytes
    bot_user_id: int


@dataclass(frozen=True, slots=True)
class Draft:
    """A frozen write with the remote ids of the writes that it refers to, by their keys."""

    key: str
    payload: Json
    remote_ids: Mapping[str, int]

    def text(self, name: str) -> str:
        """A text of the payload with each link replaced by the number it stands for (`#12`)."""
        text = str(self.payload[name])
        for placeholder, key in self.payload.get("links", {}).items():
            text = text.replace(placeholder, f"#{self.remote_ids[key]}")
        return text


class Write(Protocol):
    """One kind of write. `is_idempotent`: doing it twice is doing it once, so nobody looks first."""

    is_idempotent: bool
    permissions: Mapping[str, str]

    async def look(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote | None:
        """The thing, when it is there already."""

    async def send(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote:
        """Make it."""


class _Idempotent:
    is_idempotent = True

    async def look(self, _api: RepositoryApi, _draft: Draft, _hand: Hand) -> Remote | None:
        """Nothing to look for: sending twice is sending once."""
        return None


class Reaction(_Idempotent):
    """A reaction on a comment or an issue: GitHub answers 200 where it is there already."""

    permissions: Mapping[str, str] = {"issues": "write"}

    async def send(self, api: RepositoryApi, draft: Draft, _hand: Hand) -> Remote:
        """React."""
        payload = draft.payload
        return Remote(await api.react(payload["number"], payload["comment_id"], payload["content"]))


class Comment:
    """A new comment, known again by its marker and our author id; a copied marker is not ours."""

    is_idempotent = False
    permissions: Mapping[str, str] = {"issues": "write"}

    async def look(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote | None:
        """Our own comment with this operation's marker; of several the oldest."""
        for comment in await api.comments(draft.payload["number"]):
            is_ours = comment.author_id == hand.bot_user_id
            if is_ours and markers.has_marker(comment.body, hand.marker_key, draft.key):
                return Remote(comment.id, comment.url)
        return None

    async def send(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote:
        """Post it with its marker."""
        marker = markers.marker(hand.marker_key, draft.key)
        comment = await api.create_comment(draft.payload["number"], f"{draft.text('body')}\n{marker}")
        return Remote(comment.id, comment.url)


class CommentEdit(_Idempotent):
    """A new text for a comment of ours; the marker of the comment stays in it."""

    permissions: Mapping[str, str] = {"issues": "write"}

    async def send(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote:
        """Replace the text."""
        comment_key = draft.payload["comment_key"]
        marker = markers.marker(hand.marker_key, comment_key)
        comment = await api.edit_comment(draft.remote_ids[comment_key], f"{draft.text('body')}\n{marker}")
        return Remote(comment.id, comment.url)


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
        except Invalid:
            # Somebody was faster: it is either our own earlier request that landed late, or not ours.
            landed = await self.look(api, draft, hand)
            if landed is None:
                raise
            return landed
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
        except Invalid:
            # GitHub takes one for each head: an earlier request of ours may have landed late.
            landed = await self.look(api, draft, hand)
            if landed is None:
                raise
            return landed
        return Remote(pull.number, pull.url)


class Assign(_Idempotent):
    """Assignees of a pull request of ours; whoever cannot be assigned is left out by GitHub."""

    permissions: Mapping[str, str] = {"issues": "write", "pull_requests": "write"}

    async def send(self, api: RepositoryApi, draft: Draft, _hand: Hand) -> Remote:
        """Assign."""
        number = draft.remote_ids[draft.payload["pull_key"]]
        await api.assign(number, draft.payload["logins"])
        return Remote(number)


WRITES: Final[Mapping[OperationKind, Write]] = {
    OperationKind.REACTION: Reaction(),
    OperationKind.COMMENT: Comment(),
    OperationKind.COMMENT_EDIT: CommentEdit(),
    OperationKind.BRANCH: Branch(),
    OperationKind.PULL_REQUEST: PullRequest(),
    OperationKind.ASSIGN: Assign(),
}


def permissions_of(kinds: Iterable[OperationKind]) -> dict[str, str]:
    """The union of what these kinds need, for one narrow token; `write` wins over `read`."""
    union: dict[str, str] = {}
    for kind in kinds:
        for name, level in WRITES[kind].permissions.items():
            if union.get(name) != "write":
                union[name] = level
    return union


def referred_keys(payload: Json) -> set[str]:
    """The keys of the operations whose remote ids a payload needs."""
    named = {payload[name] for name in ("comment_key", "pull_key") if name in payload}
    return named | set(payload.get("links", {}).values())


def _entry(file: Json) -> TreeEntry:
    """A file of the frozen change, checked once more at the last gate before GitHub."""
    reason = protected_reason(file["path"])
    if reason is not None:
        raise Permanent(f"{file['path']} cannot be published: {reason}")
    return TreeEntry(file["path"], "100755" if file["is_executable"] else "100644", file["content"])

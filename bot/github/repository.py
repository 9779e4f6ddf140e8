"""The calls that we make on one repository, each with a timeout and none with a retry of its own."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

from bot.domain.values import Json
from bot.errors import Invalid, NotFound
from bot.github.faults import Conflict
from bot.github.paths import checked_branch, checked_path, checked_sha, is_login, split_full_name
from bot.github.transport import Credential, Transport
from bot.github.values import (
    FILE_MODES,
    CommentInfo,
    CommitInfo,
    IssueInfo,
    Permission,
    PullInfo,
    RepositoryInfo,
    TreeEntry,
)

MAX_FILE_BYTES: Final = 1024 * 1024
# A thread holds at most 2,500 comments; a page at most 100.
MAX_COMMENT_PAGES: Final = 30
MAX_PULL_PAGES: Final = 5
# https://docs.github.com/en/rest/reactions/reactions#about-reactions
REACTIONS: Final = frozenset({"+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"})

Result = TypeVar("Result")


class RepositoryApi:
    """One repository seen through one token.

    Every call may raise the errors of `bot.errors`: RateLimited, RetryLater (reads), OutcomeUnknown
    (writes whose outcome we were not told), Unauthorized, Forbidden, NotFound, Invalid.
    """

    def __init__(self, transport: Transport, full_name: str, credential: Credential) -> None:
        """Check *full_name* (`owner/name`); nothing is sent."""
        self._transport = transport
        self._credential = credential
        self._owner, self._name = split_full_name(full_name)

    async def info(self) -> RepositoryInfo:
        """The repository as GitHub names it now."""
        return await self._read("", RepositoryInfo.from_json)

    async def permission(self, login: str) -> Permission:
        """What *login* may do here; nobody we can name may do nothing."""
        if not is_login(login):
            return Permission(level="none", user_id=0)
        try:
            return await self._read(
                "/collaborators/{login}/permission", Permission.from_json, {"login": login}
            )
        except NotFound:
            return Permission(level="none", user_id=0)

    async def issue(self, number: int) -> IssueInfo:
        """Issue or pull request *number*.

        Raises:
            NotFound: It was deleted, or moved to another repository.
        """
        found = await self._read("/issues/{number}", IssueInfo.from_json, {"number": _id(number)})
        if found.number != number:
            raise NotFound(f"issue {number} was moved to another repository")
        return found

    async def file(self, path: str, ref: str | None = None) -> bytes | None:
        """The bytes of a file at *ref* (default branch without one); None when no file is there.

        Raises:
            Invalid: It is larger than 1 MiB.
        """
        variables = {**self._names(), "path": checked_path(path), **({"ref": ref} if ref else {})}
        try:
            kind, content = await self._transport.raw(
                "/repos/{owner}/{repo}/contents/{path}{?ref}",
                credential=self._credential,
                variables=variables,
                max_bytes=MAX_FILE_BYTES,
            )
        except NotFound:
            return None
        # Folders and submodules are described in JSON instead.
        return None if kind.partition(";")[0].strip() == "application/json" else content

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

    async def comments(self, number: int) -> list[CommentInfo]:
        """All comments of a thread, oldest first.

        Raises:
            Invalid: There are more than GitHub lets a thread hold.
        """
        return await self._pages(
            "/issues/{number}/comments?per_page=100",
            CommentInfo.from_json,
            {"number": _id(number)},
            MAX_COMMENT_PAGES,
        )

    async def pulls_with_head(self, branch: str) -> list[PullInfo]:
        """The pull requests, open and closed, whose head is *branch* of this same repository."""
        head = f"{self._owner}:{checked_branch(branch)}"
        # GitHub ignores a head that it does not understand and lists everything: check each.
        found = await self._pages(
            "/pulls?state=all&per_page=100{&head}",
            lambda data: PullInfo.from_json(data) if _is_own_head(data, branch) else None,
            {"head": head},
            MAX_PULL_PAGES,
        )
        return [pull for pull in found if pull is not None]

    async def react(self, number: int | None, comment_id: int | None, content: str) -> int:
        """Put a reaction on a comment, or on the thread when *comment_id* is None; gives its id.

        The second time GitHub answers with the reaction that is there.
        """
        if content not in REACTIONS or (number is None and comment_id is None):
            raise Invalid(f"no such reaction, or nothing to react to: {content!r}")
        if comment_id is not None:
            place, variables = "/issues/comments/{id}/reactions", {"id": _id(comment_id)}
        else:
            place, variables = "/issues/{id}/reactions", {"id": _id(number or 0)}
        return await self._write("POST", place, _id_of, variables, {"content": content})

    async def create_comment(self, number: int, body: str) -> CommentInfo:
        """Write a new comment in a thread."""
        return await self._write(
            "POST",
            "/issues/{number}/comments",
            CommentInfo.from_json,
            {"number": _id(number)},
            {"body": body},
        )

    async def edit_comment(self, comment_id: int, body: str) -> CommentInfo:
        """Replace the text of a comment of ours."""
        return await self._write(
            "PATCH", "/issues/comments/{id}", CommentInfo.from_json, {"id": _id(comment_id)}, {"body": body}
        )

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

    async def create_pull(
        self, title: str, body: str, head: str, base: str, *, draft: bool = True
    ) -> PullInfo:
        """Open a pull request from *head* to *base*, both branches of this repository."""
        asked = {
            "title": title,
            "body": body,
            "head": checked_branch(head),
            "base": checked_branch(base),
            "draft": draft,
        }
        return await self._write("POST", "/pulls", PullInfo.from_json, {}, asked)

    async def assign(self, number: int, logins: Sequence[str]) -> None:
        """Add assignees; GitHub leaves out, without a word, whoever cannot be assigned."""
        body = {"assignees": [login for login in logins if is_login(login)]}
        await self._write(
            "POST", "/issues/{number}/assignees", lambda data: data["number"], {"number": _id(number)}, body
        )

    def _names(self) -> dict[str, str]:
        """The two names that every path begins with."""
        return {"owner": self._owner, "repo": self._name}

    async def _read(
        self, place: str, parse: Callable[[Any], Result], variables: Mapping[str, str] | None = None
    ) -> Result:
        """GET one object beneath the repository."""
        return await self._transport.ask(
            "GET",
            "/repos/{owner}/{repo}" + place,
            parse,
            credential=self._credential,
            variables={**self._names(), **(variables or {})},
        )

    async def _pages(
        self, place: str, parse: Callable[[Any], Result], variables: Mapping[str, str], max_pages: int
    ) -> list[Result]:
        """GET a whole list beneath the repository."""
        return await self._transport.pages(
            "/repos/{owner}/{repo}" + place,
            parse,
            credential=self._credential,
            variables={**self._names(), **variables},
            max_pages=max_pages,
        )

    async def _write(
        self,
        method: str,
        place: str,
        parse: Callable[[Any], Result],
        variables: Mapping[str, str],
        body: Json,
    ) -> Result:
        """Send one change."""
        return await self._transport.ask(
            method,
            "/repos/{owner}/{repo}" + place,
            parse,
            credential=self._credential,
            variables={**self._names(), **variables},
            data=body,
        )


def _id(number: int) -> str:
    """A number as one segment of a path."""
    return str(int(number))


def _id_of(data: Json) -> int:
    """The numeric id of an answer."""
    return int(data["id"])


def _sha_of(data: Json) -> str:
    """The object id of an answer."""
    return str(data["sha"])


def _is_own_head(data: Json, branch: str) -> bool:
    """Whether a listed pull request comes from *branch* of the repository that it goes to."""
    source, target = data["head"]["repo"], data["base"]["repo"]
    return data["head"]["ref"] == branch and source is not None and source["id"] == target["id"]

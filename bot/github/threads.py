"""Calls on one thread: the issue, its comments, reactions, labels and assignees."""

import contextlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import orjson

from bot.domain.values import Json
from bot.errors import Invalid, NotFound, RetryLater
from bot.github.line import RepositoryLine, id_of, segment
from bot.github.paths import is_login
from bot.github.transport import ACCEPT_HTML, MAX_ANSWER_BYTES
from bot.github.values import IssueInfo, PostInfo
from bot.limits import PAGE_SIZE

# A thread holds at most 2,500 comments; a page at most 100.
MAX_COMMENT_PAGES: Final = 30
MAX_READINGS: Final = 3
# https://docs.github.com/en/rest/reactions/reactions#about-reactions
REACTIONS: Final = frozenset({"+1", "-1", "laugh", "confused", "heart", "hooray", "rocket", "eyes"})


class ThreadCalls(RepositoryLine):
    """An issue, or the issue side of a pull request."""

    async def issue(self, number: int) -> IssueInfo:
        """Issue or pull request *number*.

        Raises:
            NotFound: It was deleted, or moved to another repository.
        """
        found = await self._read("/issues/{number}", IssueInfo.from_json, {"number": segment(number)})
        if found.number != number:
            raise NotFound(f"issue {number} was moved to another repository")
        return found

    async def rendered(self, number: int) -> str:
        """The text of issue or pull request *number* as HTML, in which private attachments have addresses."""
        place, variables = "/issues/{number}", {"number": segment(number)}
        _, content = await self._raw(place, variables, MAX_ANSWER_BYTES, accept=ACCEPT_HTML)
        try:
            html = orjson.loads(content)["body_html"]
        except (ValueError, LookupError, TypeError):
            return ""
        return html if isinstance(html, str) else ""

    async def comments(self, number: int, since: datetime | None = None) -> list[PostInfo]:
        """The comments of a thread that were made or changed since then, oldest first; all without it.

        Where one is deleted while we turn the pages, another moves to a page that was read already: more
        than a page is read until it is the same twice.

        Raises:
            Invalid: There are more than GitHub lets a thread hold.
            RetryLater: It changes faster than it can be read.
        """
        found = await self._comments(number, since)
        for _ in range(MAX_READINGS):
            if len(found) <= PAGE_SIZE:
                return found
            before, found = found, await self._comments(number, since)
            if [one.id for one in before] == [one.id for one in found]:
                return found
        raise RetryLater(f"the comments of thread {number} change while they are read")

    async def _comments(self, number: int, since: datetime | None) -> list[PostInfo]:
        """One reading of all pages."""
        variables = {"number": segment(number), **({"since": _instant(since)} if since else {})}
        return await self._pages(
            "/issues/{number}/comments?per_page=100{&since}",
            PostInfo.from_json,
            variables,
            MAX_COMMENT_PAGES,
        )

    async def react(self, number: int | None, comment_id: int | None, content: str) -> int:
        """Put a reaction on a comment, or on the thread when *comment_id* is None; gives its id.

        The second time GitHub answers with the reaction that is there.
        """
        if content not in REACTIONS or (number is None and comment_id is None):
            raise Invalid(f"no such reaction, or nothing to react to: {content!r}")
        if comment_id is not None:
            place, variables = "/issues/comments/{id}/reactions", {"id": segment(comment_id)}
        else:
            place, variables = "/issues/{id}/reactions", {"id": segment(number or 0)}
        return await self._write("POST", place, id_of, variables, {"content": content})

    async def create_comment(self, number: int, body: str) -> PostInfo:
        """Write a new comment in a thread."""
        return await self._write(
            "POST",
            "/issues/{number}/comments",
            PostInfo.from_json,
            {"number": segment(number)},
            {"body": body},
        )

    async def edit_comment(self, comment_id: int, body: str) -> PostInfo:
        """Replace the text of a comment of ours."""
        return await self._write(
            "PATCH",
            "/issues/comments/{id}",
            PostInfo.from_json,
            {"id": segment(comment_id)},
            {"body": body},
        )

    async def delete_comment(self, comment_id: int) -> None:
        """Take a comment of ours away; one that is gone already is no error."""
        with contextlib.suppress(NotFound):
            await self._call("DELETE", "/issues/comments/{id}", lambda _: None, {"id": segment(comment_id)})

    async def assign(self, number: int, logins: Sequence[str]) -> None:
        """Add assignees; GitHub leaves out, without a word, whoever cannot be assigned."""
        body = {"assignees": [login for login in logins if is_login(login)]}
        await self._write(
            "POST",
            "/issues/{number}/assignees",
            lambda data: data["number"],
            {"number": segment(number)},
            body,
        )

    async def add_labels(self, number: int, names: Sequence[str]) -> None:
        """Put labels on a thread; those that are on it already stay."""
        await self._write(
            "POST",
            "/issues/{number}/labels",
            lambda data: _check_labels(data, names),
            {"number": segment(number)},
            {"labels": list(names)},
        )

    async def remove_label(self, number: int, name: str) -> None:
        """Take a label off a thread; one that is not on it is no error.

        Raises:
            NotFound: The thread itself is not there.
        """
        try:
            await self._call(
                "DELETE",
                "/issues/{number}/labels/{name}",
                lambda data: [label["id"] for label in data],
                {"number": segment(number), "name": name},
            )
        except NotFound:
            # The same answer for a thread that is gone and for a label that is not on: ask which it is.
            await self.issue(number)


def _check_labels(data: list[Json], names: Sequence[str]) -> None:
    """Raise ValueError unless the thread has all of these labels now; GitHub compares without case."""
    if not {name.lower() for name in names} <= {str(label["name"]).lower() for label in data}:
        raise ValueError("a label is missing in the answer")


def _instant(moment: datetime) -> str:
    """*moment* as GitHub reads it: UTC, whole seconds."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")

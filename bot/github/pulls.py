"""Calls on pull requests and their reviews."""

from collections.abc import Sequence
from typing import Any, Final

from bot.domain.values import Json
from bot.github.line import RepositoryLine, segment
from bot.github.paths import checked_branch, checked_sha
from bot.github.values import PostInfo, PullInfo, ReviewComment

MAX_PULL_PAGES: Final = 5
MAX_REVIEW_PAGES: Final = 30


class PullCalls(RepositoryLine):
    """Pull requests from branches of this same repository."""

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

    async def pull(self, number: int) -> PullInfo:
        """Pull request *number* as it stands now; raises NotFound where there is none."""
        return await self._read("/pulls/{number}", PullInfo.from_json, {"number": segment(number)})

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

    async def reviews(self, number: int) -> list[PostInfo]:
        """All reviews of a pull request, oldest first."""
        return await self._pages(
            "/pulls/{number}/reviews?per_page=100",
            PostInfo.from_json,
            {"number": segment(number)},
            MAX_REVIEW_PAGES,
        )

    async def create_review(
        self, number: int, body: str, commit_sha: str, comments: Sequence[ReviewComment]
    ) -> PostInfo:
        """Comment on a pull request as it stood at *commit_sha*; never approves or asks for changes.

        Raises:
            Invalid: A comment lies outside the diff, or GitHub does not have the commit.
        """
        asked: dict[str, Any] = {
            "body": body,
            "commit_id": checked_sha(commit_sha),
            "event": "COMMENT",
            "comments": [comment.to_json() for comment in comments],
        }
        return await self._write(
            "POST", "/pulls/{number}/reviews", PostInfo.from_json, {"number": segment(number)}, asked
        )


def _is_own_head(data: Json, branch: str) -> bool:
    """Whether a listed pull request comes from *branch* of the repository that it goes to."""
    source, target = data["head"]["repo"], data["base"]["repo"]
    return data["head"]["ref"] == branch and source is not None and source["id"] == target["id"]

"""Writes in a thread: reactions, comments, labels, assignees."""

from collections.abc import Mapping
from datetime import timedelta
from typing import Final

from bot.domain import markers
from bot.github.repository import RepositoryApi
from bot.publish.drafts import Draft, Hand, Idempotent, Remote

# A database restored from a backup hears of a request for the second time, from GitHub's log: that
# reaches back 3 days; the fourth is for clocks that differ and for a log that was long to read.
# https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks
ANOTHER_LIFE: Final = timedelta(days=4)


class Reaction(Idempotent):
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
        return next(iter(await self.copies(api, draft, hand)), None)

    async def copies(self, api: RepositoryApi, draft: Draft, hand: Hand) -> list[Remote]:
        """All comments of ours with this operation's marker, the oldest first.

        Those from before it was asked for cannot be it, so that a long thread costs no more than a short one.
        """
        since = None if draft.asked_at is None else draft.asked_at - ANOTHER_LIFE
        return [
            Remote(comment.id, comment.url)
            for comment in await api.comments(draft.payload["number"], since)
            if hand.wrote(comment, draft.key)
        ]

    async def send(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote:
        """Post it with its marker."""
        marker = markers.marker(hand.marker_key, draft.key)
        comment = await api.create_comment(draft.payload["number"], f"{draft.text('body')}\n{marker}")
        return Remote(comment.id, comment.url)


class CommentEdit(Idempotent):
    """A new text for a comment of ours; the marker of the comment stays in it."""

    permissions: Mapping[str, str] = {"issues": "write"}

    async def send(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote:
        """Replace the text."""
        comment_key = draft.payload["comment_key"]
        marker = markers.marker(hand.marker_key, comment_key)
        comment = await api.edit_comment(draft.remote_ids[comment_key], f"{draft.text('body')}\n{marker}")
        return Remote(comment.id, comment.url)


class Assign(Idempotent):
    """Assignees of a pull request of ours; whoever cannot be assigned is left out by GitHub."""

    permissions: Mapping[str, str] = {"issues": "write", "pull_requests": "write"}

    async def send(self, api: RepositoryApi, draft: Draft, _hand: Hand) -> Remote:
        """Assign."""
        number = draft.remote_ids[draft.payload["pull_key"]]
        await api.assign(number, draft.payload["logins"])
        return Remote(number)


class Labels(Idempotent):
    """Labels put on a thread and taken off it; those that are as wanted already stay so."""

    permissions: Mapping[str, str] = {"issues": "write"}

    async def send(self, api: RepositoryApi, draft: Draft, _hand: Hand) -> Remote:
        """Put on what is to be on, then take off what is not."""
        number = draft.payload["number"]
        if draft.payload["add"]:
            await api.add_labels(number, draft.payload["add"])
        for name in draft.payload["remove"]:
            await api.remove_label(number, name)
        return Remote(number)

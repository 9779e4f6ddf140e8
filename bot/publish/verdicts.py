"""Writes that judge a change: reviews and check runs."""

from collections.abc import Mapping

from bot.domain import markers
from bot.domain.values import Json
from bot.github.repository import RepositoryApi
from bot.github.values import ReviewComment
from bot.publish.drafts import Draft, Hand, Remote


class Review:
    """A review that comments and neither approves nor blocks, known again by its marker and our author id."""

    is_idempotent = False
    permissions: Mapping[str, str] = {"pull_requests": "write"}

    async def look(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote | None:
        """Our own review with this operation's marker; of several the oldest."""
        for review in await api.reviews(draft.payload["number"]):
            if hand.wrote(review, draft.key):
                return Remote(review.id, review.url)
        return None

    async def send(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote:
        """Post it on the commit that was read, with all of its remarks at once."""
        payload = draft.payload
        marker = markers.marker(hand.marker_key, draft.key)
        remarks = [_remark(one) for one in payload["comments"]]
        body = f"{draft.text('body')}\n{marker}"
        review = await api.create_review(payload["number"], body, payload["commit_sha"], remarks)
        return Remote(review.id, review.url)


class CheckRun:
    """A check run, known again by its `external_id` and our App; with a `check_key` a newer state of one."""

    is_idempotent = False
    permissions: Mapping[str, str] = {"checks": "write"}

    async def look(self, api: RepositoryApi, draft: Draft, hand: Hand) -> Remote | None:
        """Our check run of this operation; a newer state is sent again without a look."""
        if "check_key" in draft.payload:
            return None
        found = await api.check_runs(draft.payload["sha"], draft.payload["name"])
        ours = [run for run in found if (run.external_id, run.app_id) == (draft.key, hand.app_id)]
        first = min(ours, key=lambda run: run.id, default=None)
        return None if first is None else Remote(first.id, first.url)

    async def send(self, api: RepositoryApi, draft: Draft, _hand: Hand) -> Remote:
        """Make it, or bring the one that it names to the newer state."""
        payload, state = draft.payload, _state(draft)
        if "check_key" in payload:
            run = await api.update_check_run(draft.remote_ids[payload["check_key"]], state)
        else:
            run = await api.create_check_run(payload["name"], payload["sha"], draft.key, state)
        return Remote(run.id, run.url)


def _remark(one: Json) -> ReviewComment:
    """A remark of a review as it was frozen."""
    return ReviewComment(one["path"], one["line"], one["body"], one["side"], one["start_line"])


def _state(draft: Draft) -> Json:
    """Status, conclusion and words of a check run as GitHub names them."""
    output = {"title": draft.payload["title"], "summary": draft.text("summary")}
    conclusion = draft.payload["conclusion"]
    if conclusion is None:
        return {"status": "in_progress", "output": output}
    return {"status": "completed", "conclusion": conclusion, "output": output}

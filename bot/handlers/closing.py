"""What people bring to an end: an issue needs no more work, a pull request of ours is decided on."""

from collections.abc import Mapping

from bot.domain.intents import CancelJobs, EndReview, Event, Intent
from bot.handlers import payload

REASONS: Mapping[str, str] = {
    "closed": "the issue was closed",
    "deleted": "the issue was deleted",
    "transferred": "the issue was moved to another repository",
}


def ended(event: Event) -> list[Intent]:
    """End all open jobs of the issue."""
    found, reason = payload.issue_thread(event.payload), REASONS.get(event.action or "")
    if found is None or reason is None:
        return []
    return [CancelJobs(found.repository, found.installation_id, found.number, None, reason)]


def pull_closed(event: Event) -> list[Intent]:
    """A pull request was merged, or closed without; whether it is ours stands in our records."""
    pull = payload.child(event.payload, "pull_request")
    where = payload.repository(payload.child(event.payload, "repository"))
    installation_id = payload.number(payload.child(event.payload, "installation"), "id")
    number = payload.number(pull, "number")
    if where is None or installation_id is None or number is None:
        return []
    return [EndReview(where, installation_id, number, is_merged=pull.get("merged") is True)]

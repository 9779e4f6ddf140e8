"""An issue that is closed, deleted or moved away needs no more work, whoever did it."""

from collections.abc import Mapping

from bot.domain.intents import CancelJobs, Event, Intent
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

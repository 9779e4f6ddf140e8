"""A label asks for work, and taking it away ends the work.

Counted only on `issues.labeled`: an issue that is opened with the label emits `opened` and `labeled`.
"""

from collections.abc import Mapping

from bot.domain.enums import ThreadKind
from bot.domain.intents import CancelJobs, Event, Intent, StartJob
from bot.domain.values import WORK
from bot.handlers import payload

VERB_OF_LABEL: Mapping[str, str] = {
    "agent": WORK,
    "agent:fix": "fix",
    "agent:ask": "ask",
    "agent:plan": "plan",
}


def labeled(event: Event) -> list[Intent]:
    """One of our labels was put on an issue: start its verb."""
    found, label = payload.issue_thread(event.payload), _label(event)
    actor = payload.actor(event.payload, "sender")
    if found is None or actor is None or label is None or found.kind is not ThreadKind.ISSUE:
        return []
    if not found.updated_at:
        return []
    verb = VERB_OF_LABEL[label]
    return [
        StartJob(
            repository=found.repository,
            installation_id=found.installation_id,
            number=found.number,
            kind=found.kind,
            verb=verb,
            actor=actor,
            trigger=f"label:{label}",
            trigger_key=f"{found.repository.id}:{found.number}:{verb}:label:{label}:{found.updated_at}",
            snapshot=found.snapshot(),
        )
    ]


def unlabeled(event: Event) -> list[Intent]:
    """The label was taken away: end the open jobs of its verb."""
    found, label = payload.issue_thread(event.payload), _label(event)
    if found is None or label is None:
        return []
    reason = f"the label `{label}` was removed"
    return [CancelJobs(found.repository, found.installation_id, found.number, VERB_OF_LABEL[label], reason)]


def _label(event: Event) -> str | None:
    """The event's label if it is one of ours; GitHub's labels do not differ by upper and lower case."""
    name = payload.text(payload.child(event.payload, "label"), "name").casefold()
    return name if name in VERB_OF_LABEL else None

"""Which handler answers which event: one ordered table, read from above; pure."""

from collections.abc import Callable
from dataclasses import dataclass

from bot.domain.intents import Event, Intent
from bot.handlers import closing, commands, installations, labels, payload


@dataclass(frozen=True, slots=True)
class Route:
    """One row: `people_only` means that a bot's event, or one of our own writes, is ignored."""

    name: str
    action: str
    handle: Callable[[Event], list[Intent]]
    people_only: bool


ROUTES: tuple[Route, ...] = (
    Route("issues", "labeled", labels.labeled, people_only=True),
    Route("issues", "unlabeled", labels.unlabeled, people_only=True),
    Route("issues", "opened", commands.opened, people_only=True),
    Route("issue_comment", "created", commands.commented, people_only=True),
    # Facts about the world: they hold whoever made them so.
    Route("issues", "closed", closing.ended, people_only=False),
    Route("issues", "deleted", closing.ended, people_only=False),
    Route("issues", "transferred", closing.ended, people_only=False),
    Route("pull_request", "closed", closing.pull_closed, people_only=False),
    Route("installation", "created", installations.saved, people_only=False),
    Route("installation", "deleted", installations.removed, people_only=False),
    Route("installation", "suspend", installations.saved, people_only=False),
    Route("installation", "unsuspend", installations.saved, people_only=False),
    Route("installation", "new_permissions_accepted", installations.saved, people_only=False),
    Route("installation_repositories", "added", installations.repositories_changed, people_only=False),
    Route("installation_repositories", "removed", installations.repositories_changed, people_only=False),
)
_HANDLED = frozenset((route.name, route.action) for route in ROUTES)


def is_handled(name: str, action: str | None) -> bool:
    """Whether any row answers this event; others are stored as IGNORED."""
    return (name, action) in _HANDLED


def route(event: Event, *, own_app_id: int | None) -> list[Intent]:
    """The intents of *event*, in the order of the table.

    Whatever shape the payload has, nothing is raised; what is no such event gives no intents.
    """
    if not payload.is_object(event.payload):
        return []
    rows = [row for row in ROUTES if (row.name, row.action) == (event.name, event.action)]
    is_person = _is_person(event, own_app_id)
    return [intent for row in rows if is_person or not row.people_only for intent in row.handle(event)]


def _is_person(event: Event, own_app_id: int | None) -> bool:
    """Whether a person caused the event: no Bot, and no text that our own App wrote for one."""
    sender = payload.actor(event.payload, "sender")
    made = payload.child(event.payload, "comment" if event.name == "issue_comment" else "issue")
    is_ours = event.action in ("opened", "created") and payload.made_by_app(made, own_app_id)
    return sender is not None and not sender.is_bot and not is_ours

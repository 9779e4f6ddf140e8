"""What a handler wants done: plain values, applied by `bot.intake.dispatch`."""

from dataclasses import dataclass
from typing import TypeAlias

from bot.domain.enums import ThreadKind
from bot.domain.values import Actor, Json, RepositoryRef, Snapshot


@dataclass(frozen=True, slots=True)
class Event:
    """A stored delivery as the router sees it."""

    name: str
    action: str | None
    payload: Json


@dataclass(frozen=True, slots=True)
class StartJob:
    """Somebody asks for work in a thread; the permission gate and submit decide the rest.

    The dispatcher adds the `delivery_id` under which the event is stored.
    """

    repository: RepositoryRef
    installation_id: int
    number: int
    kind: ThreadKind
    verb: str
    actor: Actor
    trigger: str
    trigger_key: str
    snapshot: Snapshot
    comment_id: int | None = None
    head_sha: str | None = None
    delivery_id: str | None = None


@dataclass(frozen=True, slots=True)
class CancelJobs:
    """End the open jobs of a thread (of one verb, or of all when it is None); `reason` in words."""

    repository: RepositoryRef
    installation_id: int
    number: int
    verb: str | None
    reason: str


@dataclass(frozen=True, slots=True)
class Speak:
    """Somebody speaks in a thread that may have a job: a command about it (*verb*), or words for it (None).

    The dispatcher adds the `delivery_id` under which the event is stored.
    """

    repository: RepositoryRef
    installation_id: int
    number: int
    actor: Actor
    comment_id: int
    verb: str | None
    words: str
    delivery_id: str | None = None


@dataclass(frozen=True, slots=True)
class EndReview:
    """A pull request was merged, or closed without; if it is ours, people have decided on it."""

    repository: RepositoryRef
    installation_id: int
    number: int
    is_merged: bool


@dataclass(frozen=True, slots=True)
class PostHelp:
    """Answer `/agent help`, or a command nobody knows (`problem` then shows where it fails)."""

    repository: RepositoryRef
    installation_id: int
    number: int
    actor: Actor
    comment_id: int | None
    problem: str | None = None


@dataclass(frozen=True, slots=True)
class SaveInstallation:
    """An installation exists (or is suspended): keep it, its account and its repositories."""

    installation_id: int
    account_id: int
    account_login: str
    account_type: str
    is_suspended: bool
    permissions: tuple[tuple[str, str], ...]
    repositories: tuple[RepositoryRef, ...]
    removed_repository_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RemoveInstallation:
    """The App was uninstalled: no further call for it, its open jobs end."""

    installation_id: int


Intent: TypeAlias = (
    StartJob | Speak | CancelJobs | EndReview | PostHelp | SaveInstallation | RemoveInstallation
)

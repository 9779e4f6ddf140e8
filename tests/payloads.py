"""Small GitHub events as dictionaries, and the real sample payloads.

The builders hold only the fields that a handler may read, with the values of one made-up repository;
every one takes what a test wants to be different by name.
"""

import functools
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from bot.domain.intents import Event
from bot.domain.values import Json

SAMPLES = Path(__file__).parent / "samples" / "webhooks"
OWN_APP_ID = 4242
INSTALLATION_ID = 77
REPOSITORY_ID = 500
NUMBER = 7
ISSUE_ID = 9_000_007
COMMENT_ID = 8_000_001
UPDATED_AT = "2026-11-22T12:00:00Z"


@dataclass(frozen=True, slots=True)
class Sample:
    """One real payload: its id is unique and good as a pytest id."""

    id: str
    event: str
    action: str | None
    has_installation: bool
    payload: Json


@functools.cache
def samples() -> tuple[Sample, ...]:
    """All 211 sample payloads, sorted by id. Do not change what is in them: copy first."""
    records = [record for path in sorted(SAMPLES.glob("*.json")) for record in json.loads(path.read_bytes())]
    keys = ("id", "event", "action", "has_installation", "payload")
    return tuple(
        sorted(
            (Sample(**{key: record[key] for key in keys}) for record in records), key=lambda sample: sample.id
        )
    )


def user(login: str = "mona", account_id: int = 100, kind: str = "User") -> Json:
    """An account."""
    return {"id": account_id, "login": login, "type": kind}


def repository(
    full_name: str = "octo/shop", repository_id: int = REPOSITORY_ID, *, private: bool = False
) -> Json:
    """A repository as events carry it."""
    owner, name = full_name.split("/")
    return {
        "id": repository_id,
        "name": name,
        "full_name": full_name,
        "private": private,
        "default_branch": "main",
        "owner": user(owner, 90, "Organization"),
    }


def issue(
    title: str = "Totals are wrong",
    body: str | None = "The sum is off by one.",
    *,
    number: int = NUMBER,
    labels: tuple[str, ...] = (),
    author: Json | None = None,
    is_pull_request: bool = False,
    updated_at: str = UPDATED_AT,
    app_id: int | None = None,
) -> Json:
    """An issue, or a pull request as the issue events show it; its id follows the number."""
    built: Json = {
        "id": ISSUE_ID - NUMBER + number,
        "number": number,
        "title": title,
        "body": body,
        "state": "open",
        "user": user() if author is None else author,
        "labels": [{"id": 600 + index, "name": name} for index, name in enumerate(labels)],
        "created_at": "2026-11-22T11:00:00Z",
        "updated_at": updated_at,
        "performed_via_github_app": _app(app_id),
    }
    return built | {"pull_request": {"url": "https://api.github.com/x"}} if is_pull_request else built


def comment(
    body: str,
    *,
    comment_id: int = COMMENT_ID,
    author: Json | None = None,
    app_id: int | None = None,
) -> Json:
    """A comment in an issue's thread."""
    return {
        "id": comment_id,
        "body": body,
        "user": user() if author is None else author,
        "author_association": "OWNER",
        "performed_via_github_app": _app(app_id),
    }


def issues_event(
    action: str,
    *,
    label: str | None = None,
    of: Json | None = None,
    sender: Json | None = None,
    installation_id: int | None = INSTALLATION_ID,
    extra: Mapping[str, object] | None = None,
) -> Json:
    """An `issues` payload; *of* is the issue, *label* the one put on or taken away."""
    named = {} if label is None else {"label": {"id": 600, "name": label}}
    shown = issue(labels=(label,) if label and action == "labeled" else ()) if of is None else of
    return _event(action, sender, installation_id) | {"issue": shown} | named | dict(extra or {})


def comment_event(
    body: str,
    *,
    action: str = "created",
    of: Json | None = None,
    sender: Json | None = None,
    author: Json | None = None,
    comment_id: int = COMMENT_ID,
    app_id: int | None = None,
    installation_id: int | None = INSTALLATION_ID,
) -> Json:
    """An `issue_comment` payload; the comment is the sender's unless *author* says otherwise."""
    said = comment(body, comment_id=comment_id, author=author or sender, app_id=app_id)
    shown = issue() if of is None else of
    return _event(action, sender, installation_id) | {"issue": shown, "comment": said}


def installation_event(
    action: str,
    *,
    account: Json | None = None,
    repositories: tuple[Json, ...] | None = None,
    suspended_at: str | None = None,
    sender: Json | None = None,
) -> Json:
    """An `installation` payload."""
    built = {
        "action": action,
        "installation": _installation(account, suspended_at),
        "sender": user() if sender is None else sender,
    }
    if repositories is None and action in ("created", "deleted"):
        repositories = (_short(repository()),)
    return built if repositories is None else built | {"repositories": [_short(one) for one in repositories]}


def installation_repositories_event(
    action: str, *, added: tuple[Json, ...] = (), removed: tuple[Json, ...] = ()
) -> Json:
    """An `installation_repositories` payload."""
    return {
        "action": action,
        "installation": _installation(None, None),
        "repository_selection": "selected",
        "repositories_added": [_short(one) for one in added],
        "repositories_removed": [_short(one) for one in removed],
        "sender": user(),
    }


def event(name: str, payload: Json) -> Event:
    """The payload as the router takes it."""
    return Event(name=name, action=payload.get("action"), payload=payload)


def _event(action: str, sender: Json | None, installation_id: int | None) -> Json:
    """What every event in a repository carries."""
    built = {"action": action, "repository": repository(), "sender": user() if sender is None else sender}
    return (
        built
        if installation_id is None
        else built | {"installation": {"id": installation_id, "node_id": "x"}}
    )


def _installation(account: Json | None, suspended_at: str | None) -> Json:
    """An installation as its own events carry it."""
    return {
        "id": INSTALLATION_ID,
        "app_id": OWN_APP_ID,
        "account": user("octo", 90, "Organization") if account is None else account,
        "target_type": "Organization",
        "permissions": {"issues": "write", "contents": "write", "metadata": "read"},
        "suspended_at": suspended_at,
    }


def _short(full: Json) -> Json:
    """A repository as installation events carry it."""
    return {key: full[key] for key in ("id", "name", "full_name", "private")}


def _app(app_id: int | None) -> Json | None:
    """The App through which a text was written."""
    return None if app_id is None else {"id": app_id, "slug": "some-app"}

"""Reads the few fields that we need from GitHub's payloads; nothing here raises on any shape."""

import re
from dataclasses import dataclass

from bot.domain.enums import ThreadKind
from bot.domain.values import Actor, Json, RepositoryRef, Snapshot
from bot.limits import BODY_MAX_CHARS

MAX_TITLE_CHARS = 1_024
_MAX_NAME_CHARS = 255
_MAX_LABELS = 100
_MAX_ID = 2**63 - 1
_LOGIN = re.compile(r"[A-Za-z0-9_-]{1,100}(?:\[bot\])?", re.ASCII)
_FULL_NAME = re.compile(r"[A-Za-z0-9_-]{1,100}/(?!\.{1,2}\Z)[A-Za-z0-9._-]{1,100}", re.ASCII)
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Thread:
    """An issue or pull request as the signed event shows it, and where it stands."""

    repository: RepositoryRef
    installation_id: int
    number: int
    issue_id: int
    kind: ThreadKind
    title: str
    body: str
    labels: tuple[str, ...]
    author: Actor | None
    updated_at: str

    def snapshot(self, words: str = "") -> Snapshot:
        """The text that a job works from, clipped to GitHub's limits, with a command's *words*."""
        return Snapshot(
            title=self.title[:MAX_TITLE_CHARS],
            body=self.body[:BODY_MAX_CHARS],
            words=words,
            labels=self.labels,
            author=self.author.login if self.author else "",
        )


def is_object(value: object) -> bool:
    """Whether a body is a JSON object at all."""
    return isinstance(value, dict)


def child(value: object, key: str) -> Json:
    """The object under *key*, or an empty one."""
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, dict) else {}


def children(value: object, key: str) -> list[Json]:
    """The objects of the list under *key*; whatever else is in it is left out."""
    found = value.get(key) if isinstance(value, dict) else None
    return [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []


def text(value: Json, key: str) -> str:
    """The text under *key*, or an empty one; what no database stores (NUL, lone surrogates) is replaced."""
    found = value.get(key)
    return _UNSTORABLE.sub("\N{REPLACEMENT CHARACTER}", found) if isinstance(found, str) else ""


def number(value: Json, key: str) -> int | None:
    """The positive whole number under *key* (ids and issue numbers), or None."""
    found = value.get(key)
    if not isinstance(found, int) or isinstance(found, bool):
        return None
    return found if 0 < found <= _MAX_ID else None


def actor(value: Json, key: str) -> Actor | None:
    """The account under *key*; `is_bot` follows its type, never its name."""
    account = child(value, key)
    account_id, login = number(account, "id"), text(account, "login")
    if account_id is None or not _LOGIN.fullmatch(login):
        return None
    return Actor(id=account_id, login=login, is_bot=account.get("type") == "Bot")


def repository(value: Json) -> RepositoryRef | None:
    """A repository object; one without a sound id and full name is None."""
    repository_id, full_name = number(value, "id"), text(value, "full_name")
    if repository_id is None or not _FULL_NAME.fullmatch(full_name):
        return None
    return RepositoryRef(
        id=repository_id,
        full_name=full_name,
        default_branch=text(value, "default_branch")[:_MAX_NAME_CHARS] or "main",
        is_private=value.get("private") is True,
    )


def repositories(payload: Json, key: str) -> tuple[RepositoryRef, ...]:
    """The sound repository objects of the list under *key*."""
    return tuple(found for item in children(payload, key) if (found := repository(item)))


def label_names(issue: Json) -> tuple[str, ...]:
    """The names of an issue's labels, at most `_MAX_LABELS`."""
    names = (text(label, "name")[:_MAX_NAME_CHARS] for label in children(issue, "labels")[:_MAX_LABELS])
    return tuple(name for name in names if name)


def thread(payload: Json) -> Thread | None:
    """The thread of an `issues` or `issue_comment` payload.

    None when a part is missing that every such event of an App has: repository, installation, number, id.
    """
    issue = child(payload, "issue")
    where = repository(child(payload, "repository"))
    installation_id = number(child(payload, "installation"), "id")
    issue_number, issue_id = number(issue, "number"), number(issue, "id")
    if where is None or installation_id is None or issue_number is None or issue_id is None:
        return None
    return Thread(
        repository=where,
        installation_id=installation_id,
        number=issue_number,
        issue_id=issue_id,
        kind=ThreadKind.PULL_REQUEST if issue.get("pull_request") else ThreadKind.ISSUE,
        title=text(issue, "title"),
        body=text(issue, "body"),
        labels=label_names(issue),
        author=actor(issue, "user"),
        updated_at=text(issue, "updated_at")[:_MAX_NAME_CHARS],
    )


def issue_thread(payload: Json) -> Thread | None:
    """The thread of an `issues` payload; a payload with a comment is another event's."""
    return None if "comment" in payload else thread(payload)


def made_by_app(made: Json, app_id: int | None) -> bool:
    """Whether the App *app_id* wrote this issue or comment on somebody's behalf."""
    return app_id is not None and number(child(made, "performed_via_github_app"), "id") == app_id

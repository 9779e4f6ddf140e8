"""What we read from GitHub's answers: small frozen values, each field named by what it means to us.

Every `from_json` takes one object of an answer and raises KeyError, TypeError, ValueError or
AttributeError when the object has another shape; `bot.github.transport` turns those into a broken answer.
"""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from bot.domain.values import Json, RepositoryRef

FILE_MODES: Final = frozenset({"100644", "100755"})
LEVELS: Final = frozenset({"admin", "write", "read", "none"})


@dataclass(frozen=True, slots=True)
class AppIdentity:
    """Who we are on this GitHub: the App, and the account that writes as `<slug>[bot]`."""

    app_id: int
    slug: str
    bot_login: str
    bot_user_id: int


@dataclass(frozen=True, slots=True)
class InstallationInfo:
    """An installation of the App: whose it is, what it grants, whether it is suspended."""

    id: int
    account_id: int
    account_login: str
    account_type: str
    is_suspended: bool
    permissions: tuple[tuple[str, str], ...]

    @classmethod
    def from_json(cls, data: Json) -> "InstallationInfo":
        """Read `GET /app/installations/{installation_id}`; an enterprise has a slug and no login."""
        account = data["account"]
        return cls(
            id=int(data["id"]),
            account_id=int(account["id"]),
            account_login=str(account.get("login") or account["slug"]),
            account_type=str(account.get("type") or "Enterprise"),
            is_suspended=data.get("suspended_at") is not None,
            permissions=tuple(sorted((str(k), str(v)) for k, v in data["permissions"].items())),
        )


@dataclass(frozen=True, slots=True)
class InstallationToken:
    """A short-lived token for one repository; its value never shows in a repr.

    The value has no fixed length or alphabet: up to about 520 characters with dots
    (https://github.blog/changelog/2026-05-15).
    """

    value: str = field(repr=False)
    expires_at: datetime

    @classmethod
    def from_json(cls, data: Json) -> "InstallationToken":
        """Read `POST /app/installations/{installation_id}/access_tokens`."""
        value = data["token"]
        if not isinstance(value, str) or not value:
            raise ValueError("no token in the answer")
        return cls(value=value, expires_at=datetime.fromisoformat(data["expires_at"]))


@dataclass(frozen=True, slots=True)
class RepositoryInfo(RepositoryRef):
    """A repository as GitHub names it now, and whether it takes no more writes."""

    is_archived: bool = False

    @classmethod
    def from_json(cls, data: Json) -> "RepositoryInfo":
        """Read `GET /repos/{owner}/{repo}`."""
        return cls(
            id=int(data["id"]),
            full_name=str(data["full_name"]),
            default_branch=str(data["default_branch"]),
            is_private=bool(data["private"]),
            is_archived=bool(data["archived"]),
        )


@dataclass(frozen=True, slots=True)
class Permission:
    """What a person may do in a repository: the coarse level, and the numeric id it belongs to."""

    level: str
    user_id: int

    @classmethod
    def from_json(cls, data: Json) -> "Permission":
        """Read `GET …/collaborators/{login}/permission`; an unknown level or no user is `none`."""
        level, user = data["permission"], data["user"]
        if level not in LEVELS or user is None:
            return cls(level="none", user_id=0)
        return cls(level=str(level), user_id=int(user["id"]))


@dataclass(frozen=True, slots=True)
class IssueInfo:
    """An issue, or the issue side of a pull request."""

    number: int
    title: str
    body: str
    state: str
    is_locked: bool
    is_pull_request: bool
    url: str
    labels: tuple[str, ...] = ()

    @classmethod
    def from_json(cls, data: Json) -> "IssueInfo":
        """Read `GET …/issues/{number}`; no body is an empty one."""
        return cls(
            number=int(data["number"]),
            title=str(data["title"]),
            body=str(data.get("body") or ""),
            state=str(data["state"]),
            is_locked=bool(data["locked"]),
            is_pull_request=data.get("pull_request") is not None,
            url=str(data["html_url"]),
            labels=tuple(_label_name(label) for label in data["labels"]),
        )


def _label_name(label: Json | str) -> str:
    """The name of an issue's label; the API's description allows a bare string too."""
    return label if isinstance(label, str) else str(label.get("name") or "")


@dataclass(frozen=True, slots=True)
class PostInfo:
    """A comment of a thread or a review of a pull request; `author_id` is 0 when the account is gone."""

    id: int
    author_id: int
    body: str
    url: str

    @classmethod
    def from_json(cls, data: Json) -> "PostInfo":
        """Read one issue comment or one review."""
        user = data["user"]
        return cls(
            id=int(data["id"]),
            author_id=int(user["id"]) if user is not None else 0,
            body=str(data.get("body") or ""),
            url=str(data["html_url"]),
        )


@dataclass(frozen=True, slots=True)
class CommitInfo:
    """A commit object: its tree, its whole message, its parents' SHAs."""

    sha: str
    tree_sha: str
    message: str
    parents: tuple[str, ...]

    @classmethod
    def from_json(cls, data: Json) -> "CommitInfo":
        """Read `…/git/commits/{sha}`."""
        return cls(
            sha=str(data["sha"]),
            tree_sha=str(data["tree"]["sha"]),
            message=str(data["message"]),
            parents=tuple(str(parent["sha"]) for parent in data["parents"]),
        )


@dataclass(frozen=True, slots=True)
class PullInfo:
    """A pull request; `state` is `open` or `closed`, `author_id` 0 when the account is gone."""

    number: int
    url: str
    state: str
    is_draft: bool
    head_sha: str
    is_merged: bool = False
    author_id: int = 0

    @classmethod
    def from_json(cls, data: Json) -> "PullInfo":
        """Read one pull request of a list or of `POST …/pulls`."""
        user = data["user"]
        return cls(
            number=int(data["number"]),
            url=str(data["html_url"]),
            state=str(data["state"]),
            is_draft=bool(data.get("draft", False)),
            head_sha=str(data["head"]["sha"]),
            is_merged=data.get("merged_at") is not None,
            author_id=int(user["id"]) if user is not None else 0,
        )


@dataclass(frozen=True, slots=True)
class TreeEntry:
    """One file of a new tree: `mode` is 100644 or 100755, `content` None deletes the file."""

    path: str
    mode: str
    content: str | None

    def to_json(self) -> Json:
        """The form that `POST …/git/trees` takes."""
        entry: Json = {"path": self.path, "mode": self.mode, "type": "blob"}
        return {**entry, "sha": None} if self.content is None else {**entry, "content": self.content}


@dataclass(frozen=True, slots=True)
class ReviewComment:
    """A remark on lines of a diff; `start_line` where it begins above `line`, `side` LEFT or RIGHT."""

    path: str
    line: int
    body: str
    side: str = "RIGHT"
    start_line: int | None = None

    def to_json(self) -> Json:
        """The form that `POST …/pulls/{number}/reviews` takes."""
        entry: Json = {"path": self.path, "line": self.line, "side": self.side, "body": self.body}
        if self.start_line is not None:
            entry |= {"start_line": self.start_line, "start_side": self.side}
        return entry


@dataclass(frozen=True, slots=True)
class CheckRunInfo:
    """A check run; `app_id` says whose it is, `external_id` is what its maker calls it."""

    id: int
    name: str
    external_id: str
    app_id: int
    url: str

    @classmethod
    def from_json(cls, data: Json) -> "CheckRunInfo":
        """Read one check run."""
        app = data["app"]
        return cls(
            id=int(data["id"]),
            name=str(data["name"]),
            external_id=str(data.get("external_id") or ""),
            app_id=int(app["id"]) if app is not None else 0,
            url=str(data.get("html_url") or ""),
        )

"""What the forge remembers: accounts, repositories, threads, installations and tokens."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True, eq=False)
class User:
    """An account; `kind` is `User`, `Organization` or `Bot`."""

    id: int
    login: str
    kind: str = "User"
    created_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Attachment:
    """A picture in a text: its bytes, whether only people with access see it, the signature that opens it."""

    data: bytes
    is_private: bool
    signature: str


@dataclass(slots=True, eq=False)
class Label:
    """A label of a repository; names are compared without case."""

    id: int
    name: str
    color: str = "ededed"
    description: str | None = None


@dataclass(slots=True, eq=False)
class Reaction:
    """One emoji by one account."""

    id: int
    user: User
    content: str
    created_at: float


@dataclass(slots=True, eq=False)
class Comment:
    """A comment of a thread; reads see it from `visible_at` (forge time) on."""

    id: int
    number: int
    author: User
    body: str
    created_at: float
    updated_at: float
    via_app: bool = False
    visible_at: float = 0.0
    reactions: list[Reaction] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Remark:
    """A remark of a review on lines of the diff."""

    path: str
    line: int
    body: str
    side: str
    start_line: int | None


@dataclass(slots=True, eq=False)
class Review:
    """A review of a pull request; reads see it from `visible_at` (forge time) on."""

    id: int
    author: User
    body: str
    state: str
    commit_id: str
    submitted_at: float
    remarks: list[Remark]
    visible_at: float = 0.0


@dataclass(slots=True, eq=False)
class CheckRun:
    """A check run of the App; reads see it from `visible_at` (forge time) on."""

    id: int
    suite_id: int
    name: str
    head_sha: str
    external_id: str
    started_at: float
    status: str = "queued"
    conclusion: str | None = None
    completed_at: float | None = None
    title: str | None = None
    summary: str | None = None
    visible_at: float = 0.0


@dataclass(slots=True, eq=False)
class Pull:
    """What makes a thread a pull request; SHAs are frozen when it is closed."""

    id: int
    head: str
    base: str
    is_draft: bool
    head_sha: str
    base_sha: str
    merged_at: float | None = None
    merged_by: User | None = None
    merge_commit_sha: str | None = None
    reviews: list[Review] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Thread:
    """An issue, or a pull request when `pull` is set; both share one row of numbers."""

    id: int
    number: int
    author: User
    title: str
    body: str | None
    created_at: float
    updated_at: float
    via_app: bool = False
    visible_at: float = 0.0
    pull: Pull | None = None
    labels: list[Label] = field(default_factory=list)
    assignees: list[User] = field(default_factory=list)
    reactions: list[Reaction] = field(default_factory=list)
    comments: list[Comment] = field(default_factory=list)
    state: str = "open"
    state_reason: str | None = None
    closed_at: float | None = None
    closed_by: User | None = None
    is_locked: bool = False
    is_deleted: bool = False


@dataclass(slots=True, eq=False)
class Repository:
    """A repository; `path` is its bare repository, `hidden_refs` maps a ref to when it appears."""

    id: int
    owner: User
    name: str
    path: Path
    is_private: bool
    default_branch: str
    created_at: float
    pushed_at: float
    is_archived: bool = False
    labels: dict[str, Label] = field(default_factory=dict)
    threads: dict[int, Thread] = field(default_factory=dict)
    levels: dict[str, str] = field(default_factory=dict)
    hidden_refs: dict[str, float] = field(default_factory=dict)
    check_runs: list[CheckRun] = field(default_factory=list)

    @property
    def full_name(self) -> str:
        """`owner/name`."""
        return f"{self.owner.login}/{self.name}"


@dataclass(slots=True, eq=False)
class Installation:
    """The App on one account; `repository_ids` None means all of the account's repositories."""

    id: int
    account: User
    repository_ids: set[int] | None
    permissions: dict[str, str]
    created_at: float
    updated_at: float
    suspended_at: float | None = None
    suspended_by: User | None = None


@dataclass(slots=True, eq=False)
class Token:
    """An installation token; `repository_ids` None means all that the installation covers."""

    id: int
    value: str = field(repr=False)
    installation_id: int
    repository_ids: frozenset[int] | None
    permissions: Mapping[str, str]
    expires_at: float
    is_revoked: bool = False


@dataclass(slots=True, eq=False)
class App:
    """The registered GitHub App; several public keys are valid at once during a rotation."""

    id: int
    slug: str
    name: str
    owner: User
    bot: User
    public_keys: list[str]
    permissions: dict[str, str]
    events: list[str]
    created_at: float

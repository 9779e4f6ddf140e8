"""The small frozen values that pass between the rooms."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TypeAlias

from bot.domain.enums import IssuePriority, IssueType, Phase, ThreadKind, Tier

Json: TypeAlias = dict[str, Any]

WORK = "work"
"""The verb of the plain label `agent`: what is done, and by whom, follows from what the request is."""
WRITING_VERBS = frozenset({"fix", WORK})
"""The verbs whose jobs may change code; one of them is open in a thread at a time."""


def open_key(repository_id: int, number: int, verb: str) -> str:
    """The key that only one open job may hold: a thread's for each verb, and one for all that may write."""
    return f"{repository_id}:{number}:{'fix' if verb in WRITING_VERBS else verb}"


@dataclass(frozen=True, slots=True)
class Scope:
    """Whose rows a query may see: one organization's, or all of them for the system's own work."""

    organization_id: str | None

    @classmethod
    def system(cls) -> "Scope":
        """The scope of work that belongs to no tenant; says so in so many words."""
        return cls(None)


@dataclass(frozen=True, slots=True)
class Actor:
    """A GitHub account as the signed event names it."""

    id: int
    login: str
    is_bot: bool = False


@dataclass(frozen=True, slots=True)
class RepositoryRef:
    """A repository as the signed event or GitHub names it."""

    id: int
    full_name: str
    default_branch: str = "main"
    is_private: bool = False

    @property
    def owner(self) -> str:
        """The login before the slash."""
        return self.full_name.split("/", 1)[0]


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The text that the signed event carried: the only input from the thread."""

    title: str
    body: str
    words: str = ""
    labels: tuple[str, ...] = ()
    author: str = ""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a job came from: the row of `job_origins`.

    `trigger_key` is unique for ever (repository:number:verb:comment id, or label and the
    issue's `updated_at`); `open_key` (`open_key` of the same) is unique while the job is open.
    `delivery_id` is our id of the delivery that asked, where one did; `continues_id` the job whose
    conversation this one goes on with.
    """

    repository_id: int
    number: int
    kind: ThreadKind
    verb: str
    actor: Actor
    trigger: str
    trigger_key: str
    snapshot: Snapshot
    installation_id: int
    comment_id: int | None = None
    head_sha: str | None = None
    confidence: float | None = None
    delivery_id: str | None = None
    continues_id: str | None = None

    @property
    def open_key(self) -> str:
        """The key that only one open job may hold."""
        return open_key(self.repository_id, self.number, self.verb)

    @property
    def write_key(self) -> str | None:
        """What the job may write code to; one job at a time holds it. None: it writes no code."""
        return f"{self.repository_id}:{self.number}" if self.verb in WRITING_VERBS else None


@dataclass(frozen=True, slots=True)
class Triage:
    """What a request is, who should do it, and how sure that is (0 to 1).

    `complexity` (1 to 10) and `module` are known once a model has looked at it.
    """

    type: IssueType
    priority: IssuePriority
    agent_type: str
    model: str
    confidence: float
    complexity: int | None = None
    module: str = ""


@dataclass(frozen=True, slots=True)
class ClaimedJob:
    """A job that this worker owns until `lease_until`; every write carries `fence`.

    `request_name` follows from the request itself; a job of an earlier version has none.
    """

    id: str
    issue_id: str
    organization_id: str
    agent_type: str
    model: str
    attempts: int
    max_attempts: int
    fence: int
    phase: Phase
    lease_until: datetime
    origin: Origin
    repository: RepositoryRef
    crashes_without_progress: int = 0
    request_name: str | None = None

    @property
    def name(self) -> str:
        """What the job's writes are named by; no other job ever has it."""
        return self.request_name or self.id


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one model call."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_write_tokens: int = 0
    cache_read_tokens: int = 0

    @property
    def prompt_tokens(self) -> int:
        """The whole prompt: fresh, written to the cache and read from it."""
        return self.input_tokens + self.cache_write_tokens + self.cache_read_tokens

    @property
    def total_tokens(self) -> int:
        """Prompt and answer together."""
        return self.prompt_tokens + self.output_tokens


@dataclass(frozen=True, slots=True)
class ModelRequest:
    """One request to the Messages API; `messages`, `system` and `tools` in its JSON form.

    With an `output_schema` (JSON Schema) the answer is asked for as JSON of that shape; a server that
    cannot do that may still answer in words, so whoever asks reads the answer with care.
    """

    model: str
    system: list[Json]
    tools: list[Json]
    messages: list[Json]
    max_tokens: int
    output_schema: Json | None = None


@dataclass(frozen=True, slots=True)
class ModelReply:
    """One answer: `content` holds the blocks exactly as they must be sent back."""

    content: list[Json]
    stop_reason: str | None
    usage: Usage
    model: str
    request_id: str | None = None


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answered; `refused` marks an attempt that policy stopped (it is recorded)."""

    text: str
    is_error: bool = False
    refused: bool = False


@dataclass(frozen=True, slots=True)
class FileChange:
    """One file of a change: `content` is None when it was deleted."""

    path: str
    content: str | None
    is_new: bool
    is_executable: bool
    patch: str
    added_lines: int
    removed_lines: int


@dataclass(frozen=True, slots=True)
class CommandRecord:
    """The harness's own record of one verification command."""

    command: str
    exit_code: int | None
    duration_ms: int
    output: str
    tier: Tier
    reason: str = ""

    @property
    def passed(self) -> bool:
        """Whether it ran and ended with 0."""
        return self.exit_code == 0


@dataclass(frozen=True, slots=True)
class SandboxStatus:
    """What the escape probe found: the tier, and when it is NONE the reason and the remedy.

    `programs` is what commands find in the sandbox, such as "python 3.11, node 20, make".
    """

    tier: Tier
    reason: str = ""
    remedy: str = ""
    programs: str = ""


@dataclass(frozen=True, slots=True)
class RepositoryConfig:
    """What `.github/issuewright.yml` of the default branch says.

    `prepare`: commands that make the tree ready for `verify`; `exclude`: globs of paths the model never sees.
    """

    verify: tuple[str, ...] = ()
    prepare: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    problems: tuple[str, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Said:
    """A comment that an authorized person wrote in the thread of an open job."""

    id: str
    login: str
    text: str

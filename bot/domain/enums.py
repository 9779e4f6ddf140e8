"""Every closed set of names that is stored: the seed's nine enums and our own."""

from enum import StrEnum


class IssueSource(StrEnum):
    """Through which door an AgentIssue came."""

    MANUAL = "MANUAL"
    ERP_TRIGGER = "ERP_TRIGGER"
    GITHUB = "GITHUB"
    WEBHOOK = "WEBHOOK"
    SCHEDULED = "SCHEDULED"


class IssueType(StrEnum):
    """What kind of request an AgentIssue is."""

    BUG = "BUG"
    FEATURE = "FEATURE"
    ENHANCEMENT = "ENHANCEMENT"
    QUESTION = "QUESTION"
    TASK = "TASK"
    DEPLOYMENT = "DEPLOYMENT"


class IssuePriority(StrEnum):
    """How soon an AgentIssue should run."""

    CRITICAL = "CRITICAL"
    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class IssueStatus(StrEnum):
    """The states of an AgentIssue; the edges stand in `bot.domain.states`."""

    PENDING = "PENDING"
    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    REVIEW = "REVIEW"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class JobStatus(StrEnum):
    """The states of an AgentJob; the edges stand in `bot.domain.states`."""

    PENDING = "PENDING"
    RUNNING = "RUNNING"
    PAUSED = "PAUSED"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class ArtifactType(StrEnum):
    """What an AgentArtifact holds."""

    CODE_CHANGE = "CODE_CHANGE"
    ANALYSIS = "ANALYSIS"
    RECOMMENDATION = "RECOMMENDATION"
    DOCUMENTATION = "DOCUMENTATION"
    PULL_REQUEST = "PULL_REQUEST"
    CONFIG = "CONFIG"


class LogLevel(StrEnum):
    """The level of an AgentLog row."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"


class FeedbackOutcome(StrEnum):
    """What a person says became of the problem."""

    SOLVED = "SOLVED"
    PARTIAL = "PARTIAL"
    NOT_SOLVED = "NOT_SOLVED"
    MADE_WORSE = "MADE_WORSE"


class ImprovementStatus(StrEnum):
    """How far a piece of feedback has been worked into the agents."""

    PENDING = "PENDING"
    ANALYZED = "ANALYZED"
    IMPLEMENTED = "IMPLEMENTED"
    DISMISSED = "DISMISSED"


class Cause(StrEnum):
    """Why a job ended."""

    ANSWERED = "answered"
    PULL_REQUEST = "pull_request"
    REVIEW_POSTED = "review_posted"
    NO_CHANGE_NEEDED = "no_change_needed"
    QUESTION_ASKED = "question_asked"
    DENIED = "denied"
    BUDGET = "budget"
    DEADLINE = "deadline"
    REFUSED = "refused"
    VERIFY_FAILED = "verify_failed"
    MODEL_ERROR = "model_error"
    GITHUB_ERROR = "github_error"
    SANDBOX_ERROR = "sandbox_error"
    SUPERSEDED = "superseded"
    CANCELLED = "cancelled"
    BUG = "bug"


class Phase(StrEnum):
    """How far the run of a job has come; FROZEN means: publish, never run the loop again."""

    WAITING = "waiting"
    AUTHORIZE = "authorize"
    CHECKOUT = "checkout"
    WORK = "work"
    FROZEN = "frozen"
    SETTLED = "settled"


class DeliveryState(StrEnum):
    """How far a delivery has come."""

    RECEIVED = "RECEIVED"
    DISPATCHED = "DISPATCHED"
    IGNORED = "IGNORED"
    FAILED = "FAILED"


class OperationKind(StrEnum):
    """The kinds of writes to GitHub that are frozen before they are sent."""

    REACTION = "reaction"
    COMMENT = "comment"
    COMMENT_EDIT = "comment_edit"
    BRANCH = "branch"
    PULL_REQUEST = "pull_request"
    ASSIGN = "assign"
    LABELS = "labels"
    REVIEW = "review"
    CHECK_RUN = "check_run"


class OperationState(StrEnum):
    """INTENT: frozen. SENT: a request may be on its way. DONE and FAILED: the outcome is known."""

    INTENT = "intent"
    SENT = "sent"
    DONE = "done"
    FAILED = "failed"


class PauseKind(StrEnum):
    """What an operator has paused: nothing of it is started, what runs goes on to its end."""

    EVERYTHING = "everything"
    ORGANIZATION = "organization"
    REPOSITORY = "repository"


class DeliverySource(StrEnum):
    """How a delivery reached us: GitHub sent it, or the sweep fetched it."""

    WEBHOOK = "webhook"
    SWEEP = "sweep"


class Tier(StrEnum):
    """Where a verification ran; NONE means that it did not run."""

    SANDBOX = "sandbox"
    CI = "ci"
    NONE = "none"


class When(StrEnum):
    """Whether a verification saw the tree before or after the change."""

    BEFORE = "before"
    AFTER = "after"


class ThreadKind(StrEnum):
    """What kind of GitHub thread a job belongs to."""

    ISSUE = "issue"
    PULL_REQUEST = "pull_request"


class StepKind(StrEnum):
    """What a row of a job's transcript holds."""

    PROMPT = "prompt"
    TURN = "turn"
    TOOLS = "tools"


class Purpose(StrEnum):
    """What a model call was paid for."""

    TURN = "turn"
    TRIAGE = "triage"

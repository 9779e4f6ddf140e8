"""The seed's five models, to the letter, and the two that they refer to (Postgres schema `public`)."""

from sqlalchemy import Column, ForeignKey, Index, Integer, Table, Text, text

from bot.db.columns import (
    JSON_VALUE,
    TEXT_LIST,
    ZERO,
    UtcTimestamp,
    created_at,
    job_reference,
    metadata,
    native_enum,
    organization_reference,
    text_id,
    updated_at,
)
from bot.domain.enums import (
    ArtifactType,
    FeedbackOutcome,
    ImprovementStatus,
    IssuePriority,
    IssueSource,
    IssueStatus,
    IssueType,
    JobStatus,
    LogLevel,
)

EMPTY_JSON = text("'{}'")

organizations = Table("organizations", metadata, text_id(), Column("name", Text, nullable=False))

users = Table(
    "users",
    metadata,
    text_id(),
    Column("email", Text),
    Column("organizationId", Text, key="organization_id", nullable=False),
    Index("users_email_key", "email", unique=True),
)

agent_issues = Table(
    "agent_issues",
    metadata,
    text_id(),
    Column("externalId", Text, key="external_id"),
    Column("source", native_enum(IssueSource), nullable=False, server_default="MANUAL"),
    Column("type", native_enum(IssueType), nullable=False),
    Column("priority", native_enum(IssuePriority), nullable=False, server_default="MEDIUM"),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("context", JSON_VALUE, nullable=False, server_default=EMPTY_JSON),
    Column("status", native_enum(IssueStatus), nullable=False, server_default="PENDING"),
    organization_reference(),
    Column(
        "createdById",
        Text,
        ForeignKey("users.id", ondelete="SET NULL", onupdate="CASCADE"),
        key="created_by_id",
    ),
    created_at(),
    updated_at(),
    Index(None, "organization_id"),
    Index(None, "status"),
)

agent_jobs = Table(
    "agent_jobs",
    metadata,
    text_id(),
    Column(
        "issueId",
        Text,
        ForeignKey("agent_issues.id", ondelete="CASCADE", onupdate="CASCADE"),
        key="issue_id",
        nullable=False,
    ),
    Column("agentType", Text, key="agent_type", nullable=False),
    Column("model", Text, nullable=False),
    Column("status", native_enum(JobStatus), nullable=False, server_default="PENDING"),
    Column("priority", Integer, nullable=False, server_default=text("5")),
    Column("attempts", Integer, nullable=False, server_default=ZERO),
    Column("maxAttempts", Integer, key="max_attempts", nullable=False, server_default=text("3")),
    Column("config", JSON_VALUE, nullable=False, server_default=EMPTY_JSON),
    Column("result", JSON_VALUE),
    Column("error", Text),
    Column("organizationId", Text, key="organization_id", nullable=False),
    Column("startedAt", UtcTimestamp, key="started_at"),
    Column("completedAt", UtcTimestamp, key="completed_at"),
    created_at(),
    updated_at(),
    Index(None, "issue_id"),
    Index(None, "status"),
    Index(None, "organization_id"),
)

agent_artifacts = Table(
    "agent_artifacts",
    metadata,
    text_id(),
    job_reference(),
    Column("type", native_enum(ArtifactType), nullable=False),
    Column("name", Text, nullable=False),
    Column("content", Text, nullable=False),
    Column("filePath", Text, key="file_path"),
    Column("diffPatch", Text, key="diff_patch"),
    Column("metadata", JSON_VALUE, key="meta", nullable=False, server_default=EMPTY_JSON),
    created_at(),
    Index(None, "job_id"),
)

agent_logs = Table(
    "agent_logs",
    metadata,
    text_id(),
    job_reference(),
    Column("level", native_enum(LogLevel), nullable=False, server_default="INFO"),
    Column("message", Text, nullable=False),
    Column("data", JSON_VALUE),
    Column("timestamp", UtcTimestamp, nullable=False, server_default=text("CURRENT_TIMESTAMP")),
    Index(None, "job_id"),
    Index(None, "timestamp"),
)

agent_feedback = Table(
    "agent_feedback",
    metadata,
    text_id(),
    Column("jobId", Text, key="job_id", nullable=False),
    Column("issueId", Text, key="issue_id", nullable=False),
    Column("agentType", Text, key="agent_type", nullable=False),
    Column("rating", Integer, nullable=False),
    Column("outcome", native_enum(FeedbackOutcome), nullable=False),
    Column("comment", Text),
    Column("tags", TEXT_LIST),
    Column("userId", Text, key="user_id", nullable=False),
    Column("organizationId", Text, key="organization_id", nullable=False),
    Column("kanbanCardId", Text, key="kanban_card_id"),
    Column(
        "improvementStatus",
        native_enum(ImprovementStatus),
        key="improvement_status",
        nullable=False,
        server_default="PENDING",
    ),
    Column("analysisResult", JSON_VALUE, key="analysis_result"),
    created_at(),
    Index(None, "organization_id"),
    Index(None, "agent_type"),
    Index(None, "improvement_status"),
)

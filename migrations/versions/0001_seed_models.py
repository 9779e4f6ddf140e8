"""The seed's five models with their nine enums, organizations and users."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TEXT_LIST = sa.JSON().with_variant(postgresql.ARRAY(sa.Text()), "postgresql")
JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
INSTANT = sa.DateTime().with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")
ENUMS = (
    "IssueSource",
    "IssueType",
    "IssuePriority",
    "IssueStatus",
    "JobStatus",
    "ArtifactType",
    "LogLevel",
    "FeedbackOutcome",
    "ImprovementStatus",
)


def upgrade() -> None:
    """Make the tables."""
    _organizations()
    _users()
    _agent_issues()
    _agent_jobs()
    _agent_artifacts()
    _agent_logs()
    _agent_feedback()
    if op.get_bind().dialect.name == "postgresql":
        op.execute("ALTER TABLE agent_feedback ALTER COLUMN tags SET DEFAULT ARRAY[]::TEXT[]")


def downgrade() -> None:
    """Drop the tables, and the types that only they used."""
    op.drop_table("agent_feedback")
    op.drop_table("agent_logs")
    op.drop_table("agent_artifacts")
    op.drop_table("agent_jobs")
    op.drop_table("agent_issues")
    op.drop_table("users")
    op.drop_table("organizations")
    if op.get_bind().dialect.name == "postgresql":
        for name in ENUMS:
            op.execute(f'DROP TYPE IF EXISTS "{name}"')


def _organizations() -> None:
    op.create_table(
        "organizations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("organizations_pkey")),
    )


def _users() -> None:
    op.create_table(
        "users",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("organizationId", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("users_pkey")),
    )
    op.create_index("users_email_key", "users", ["email"], unique=True)


def _agent_issues() -> None:
    op.create_table(
        "agent_issues",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("externalId", sa.Text(), nullable=True),
        sa.Column(
            "source",
            sa.Enum("MANUAL", "ERP_TRIGGER", "GITHUB", "WEBHOOK", "SCHEDULED", name="IssueSource"),
            server_default="MANUAL",
            nullable=False,
        ),
        sa.Column(
            "type",
            sa.Enum("BUG", "FEATURE", "ENHANCEMENT", "QUESTION", "TASK", "DEPLOYMENT", name="IssueType"),
            nullable=False,
        ),
        sa.Column(
            "priority",
            sa.Enum("CRITICAL", "HIGH", "MEDIUM", "LOW", name="IssuePriority"),
            server_default="MEDIUM",
            nullable=False,
        ),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("context", JSON_VALUE, server_default=sa.text("'{}'"), nullable=False),
        sa.Column(
            "status",
            sa.Enum(
                "PENDING",
                "QUEUED",
                "PROCESSING",
                "REVIEW",
                "COMPLETED",
                "FAILED",
                "CANCELLED",
                name="IssueStatus",
            ),
            server_default="PENDING",
            nullable=False,
        ),
        sa.Column("organizationId", sa.Text(), nullable=False),
        sa.Column("createdById", sa.Text(), nullable=True),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.Column("updatedAt", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["createdById"],
            ["users.id"],
            name=op.f("agent_issues_createdById_fkey"),
            onupdate="CASCADE",
            ondelete="SET NULL",
        ),
        sa.ForeignKeyConstraint(
            ["organizationId"],
            ["organizations.id"],
            name=op.f("agent_issues_organizationId_fkey"),
            onupdate="CASCADE",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("agent_issues_pkey")),
    )
    op.create_index(op.f("agent_issues_organizationId_idx"), "agent_issues", ["organizationId"], unique=False)
    op.create_index(op.f("agent_issues_status_idx"), "agent_issues", ["status"], unique=False)


def _agent_jobs() -> None:
    op.create_table(
        "agent_jobs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("issueId", sa.Text(), nullable=False),
        sa.Column("agentType", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column(
            "status",
            sa.Enum("PENDING", "RUNNING", "PAUSED", "COMPLETED", "FAILED", "CANCELLED", name="JobStatus"),
            server_default="PENDING",
            nullable=False,
        ),
        sa.Column("priority", sa.Integer(), server_default=sa.text("5"), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("maxAttempts", sa.Integer(), server_default=sa.text("3"), nullable=False),
        sa.Column("config", JSON_VALUE, server_default=sa.text("'{}'"), nullable=False),
        sa.Column("result", JSON_VALUE, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("organizationId", sa.Text(), nullable=False),
        sa.Column("startedAt", INSTANT, nullable=True),
        sa.Column("completedAt", INSTANT, nullable=True),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.Column("updatedAt", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["issueId"],
            ["agent_issues.id"],
            name=op.f("agent_jobs_issueId_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("agent_jobs_pkey")),
    )
    op.create_index(op.f("agent_jobs_issueId_idx"), "agent_jobs", ["issueId"], unique=False)
    op.create_index(op.f("agent_jobs_organizationId_idx"), "agent_jobs", ["organizationId"], unique=False)
    op.create_index(op.f("agent_jobs_status_idx"), "agent_jobs", ["status"], unique=False)


def _agent_artifacts() -> None:
    op.create_table(
        "agent_artifacts",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("jobId", sa.Text(), nullable=False),
        sa.Column(
            "type",
            sa.Enum(
                "CODE_CHANGE",
                "ANALYSIS",
                "RECOMMENDATION",
                "DOCUMENTATION",
                "PULL_REQUEST",
                "CONFIG",
                name="ArtifactType",
            ),
            nullable=False,
        ),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("content", sa.Text(), nullable=False),
        sa.Column("filePath", sa.Text(), nullable=True),
        sa.Column("diffPatch", sa.Text(), nullable=True),
        sa.Column("metadata", JSON_VALUE, server_default=sa.text("'{}'"), nullable=False),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.ForeignKeyConstraint(
            ["jobId"],
            ["agent_jobs.id"],
            name=op.f("agent_artifacts_jobId_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("agent_artifacts_pkey")),
    )
    op.create_index(op.f("agent_artifacts_jobId_idx"), "agent_artifacts", ["jobId"], unique=False)


def _agent_logs() -> None:
    op.create_table(
        "agent_logs",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("jobId", sa.Text(), nullable=False),
        sa.Column(
            "level",
            sa.Enum("DEBUG", "INFO", "WARN", "ERROR", name="LogLevel"),
            server_default="INFO",
            nullable=False,
        ),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("data", JSON_VALUE, nullable=True),
        sa.Column("timestamp", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.ForeignKeyConstraint(
            ["jobId"],
            ["agent_jobs.id"],
            name=op.f("agent_logs_jobId_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("agent_logs_pkey")),
    )
    op.create_index(op.f("agent_logs_jobId_idx"), "agent_logs", ["jobId"], unique=False)
    op.create_index(op.f("agent_logs_timestamp_idx"), "agent_logs", ["timestamp"], unique=False)


def _agent_feedback() -> None:
    op.create_table(
        "agent_feedback",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("jobId", sa.Text(), nullable=False),
        sa.Column("issueId", sa.Text(), nullable=False),
        sa.Column("agentType", sa.Text(), nullable=False),
        sa.Column("rating", sa.Integer(), nullable=False),
        sa.Column(
            "outcome",
            sa.Enum("SOLVED", "PARTIAL", "NOT_SOLVED", "MADE_WORSE", name="FeedbackOutcome"),
            nullable=False,
        ),
        sa.Column("comment", sa.Text(), nullable=True),
        sa.Column("tags", TEXT_LIST, nullable=True),
        sa.Column("userId", sa.Text(), nullable=False),
        sa.Column("organizationId", sa.Text(), nullable=False),
        sa.Column("kanbanCardId", sa.Text(), nullable=True),
        sa.Column(
            "improvementStatus",
            sa.Enum("PENDING", "ANALYZED", "IMPLEMENTED", "DISMISSED", name="ImprovementStatus"),
            server_default="PENDING",
            nullable=False,
        ),
        sa.Column("analysisResult", JSON_VALUE, nullable=True),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("agent_feedback_pkey")),
    )
    op.create_index(op.f("agent_feedback_agentType_idx"), "agent_feedback", ["agentType"], unique=False)
    op.create_index(
        op.f("agent_feedback_improvementStatus_idx"), "agent_feedback", ["improvementStatus"], unique=False
    )
    op.create_index(
        op.f("agent_feedback_organizationId_idx"), "agent_feedback", ["organizationId"], unique=False
    )

"""Deliveries, workers, runs, origins and the transcript."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
RAW_BYTES = sa.LargeBinary()
INSTANT = sa.DateTime().with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _deliveries()
    _workers()
    _job_runs()
    _job_origins()
    _job_steps()


def downgrade() -> None:
    """Drop the tables, and the types that only they used."""
    op.drop_table("job_steps", schema=_own())
    op.drop_table("job_origins", schema=_own())
    op.drop_table("job_runs", schema=_own())
    op.drop_table("workers", schema=_own())
    op.drop_table("deliveries", schema=_own())


def _own() -> str | None:
    """Our own schema on Postgres; SQLite has none."""
    return "issuewright" if op.get_bind().dialect.name == "postgresql" else None


def _deliveries() -> None:
    op.create_table(
        "deliveries",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("targetType", sa.Text(), nullable=False),
        sa.Column("targetId", sa.Text(), nullable=False),
        sa.Column("guid", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("event", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=True),
        sa.Column("installationId", sa.BigInteger(), nullable=True),
        sa.Column("payload", RAW_BYTES, nullable=True),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("receivedAt", INSTANT, nullable=False),
        sa.Column("wakeAt", INSTANT, nullable=True),
        sa.Column("dispatchedAt", INSTANT, nullable=True),
        sa.PrimaryKeyConstraint("id", name=op.f("deliveries_pkey")),
        schema=_own(),
    )
    op.create_index("deliveries_digest_key", "deliveries", ["digest"], unique=True, schema=_own())
    op.create_index(
        op.f("deliveries_state_receivedAt_idx"),
        "deliveries",
        ["state", "receivedAt"],
        unique=False,
        schema=_own(),
    )
    op.create_index(
        "deliveries_targetType_targetId_guid_key",
        "deliveries",
        ["targetType", "targetId", "guid"],
        unique=True,
        schema=_own(),
    )


def _workers() -> None:
    op.create_table(
        "workers",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("hostname", sa.Text(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.Text(), nullable=False),
        sa.Column("sandboxTier", sa.String(length=32), nullable=False),
        sa.Column("sandboxReason", sa.Text(), nullable=False),
        sa.Column("modelWord", sa.Text(), nullable=True),
        sa.Column("modelAt", INSTANT, nullable=True),
        sa.Column("githubWord", sa.Text(), nullable=True),
        sa.Column("githubAt", INSTANT, nullable=True),
        sa.Column("running", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("startedAt", INSTANT, nullable=False),
        sa.Column("heartbeatAt", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("workers_pkey")),
        schema=_own(),
    )
    op.create_index(op.f("workers_heartbeatAt_idx"), "workers", ["heartbeatAt"], unique=False, schema=_own())


def _job_runs() -> None:
    op.create_table(
        "job_runs",
        sa.Column("jobId", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("leaseOwner", sa.Text(), nullable=True),
        sa.Column("leaseUntil", INSTANT, nullable=True),
        sa.Column("phase", sa.String(length=32), nullable=False),
        sa.Column("cause", sa.String(length=32), nullable=True),
        sa.Column("cancelReason", sa.Text(), nullable=True),
        sa.Column("crashesWithoutProgress", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("wakeAt", INSTANT, nullable=True),
        sa.Column("admittedAt", INSTANT, nullable=True),
        sa.Column("authority", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(
            ["jobId"],
            ["agent_jobs.id"],
            name=op.f("job_runs_jobId_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("jobId", name=op.f("job_runs_pkey")),
        schema=_own(),
    )
    op.create_index(op.f("job_runs_leaseUntil_idx"), "job_runs", ["leaseUntil"], unique=False, schema=_own())
    op.create_index(op.f("job_runs_wakeAt_idx"), "job_runs", ["wakeAt"], unique=False, schema=_own())


def _job_origins() -> None:
    op.create_table(
        "job_origins",
        sa.Column("jobId", sa.Text(), nullable=False),
        sa.Column("repositoryId", sa.BigInteger(), nullable=False),
        sa.Column("installationId", sa.BigInteger(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("verb", sa.Text(), nullable=False),
        sa.Column("actorId", sa.BigInteger(), nullable=False),
        sa.Column("actorLogin", sa.Text(), nullable=False),
        sa.Column("trigger", sa.Text(), nullable=False),
        sa.Column("triggerKey", sa.Text(), nullable=False),
        sa.Column("openKey", sa.Text(), nullable=True),
        sa.Column("commentId", sa.BigInteger(), nullable=True),
        sa.Column("headSha", sa.Text(), nullable=True),
        sa.Column("snapshot", JSON_VALUE, nullable=False),
        sa.Column("confidence", sa.Float(), nullable=True),
        sa.ForeignKeyConstraint(
            ["jobId"],
            ["agent_jobs.id"],
            name=op.f("job_origins_jobId_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("jobId", name=op.f("job_origins_pkey")),
        schema=_own(),
    )
    op.create_index("job_origins_openKey_key", "job_origins", ["openKey"], unique=True, schema=_own())
    op.create_index(
        op.f("job_origins_repositoryId_number_idx"),
        "job_origins",
        ["repositoryId", "number"],
        unique=False,
        schema=_own(),
    )
    op.create_index("job_origins_triggerKey_key", "job_origins", ["triggerKey"], unique=True, schema=_own())


def _job_steps() -> None:
    op.create_table(
        "job_steps",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("jobId", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("content", JSON_VALUE, nullable=False),
        sa.Column("checkpoint", JSON_VALUE, nullable=True),
        sa.Column("model", sa.Text(), nullable=True),
        sa.Column("costMicroUsd", sa.BigInteger(), server_default=sa.text("0"), nullable=False),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.ForeignKeyConstraint(
            ["jobId"],
            ["agent_jobs.id"],
            name=op.f("job_steps_jobId_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("job_steps_pkey")),
        schema=_own(),
    )
    op.create_index(
        "job_steps_jobId_fence_number_kind_key",
        "job_steps",
        ["jobId", "fence", "number", "kind"],
        unique=True,
        schema=_own(),
    )

"""Operations, verifications, money and events."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
INSTANT = sa.DateTime().with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _operations()
    _verifications()
    _ledger()
    _events()


def downgrade() -> None:
    """Drop the tables, and the types that only they used."""
    op.drop_table("events", schema=_own())
    op.drop_table("ledger", schema=_own())
    op.drop_table("verifications", schema=_own())
    op.drop_table("operations", schema=_own())


def _own() -> str | None:
    """Our own schema on Postgres; SQLite has none."""
    return "issuewright" if op.get_bind().dialect.name == "postgresql" else None


def _operations() -> None:
    op.create_table(
        "operations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("jobId", sa.Text(), nullable=True),
        sa.Column("organizationId", sa.Text(), nullable=False),
        sa.Column("installationId", sa.BigInteger(), nullable=False),
        sa.Column("repositoryId", sa.BigInteger(), nullable=False),
        sa.Column("sequence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("payload", JSON_VALUE, nullable=False),
        sa.Column("state", sa.String(length=32), nullable=False),
        sa.Column("fence", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("remoteId", sa.BigInteger(), nullable=True),
        sa.Column("remoteUrl", sa.Text(), nullable=True),
        sa.Column("attempts", sa.Integer(), server_default=sa.text("0"), nullable=False),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("wakeAt", INSTANT, nullable=True),
        sa.Column("sentAt", INSTANT, nullable=True),
        sa.Column("doneAt", INSTANT, nullable=True),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.ForeignKeyConstraint(
            ["jobId"],
            ["agent_jobs.id"],
            name=op.f("operations_jobId_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("operations_pkey")),
        schema=_own(),
    )
    op.create_index(op.f("operations_jobId_idx"), "operations", ["jobId"], unique=False, schema=_own())
    op.create_index("operations_key_key", "operations", ["key"], unique=True, schema=_own())
    op.create_index(op.f("operations_state_idx"), "operations", ["state"], unique=False, schema=_own())


def _verifications() -> None:
    op.create_table(
        "verifications",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("jobId", sa.Text(), nullable=False),
        sa.Column("fence", sa.Integer(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("when", sa.String(length=32), nullable=False),
        sa.Column("command", sa.Text(), nullable=False),
        sa.Column("exitCode", sa.Integer(), nullable=True),
        sa.Column("durationMs", sa.Integer(), nullable=False),
        sa.Column("sha", sa.Text(), nullable=False),
        sa.Column("tier", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("output", sa.Text(), nullable=False),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.ForeignKeyConstraint(
            ["jobId"],
            ["agent_jobs.id"],
            name=op.f("verifications_jobId_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("verifications_pkey")),
        schema=_own(),
    )
    op.create_index(
        "verifications_jobId_fence_when_position_key",
        "verifications",
        ["jobId", "fence", "when", "position"],
        unique=True,
        schema=_own(),
    )


def _ledger() -> None:
    op.create_table(
        "ledger",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("jobId", sa.Text(), nullable=False),
        sa.Column("organizationId", sa.Text(), nullable=False),
        sa.Column("model", sa.Text(), nullable=False),
        sa.Column("reservedMicroUsd", sa.BigInteger(), nullable=False),
        sa.Column("settledMicroUsd", sa.BigInteger(), nullable=True),
        sa.Column("usage", JSON_VALUE, nullable=True),
        sa.Column("isSettled", sa.Boolean(), nullable=False),
        sa.Column("settledAt", INSTANT, nullable=True),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.ForeignKeyConstraint(
            ["jobId"],
            ["agent_jobs.id"],
            name=op.f("ledger_jobId_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["organizationId"],
            ["organizations.id"],
            name=op.f("ledger_organizationId_fkey"),
            onupdate="CASCADE",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("ledger_pkey")),
        schema=_own(),
    )
    op.create_index(op.f("ledger_jobId_idx"), "ledger", ["jobId"], unique=False, schema=_own())
    op.create_index(
        op.f("ledger_organizationId_createdAt_idx"),
        "ledger",
        ["organizationId", "createdAt"],
        unique=False,
        schema=_own(),
    )


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organizationId", sa.Text(), nullable=False),
        sa.Column("sequence", sa.BigInteger(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("issueId", sa.Text(), nullable=True),
        sa.Column("jobId", sa.Text(), nullable=True),
        sa.Column("data", JSON_VALUE, nullable=False),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("events_pkey")),
        schema=_own(),
    )
    op.create_index(
        "events_organizationId_sequence_key",
        "events",
        ["organizationId", "sequence"],
        unique=True,
        schema=_own(),
    )

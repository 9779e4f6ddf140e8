"""Chores, pauses, bodies in parts; what deliveries, workers, runs, operations and limits need beside."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
RAW_BYTES = sa.LargeBinary().with_variant(postgresql.BYTEA(), "postgresql")
INSTANT = sa.DateTime().with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")
ZERO = sa.text("0")
MAIL = sa.text("sequence < 0 AND state NOT IN ('done', 'failed')")

# table, column, type, is it a count (never null, from 0)
COLUMNS = (
    ("deliveries", "repository", sa.Text(), False),
    ("deliveries", "number", sa.Integer(), False),
    ("deliveries", "sender", sa.Text(), False),
    ("deliveries", "parts", sa.Integer(), True),
    ("workers", "queueWord", sa.Text(), False),
    ("workers", "queueAt", INSTANT, False),
    ("workers", "concurrency", sa.Integer(), True),
    ("job_runs", "leaseLosses", sa.Integer(), True),
    ("job_runs", "quarantinedAt", INSTANT, False),
    ("job_runs", "waits", sa.Integer(), True),
    ("job_runs", "waitingSince", INSTANT, False),
    ("job_runs", "organizationId", sa.Text(), False),
    ("job_runs", "dueAt", INSTANT, False),
    ("job_origins", "writeKey", sa.Text(), False),
    ("job_origins", "deliveryId", sa.Text(), False),
    ("operations", "recheckAt", INSTANT, False),
    ("installations", "mailUntil", INSTANT, False),
    ("installations", "rateLimit", sa.Integer(), False),
    ("installations", "rateRemaining", sa.Integer(), False),
    ("installations", "rateResetAt", INSTANT, False),
)
INDEXES = (
    ("deliveries", ["event", "state"]),
    ("job_origins", ["writeKey"]),
    ("job_origins", ["deliveryId"]),
    ("operations", ["recheckAt"]),
    ("operations", ["installationId", "sentAt"]),
)
# Of job_runs: the columns, and which one is set where a row is in the index.
PARTIAL_INDEXES = (
    (["organizationId", "dueAt", "jobId"], "dueAt"),
    (["admittedAt"], "admittedAt"),
    (["leaseUntil"], "leaseUntil"),
)
# Of deliveries: those that wait, and those that have a body.
DELIVERY_INDEXES = (
    ("deliveries_waiting_idx", ["installationId", "id"], "state = 'RECEIVED'"),
    ("deliveries_bodies_idx", ["receivedAt", "installationId"], "payload IS NOT NULL OR parts > 0"),
)


def upgrade() -> None:
    """Add tables, columns and indexes; rows that are there keep their meaning."""
    _tables()
    for table, name, kind, is_count in COLUMNS:
        column = (
            sa.Column(name, kind, server_default=ZERO, nullable=False)
            if is_count
            else sa.Column(name, kind, nullable=True)
        )
        op.add_column(table, column, schema=_own())
    source = sa.Column("source", sa.String(length=32), server_default="webhook", nullable=False)
    op.add_column("deliveries", source, schema=_own())
    for table, names in INDEXES:
        op.create_index(f"{table}_{'_'.join(names)}_idx", table, names, schema=_own())
    _schedule()
    op.drop_index("deliveries_state_receivedAt_idx", "deliveries", schema=_own())
    for name, names, which in DELIVERY_INDEXES:
        rows = sa.text(which)
        op.create_index(name, "deliveries", names, schema=_own(), postgresql_where=rows, sqlite_where=rows)
    op.create_index(
        "operations_mail_idx",
        "operations",
        ["installationId", "id"],
        schema=_own(),
        postgresql_where=MAIL,
        sqlite_where=MAIL,
    )


def downgrade() -> None:
    """Take them away again."""
    op.drop_index("operations_mail_idx", "operations", schema=_own())
    for name, _names, _which in DELIVERY_INDEXES:
        op.drop_index(name, "deliveries", schema=_own())
    op.create_index("deliveries_state_receivedAt_idx", "deliveries", ["state", "receivedAt"], schema=_own())
    for names, _column in PARTIAL_INDEXES:
        op.drop_index(f"job_runs_{'_'.join(names)}_idx", "job_runs", schema=_own())
    op.create_index("job_runs_leaseUntil_idx", "job_runs", ["leaseUntil"], schema=_own())
    for table, names in reversed(INDEXES):
        op.drop_index(f"{table}_{'_'.join(names)}_idx", table, schema=_own())
    op.drop_column("deliveries", "source", schema=_own())
    for table, name, _kind, _is_count in reversed(COLUMNS):
        op.drop_column(table, name, schema=_own())
    for table in ("github_limits", "organization_turns", "pauses", "chores", "delivery_parts"):
        op.drop_table(table, schema=_own())


def _schedule() -> None:
    """The place of each open job in its organization: by its age, as far as older versions know."""
    runs = "issuewright.job_runs" if _own() else "job_runs"
    of_job = 'FROM agent_jobs WHERE agent_jobs.id = "jobId"'
    is_open = "CAST(status AS TEXT) IN ('PENDING', 'RUNNING', 'PAUSED')"
    op.execute(
        f'UPDATE {runs} SET "organizationId" = (SELECT "organizationId" {of_job}), '  # noqa: S608 (constants)
        f'"dueAt" = (SELECT "createdAt" {of_job} AND {is_open}), "admittedAt" = NULL'
    )
    op.drop_index("job_runs_leaseUntil_idx", "job_runs", schema=_own())
    for names, column in PARTIAL_INDEXES:
        is_set = sa.text(f'"{column}" IS NOT NULL')
        name = f"job_runs_{'_'.join(names)}_idx"
        op.create_index(name, "job_runs", names, schema=_own(), postgresql_where=is_set, sqlite_where=is_set)


def _own() -> str | None:
    """Our own schema on Postgres; SQLite has none."""
    return "issuewright" if op.get_bind().dialect.name == "postgresql" else None


def _tables() -> None:
    now = sa.text("CURRENT_TIMESTAMP")
    op.create_table(
        "delivery_parts",
        sa.Column("deliveryId", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content", RAW_BYTES, nullable=False),
        sa.Column("createdAt", INSTANT, server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("deliveryId", "number", name="delivery_parts_pkey"),
        schema=_own(),
    )
    op.create_index("delivery_parts_createdAt_idx", "delivery_parts", ["createdAt"], schema=_own())
    op.create_table(
        "chores",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("wakeAt", INSTANT, nullable=False),
        sa.Column("owner", sa.Text(), nullable=True),
        sa.Column("leaseUntil", INSTANT, nullable=True),
        sa.Column("startedAt", INSTANT, nullable=True),
        sa.Column("endedAt", INSTANT, nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column("failures", sa.Integer(), server_default=ZERO, nullable=False),
        sa.Column("state", JSON_VALUE, nullable=False),
        sa.PrimaryKeyConstraint("name", name="chores_pkey"),
        schema=_own(),
    )
    op.create_table(
        "pauses",
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("createdAt", INSTANT, server_default=now, nullable=False),
        sa.PrimaryKeyConstraint("kind", "target", name="pauses_pkey"),
        schema=_own(),
    )
    op.create_table(
        "organization_turns",
        sa.Column("organizationId", sa.Text(), nullable=False),
        sa.Column("number", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(
            ["organizationId"],
            ["organizations.id"],
            name="organization_turns_organizationId_fkey",
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organizationId", name="organization_turns_pkey"),
        schema=_own(),
    )
    op.create_table(
        "github_limits",
        sa.Column("installationId", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("blockedUntil", INSTANT, nullable=False),
        sa.Column("strikes", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("installationId", name="github_limits_pkey"),
        schema=_own(),
    )

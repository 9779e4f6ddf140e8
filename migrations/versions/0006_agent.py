"""Money by person, repository and purpose; what people say meanwhile; jobs that go on from others."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
INSTANT = sa.DateTime().with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")
LEDGER_INDEXES = (["actorId", "createdAt"], ["repositoryId", "createdAt"], ["createdAt"])


def upgrade() -> None:
    """Add columns, indexes and one table; rows that are there keep their meaning."""
    schema = _own()
    op.add_column("ledger", sa.Column("actorId", sa.BigInteger(), nullable=True), schema=schema)
    op.add_column("ledger", sa.Column("repositoryId", sa.BigInteger(), nullable=True), schema=schema)
    purpose = sa.Column("purpose", sa.String(length=32), server_default="turn", nullable=False)
    op.add_column("ledger", purpose, schema=schema)
    tokens = sa.Column("tokens", sa.BigInteger(), server_default=sa.text("0"), nullable=False)
    op.add_column("ledger", tokens, schema=schema)
    for names in LEDGER_INDEXES:
        op.create_index(f"ledger_{'_'.join(names)}_idx", "ledger", names, schema=schema)
    op.add_column("job_origins", sa.Column("triage", JSON_VALUE, nullable=True), schema=schema)
    op.add_column("job_origins", sa.Column("continuesId", sa.Text(), nullable=True), schema=schema)
    _messages()


def downgrade() -> None:
    """Take them away again."""
    schema = _own()
    op.drop_table("job_messages", schema=schema)
    for name in ("continuesId", "triage"):
        op.drop_column("job_origins", name, schema=schema)
    for names in LEDGER_INDEXES:
        op.drop_index(f"ledger_{'_'.join(names)}_idx", "ledger", schema=schema)
    for name in ("tokens", "purpose", "repositoryId", "actorId"):
        op.drop_column("ledger", name, schema=schema)


def _messages() -> None:
    """What authorized people say in the thread of an open job."""
    job = sa.ForeignKeyConstraint(
        ["jobId"], ["agent_jobs.id"], name="job_messages_jobId_fkey", onupdate="CASCADE", ondelete="CASCADE"
    )
    op.create_table(
        "job_messages",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("jobId", sa.Text(), nullable=False),
        sa.Column("commentId", sa.BigInteger(), nullable=False),
        sa.Column("actorId", sa.BigInteger(), nullable=False),
        sa.Column("actorLogin", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("takenStep", sa.Integer(), nullable=True),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        job,
        sa.PrimaryKeyConstraint("id", name="job_messages_pkey"),
        schema=_own(),
    )
    op.create_index(
        "job_messages_jobId_commentId_key", "job_messages", ["jobId", "commentId"], unique=True, schema=_own()
    )


def _own() -> str | None:
    """Our own schema on Postgres; SQLite has none."""
    return "issuewright" if op.get_bind().dialect.name == "postgresql" else None

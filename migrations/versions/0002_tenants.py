"""Accounts, installations, repositories, grants and secrets."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

JSON_VALUE = sa.JSON().with_variant(postgresql.JSONB(), "postgresql")
RAW_BYTES = sa.LargeBinary()
INSTANT = sa.DateTime().with_variant(postgresql.TIMESTAMP(precision=3), "postgresql")


def upgrade() -> None:
    """Make the tables."""
    _github_accounts()
    _installations()
    _repositories()
    _repository_grants()
    _secrets()


def downgrade() -> None:
    """Drop the tables, and the types that only they used."""
    op.drop_table("secrets", schema=_own())
    op.drop_table("repository_grants", schema=_own())
    op.drop_table("repositories", schema=_own())
    op.drop_table("installations", schema=_own())
    op.drop_table("github_accounts", schema=_own())


def _own() -> str | None:
    """Our own schema on Postgres; SQLite has none."""
    return "issuewright" if op.get_bind().dialect.name == "postgresql" else None


def _reference(column: str) -> str:
    schema = _own()
    return f"{schema}.{column}" if schema else column


def _github_accounts() -> None:
    op.create_table(
        "github_accounts",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("organizationId", sa.Text(), nullable=False),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.Column("updatedAt", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["organizationId"],
            ["organizations.id"],
            name=op.f("github_accounts_organizationId_fkey"),
            onupdate="CASCADE",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("github_accounts_pkey")),
        schema=_own(),
    )
    op.create_index(
        op.f("github_accounts_organizationId_idx"),
        "github_accounts",
        ["organizationId"],
        unique=False,
        schema=_own(),
    )


def _installations() -> None:
    op.create_table(
        "installations",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("accountId", sa.BigInteger(), nullable=False),
        sa.Column("permissions", JSON_VALUE, nullable=False),
        sa.Column("suspendedAt", INSTANT, nullable=True),
        sa.Column("deletedAt", INSTANT, nullable=True),
        sa.Column("nextWriteAt", INSTANT, nullable=True),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.Column("updatedAt", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["accountId"],
            [_reference("github_accounts.id")],
            name=op.f("installations_accountId_fkey"),
            onupdate="CASCADE",
            ondelete="RESTRICT",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("installations_pkey")),
        schema=_own(),
    )
    op.create_index(
        op.f("installations_accountId_idx"), "installations", ["accountId"], unique=False, schema=_own()
    )


def _repositories() -> None:
    op.create_table(
        "repositories",
        sa.Column("id", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("fullName", sa.Text(), nullable=False),
        sa.Column("isPrivate", sa.Boolean(), nullable=False),
        sa.Column("defaultBranch", sa.Text(), nullable=True),
        sa.Column("installationId", sa.BigInteger(), nullable=True),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.Column("updatedAt", INSTANT, nullable=False),
        sa.ForeignKeyConstraint(
            ["installationId"],
            [_reference("installations.id")],
            name=op.f("repositories_installationId_fkey"),
            onupdate="CASCADE",
            ondelete="SET NULL",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("repositories_pkey")),
        schema=_own(),
    )
    op.create_index(
        op.f("repositories_installationId_idx"),
        "repositories",
        ["installationId"],
        unique=False,
        schema=_own(),
    )


def _repository_grants() -> None:
    op.create_table(
        "repository_grants",
        sa.Column("organizationId", sa.Text(), nullable=False),
        sa.Column("repositoryId", sa.BigInteger(), nullable=False),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.ForeignKeyConstraint(
            ["organizationId"],
            ["organizations.id"],
            name=op.f("repository_grants_organizationId_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["repositoryId"],
            [_reference("repositories.id")],
            name=op.f("repository_grants_repositoryId_fkey"),
            onupdate="CASCADE",
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("organizationId", "repositoryId", name=op.f("repository_grants_pkey")),
        schema=_own(),
    )
    op.create_index(
        op.f("repository_grants_repositoryId_idx"),
        "repository_grants",
        ["repositoryId"],
        unique=False,
        schema=_own(),
    )


def _secrets() -> None:
    op.create_table(
        "secrets",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("value", RAW_BYTES, nullable=False),
        sa.Column("createdAt", INSTANT, server_default=sa.text("CURRENT_TIMESTAMP"), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("secrets_pkey")),
        schema=_own(),
    )

"""Our own tables on who uses the product: accounts, installations, repositories, grants."""

from sqlalchemy import BigInteger, Boolean, Column, ForeignKey, Index, Integer, Table, Text

from bot.db.columns import (
    JSON_VALUE,
    OWN_SCHEMA,
    RAW_BYTES,
    UtcTimestamp,
    created_at,
    metadata,
    organization_reference,
    updated_at,
)

github_accounts = Table(
    "github_accounts",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("login", Text, nullable=False),
    Column("type", Text, nullable=False),
    organization_reference(),
    created_at(),
    updated_at(),
    Index(None, "organization_id"),
    schema=OWN_SCHEMA,
)

installations = Table(
    "installations",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column(
        "accountId",
        BigInteger,
        ForeignKey(f"{OWN_SCHEMA}.github_accounts.id", ondelete="RESTRICT", onupdate="CASCADE"),
        key="account_id",
        nullable=False,
    ),
    Column("permissions", JSON_VALUE, nullable=False),
    Column("suspendedAt", UtcTimestamp, key="suspended_at"),
    Column("deletedAt", UtcTimestamp, key="deleted_at"),
    Column("nextWriteAt", UtcTimestamp, key="next_write_at"),
    # Until when the outbox of one worker is at it (see `bot.db.mail`).
    Column("mailUntil", UtcTimestamp, key="mail_until"),
    # What GitHub last said of the hourly limit.
    Column("rateLimit", Integer, key="rate_limit"),
    Column("rateRemaining", Integer, key="rate_remaining"),
    Column("rateResetAt", UtcTimestamp, key="rate_reset_at"),
    created_at(),
    updated_at(),
    Index(None, "account_id"),
    schema=OWN_SCHEMA,
)

# GitHub asked us to be silent until then, for an installation (0: for the App's own calls); no
# reference, because an installation that we do not know yet can have a limit too.
github_limits = Table(
    "github_limits",
    metadata,
    Column("installationId", BigInteger, key="installation_id", primary_key=True, autoincrement=False),
    Column("blockedUntil", UtcTimestamp, key="blocked_until", nullable=False),
    Column("strikes", Integer, nullable=False),
    schema=OWN_SCHEMA,
)

repositories = Table(
    "repositories",
    metadata,
    Column("id", BigInteger, primary_key=True, autoincrement=False),
    Column("fullName", Text, key="full_name", nullable=False),
    Column("isPrivate", Boolean, key="is_private", nullable=False),
    Column("defaultBranch", Text, key="default_branch"),
    Column(
        "installationId",
        BigInteger,
        ForeignKey(f"{OWN_SCHEMA}.installations.id", ondelete="SET NULL", onupdate="CASCADE"),
        key="installation_id",
    ),
    created_at(),
    updated_at(),
    Index(None, "installation_id"),
    schema=OWN_SCHEMA,
)

repository_grants = Table(
    "repository_grants",
    metadata,
    organization_reference(ondelete="CASCADE", primary_key=True),
    Column(
        "repositoryId",
        BigInteger,
        ForeignKey(f"{OWN_SCHEMA}.repositories.id", ondelete="CASCADE", onupdate="CASCADE"),
        key="repository_id",
        primary_key=True,
    ),
    created_at(),
    Index(None, "repository_id"),
    schema=OWN_SCHEMA,
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", RAW_BYTES, nullable=False),
    created_at(),
    schema=OWN_SCHEMA,
)

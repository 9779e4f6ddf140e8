"""Our own tables on keeping the service in order: chores, pauses, and large bodies in parts."""

from sqlalchemy import BigInteger, Column, Index, Integer, Table, Text

from bot.db.columns import (
    JSON_VALUE,
    OWN_SCHEMA,
    RAW_BYTES,
    ZERO,
    UtcTimestamp,
    created_at,
    metadata,
    organization_reference,
    word,
)
from bot.domain.enums import PauseKind

delivery_parts = Table(
    "delivery_parts",
    metadata,
    Column("deliveryId", Text, key="delivery_id", primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("content", RAW_BYTES, nullable=False),
    created_at(),
    Index(None, "created_at"),
    schema=OWN_SCHEMA,
)

chores = Table(
    "chores",
    metadata,
    Column("name", Text, primary_key=True),
    Column("wakeAt", UtcTimestamp, key="wake_at", nullable=False),
    Column("owner", Text),
    Column("leaseUntil", UtcTimestamp, key="lease_until"),
    Column("startedAt", UtcTimestamp, key="started_at"),
    Column("endedAt", UtcTimestamp, key="ended_at"),
    Column("error", Text),
    # How often it has failed since it last went well.
    Column("failures", Integer, nullable=False, server_default=ZERO),
    Column("state", JSON_VALUE, nullable=False),
    schema=OWN_SCHEMA,
)

pauses = Table(
    "pauses",
    metadata,
    Column("kind", word(PauseKind), primary_key=True),
    Column("target", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    created_at(),
    schema=OWN_SCHEMA,
)

# In which order the organizations were last given leave to start a job: the higher, the later.
organization_turns = Table(
    "organization_turns",
    metadata,
    organization_reference(ondelete="CASCADE", primary_key=True),
    Column("number", BigInteger, nullable=False),
    schema=OWN_SCHEMA,
)

"""Our own tables on one job's work: its transcript, what people say meanwhile, its checks, its money."""

from sqlalchemy import BigInteger, Boolean, Column, Index, Integer, Table, Text

from bot.db.columns import (
    JSON_VALUE,
    OWN_SCHEMA,
    ZERO,
    UtcTimestamp,
    created_at,
    job_reference,
    metadata,
    organization_reference,
    text_id,
    word,
)
from bot.domain.enums import Purpose, StepKind, Tier, When

job_steps = Table(
    "job_steps",
    metadata,
    text_id(),
    job_reference(),
    Column("fence", Integer, nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", word(StepKind), nullable=False),
    Column("content", JSON_VALUE, nullable=False),
    Column("checkpoint", JSON_VALUE),
    Column("model", Text),
    Column("costMicroUsd", BigInteger, key="cost_micro_usd", nullable=False, server_default=ZERO),
    created_at(),
    Index("job_steps_jobId_fence_number_kind_key", "job_id", "fence", "number", "kind", unique=True),
    schema=OWN_SCHEMA,
)

# What authorized people say in the thread of an open job: taken up by the answer to step `takenStep`.
job_messages = Table(
    "job_messages",
    metadata,
    text_id(),
    job_reference(),
    Column("commentId", BigInteger, key="comment_id", nullable=False),
    Column("actorId", BigInteger, key="actor_id", nullable=False),
    Column("actorLogin", Text, key="actor_login", nullable=False),
    Column("body", Text, nullable=False),
    Column("takenStep", Integer, key="taken_step"),
    created_at(),
    Index("job_messages_jobId_commentId_key", "job_id", "comment_id", unique=True),
    schema=OWN_SCHEMA,
)

verifications = Table(
    "verifications",
    metadata,
    text_id(),
    job_reference(),
    Column("fence", Integer, nullable=False),
    Column("position", Integer, nullable=False),
    Column("when", word(When), nullable=False),
    Column("command", Text, nullable=False),
    Column("exitCode", Integer, key="exit_code"),
    Column("durationMs", Integer, key="duration_ms", nullable=False),
    Column("sha", Text, nullable=False),
    Column("tier", word(Tier), nullable=False),
    Column("reason", Text, nullable=False),
    Column("output", Text, nullable=False),
    created_at(),
    Index("verifications_jobId_fence_when_position_key", "job_id", "fence", "when", "position", unique=True),
    schema=OWN_SCHEMA,
)

ledger = Table(
    "ledger",
    metadata,
    text_id(),
    job_reference(),
    organization_reference(),
    # Who asked and where, so that a person's and a repository's day can be added up; null in older rows.
    Column("actorId", BigInteger, key="actor_id"),
    Column("repositoryId", BigInteger, key="repository_id"),
    # What the call was for: `bot.domain.enums.Purpose`.
    Column("purpose", word(Purpose), nullable=False, server_default=Purpose.TURN.value),
    Column("model", Text, nullable=False),
    Column("reservedMicroUsd", BigInteger, key="reserved_micro_usd", nullable=False),
    Column("settledMicroUsd", BigInteger, key="settled_micro_usd"),
    # The most that the call can use while it is open, then what it used: input and output together.
    Column("tokens", BigInteger, nullable=False, server_default=ZERO),
    Column("usage", JSON_VALUE),
    Column("isSettled", Boolean, key="is_settled", nullable=False),
    Column("settledAt", UtcTimestamp, key="settled_at"),
    created_at(),
    Index(None, "job_id"),
    Index(None, "organization_id", "created_at"),
    Index(None, "actor_id", "created_at"),
    Index(None, "repository_id", "created_at"),
    Index(None, "created_at"),
    schema=OWN_SCHEMA,
)

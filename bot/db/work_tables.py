"""Our own tables on the work: deliveries, runs, transcript, operations, money, events."""

from typing import Any, Final

from sqlalchemy import BigInteger, Column, Float, Index, Integer, Table, Text, text
from sqlalchemy.sql import ClauseElement

from bot.db.columns import (
    JSON_VALUE,
    OWN_SCHEMA,
    RAW_BYTES,
    ZERO,
    UtcTimestamp,
    created_at,
    job_reference,
    metadata,
    text_id,
    word,
)
from bot.domain.enums import (
    Cause,
    DeliverySource,
    DeliveryState,
    OperationKind,
    OperationState,
    Phase,
    ThreadKind,
    Tier,
)


def _index_of(rows: ClauseElement, name: str | None, *columns: Column[Any]) -> None:
    """An index of those *rows* alone; without a *name* it gets the usual one."""
    Index(name, *columns, postgresql_where=rows, sqlite_where=rows)


deliveries = Table(
    "deliveries",
    metadata,
    text_id(),
    Column("targetType", Text, key="target_type", nullable=False),
    Column("targetId", Text, key="target_id", nullable=False),
    Column("guid", Text, nullable=False),
    Column("digest", Text, nullable=False),
    Column("event", Text, nullable=False),
    Column("action", Text),
    Column("installationId", BigInteger, key="installation_id"),
    Column("repository", Text),
    Column("number", Integer),
    Column("sender", Text),
    Column("source", word(DeliverySource), nullable=False, server_default=DeliverySource.WEBHOOK.value),
    Column("payload", RAW_BYTES),
    # A large body is in so many rows of delivery_parts instead.
    Column("parts", Integer, nullable=False, server_default=ZERO),
    Column("state", word(DeliveryState), nullable=False),
    Column("attempts", Integer, nullable=False, server_default=ZERO),
    Column("error", Text),
    Column("receivedAt", UtcTimestamp, key="received_at", nullable=False),
    Column("wakeAt", UtcTimestamp, key="wake_at"),
    Column("dispatchedAt", UtcTimestamp, key="dispatched_at"),
    Index("deliveries_targetType_targetId_guid_key", "target_type", "target_id", "guid", unique=True),
    Index("deliveries_digest_key", "digest", unique=True),
    Index(None, "event", "state"),
    schema=OWN_SCHEMA,
)

# Of those that wait alone: which installation's turn it is, and its oldest (see `bot.db.backlog`).
_index_of(
    text(f"state = '{DeliveryState.RECEIVED.value}'"),
    "deliveries_waiting_idx",
    deliveries.c.installation_id,
    deliveries.c.id,
)

# Of those that have a body alone, which is for a time: retention does not look at all that ever came.
_index_of(
    text("payload IS NOT NULL OR parts > 0"),
    "deliveries_bodies_idx",
    deliveries.c.received_at,
    deliveries.c.installation_id,
)

workers = Table(
    "workers",
    metadata,
    text_id(),
    Column("hostname", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("version", Text, nullable=False),
    Column("sandboxTier", word(Tier), key="sandbox_tier", nullable=False),
    Column("sandboxReason", Text, key="sandbox_reason", nullable=False),
    Column("modelWord", Text, key="model_word"),
    Column("modelAt", UtcTimestamp, key="model_at"),
    Column("githubWord", Text, key="github_word"),
    Column("githubAt", UtcTimestamp, key="github_at"),
    Column("queueWord", Text, key="queue_word"),
    Column("queueAt", UtcTimestamp, key="queue_at"),
    Column("running", Integer, nullable=False, server_default=ZERO),
    Column("concurrency", Integer, nullable=False, server_default=ZERO),
    Column("startedAt", UtcTimestamp, key="started_at", nullable=False),
    Column("heartbeatAt", UtcTimestamp, key="heartbeat_at", nullable=False),
    Index(None, "heartbeat_at"),
    schema=OWN_SCHEMA,
)

job_runs = Table(
    "job_runs",
    metadata,
    job_reference(primary_key=True),
    Column("fence", Integer, nullable=False, server_default=ZERO),
    Column("leaseOwner", Text, key="lease_owner"),
    Column("leaseUntil", UtcTimestamp, key="lease_until"),
    Column("phase", word(Phase), nullable=False),
    Column("cause", word(Cause)),
    Column("cancelReason", Text, key="cancel_reason"),
    Column(
        "crashesWithoutProgress",
        Integer,
        key="crashes_without_progress",
        nullable=False,
        server_default=ZERO,
    ),
    Column("leaseLosses", Integer, key="lease_losses", nullable=False, server_default=ZERO),
    Column("quarantinedAt", UtcTimestamp, key="quarantined_at"),
    # How often, and since when, it has waited for GitHub or the model without getting any further.
    Column("waits", Integer, nullable=False, server_default=ZERO),
    Column("waitingSince", UtcTimestamp, key="waiting_since"),
    Column("wakeAt", UtcTimestamp, key="wake_at"),
    Column("admittedAt", UtcTimestamp, key="admitted_at"),
    # Whose job it is, and its place among theirs while it is open (see `bot.db.admission`).
    Column("organizationId", Text, key="organization_id"),
    Column("dueAt", UtcTimestamp, key="due_at"),
    Column("authority", Text, nullable=False),
    Index(None, "wake_at"),
    schema=OWN_SCHEMA,
)

# Only of those that are open, may start, or run: however much has ended, admission does not look at it.
for _column, _others in (
    (job_runs.c.due_at, (job_runs.c.organization_id, job_runs.c.due_at, job_runs.c.job_id)),
    (job_runs.c.admitted_at, (job_runs.c.admitted_at,)),
    (job_runs.c.lease_until, (job_runs.c.lease_until,)),
):
    _index_of(_column.is_not(None), None, *_others)

job_origins = Table(
    "job_origins",
    metadata,
    job_reference(primary_key=True),
    Column("repositoryId", BigInteger, key="repository_id", nullable=False),
    Column("installationId", BigInteger, key="installation_id", nullable=False),
    Column("number", Integer, nullable=False),
    Column("kind", word(ThreadKind), nullable=False),
    Column("verb", Text, nullable=False),
    Column("actorId", BigInteger, key="actor_id", nullable=False),
    Column("actorLogin", Text, key="actor_login", nullable=False),
    Column("trigger", Text, nullable=False),
    Column("triggerKey", Text, key="trigger_key", nullable=False),
    Column("openKey", Text, key="open_key"),
    # What the job may write to (`repository:branch` or `repository:number`), one job at a time.
    Column("writeKey", Text, key="write_key"),
    # The delivery that asked, for people who follow one through; a door without deliveries leaves it out.
    Column("deliveryId", Text, key="delivery_id"),
    Column("commentId", BigInteger, key="comment_id"),
    Column("headSha", Text, key="head_sha"),
    Column("snapshot", JSON_VALUE, nullable=False),
    Column("confidence", Float),
    # What the model's look at the request came to, and the job whose conversation this one goes on with.
    Column("triage", JSON_VALUE),
    Column("continuesId", Text, key="continues_id"),
    Index("job_origins_triggerKey_key", "trigger_key", unique=True),
    Index("job_origins_openKey_key", "open_key", unique=True),
    Index(None, "write_key"),
    Index(None, "delivery_id"),
    Index(None, "repository_id", "number"),
    schema=OWN_SCHEMA,
)

operations = Table(
    "operations",
    metadata,
    text_id(),
    Column("key", Text, nullable=False),
    job_reference(nullable=True),
    Column("organizationId", Text, key="organization_id", nullable=False),
    Column("installationId", BigInteger, key="installation_id", nullable=False),
    Column("repositoryId", BigInteger, key="repository_id", nullable=False),
    Column("sequence", Integer, nullable=False, server_default=ZERO),
    Column("kind", word(OperationKind), nullable=False),
    Column("payload", JSON_VALUE, nullable=False),
    Column("state", word(OperationState), nullable=False),
    Column("fence", Integer, nullable=False, server_default=ZERO),
    Column("remoteId", BigInteger, key="remote_id"),
    Column("remoteUrl", Text, key="remote_url"),
    Column("attempts", Integer, nullable=False, server_default=ZERO),
    Column("error", Text),
    Column("wakeAt", UtcTimestamp, key="wake_at"),
    Column("sentAt", UtcTimestamp, key="sent_at"),
    Column("doneAt", UtcTimestamp, key="done_at"),
    # When to look for a second landing of a write that was sent more than once.
    Column("recheckAt", UtcTimestamp, key="recheck_at"),
    created_at(),
    Index("operations_key_key", "key", unique=True),
    Index(None, "state"),
    Index(None, "recheck_at"),
    Index(None, "installation_id", "sent_at"),
    Index(None, "job_id"),
    schema=OWN_SCHEMA,
)

# NOT IN: where states are looked for by name, SQLite takes the index of states, which holds all runs' too.
WAITING_MAIL: Final = (
    f"sequence < 0 AND state NOT IN ('{OperationState.DONE.value}', '{OperationState.FAILED.value}')"
)
"""What belongs to no run and is not at its end: in an index of its own (see `bot.db.mail`)."""
_index_of(text(WAITING_MAIL), "operations_mail_idx", operations.c.installation_id, operations.c.id)

events = Table(
    "events",
    metadata,
    text_id(),
    Column("organizationId", Text, key="organization_id", nullable=False),
    Column("sequence", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("issueId", Text, key="issue_id"),
    Column("jobId", Text, key="job_id"),
    Column("data", JSON_VALUE, nullable=False),
    created_at(),
    Index("events_organizationId_sequence_key", "organization_id", "sequence", unique=True),
    schema=OWN_SCHEMA,
)

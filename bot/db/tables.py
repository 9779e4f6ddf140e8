"""Every table in one place: importing this module fills `metadata`."""

from bot.db.columns import OWN_SCHEMA, metadata
from bot.db.run_tables import job_messages, job_steps, ledger, verifications
from bot.db.seed_tables import (
    agent_artifacts,
    agent_feedback,
    agent_issues,
    agent_jobs,
    agent_logs,
    organizations,
    users,
)
from bot.db.tenant_tables import (
    github_accounts,
    github_limits,
    installations,
    repositories,
    repository_grants,
    secrets,
)
from bot.db.upkeep_tables import chores, delivery_parts, organization_turns, pauses
from bot.db.work_tables import (
    deliveries,
    events,
    job_origins,
    job_runs,
    operations,
    workers,
)

__all__ = [
    "OWN_SCHEMA",
    "agent_artifacts",
    "agent_feedback",
    "agent_issues",
    "agent_jobs",
    "agent_logs",
    "chores",
    "deliveries",
    "delivery_parts",
    "events",
    "github_accounts",
    "github_limits",
    "installations",
    "job_messages",
    "job_origins",
    "job_runs",
    "job_steps",
    "ledger",
    "metadata",
    "operations",
    "organization_turns",
    "organizations",
    "pauses",
    "repositories",
    "repository_grants",
    "secrets",
    "users",
    "verifications",
    "workers",
]

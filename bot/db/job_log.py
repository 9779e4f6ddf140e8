"""Jobs for whoever runs the service: lists with the reason for waiting, and finding one by part of its id."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, and_, false, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import pauses
from bot.db.pauses import Paused
from bot.db.picked import ids_like, picked
from bot.db.scope import system_only
from bot.db.submit import NAME
from bot.db.tables import (
    agent_issues,
    agent_jobs,
    github_limits,
    installations,
    job_origins,
    job_runs,
    ledger,
    organizations,
    repositories,
)
from bot.db.waiting import Policy, policy, reason
from bot.domain.branches import branch_name
from bot.domain.enums import Cause, JobStatus, Phase, ThreadKind
from bot.domain.states import OPEN_JOBS
from bot.domain.values import Scope

_NAME: Final = agent_jobs.c.config[NAME].as_string()


@dataclass(frozen=True, slots=True)
class JobFilter:
    """Which jobs to list; what is left out narrows nothing. `before_id` goes on behind an earlier list.

    As in the metrics, one that waits and that a pause covers is paused, and not pending.
    """

    statuses: frozenset[JobStatus] = frozenset()
    cause: Cause | None = None
    repository: str | None = None
    organization: str | None = None
    is_open: bool = False
    is_quarantined: bool = False
    since: datetime | None = None
    before_id: str | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True)
class JobLine:
    """One job in a list; `waiting` says in words why one that has not started yet waits.

    `name` stands in its commit (`Issuewright-Job`), `branch` is where its change goes if it makes one.
    """

    id: str
    name: str
    issue_id: str
    organization_id: str
    organization: str | None
    repository: str | None
    number: int | None
    branch: str | None
    kind: ThreadKind | None
    verb: str | None
    title: str
    agent_type: str
    model: str
    priority: int
    status: JobStatus
    cause: Cause | None
    phase: Phase | None
    attempts: int
    max_attempts: int
    lease_owner: str | None
    lease_until: datetime | None
    lease_losses: int | None
    created_at: datetime
    admitted_at: datetime | None
    started_at: datetime | None
    completed_at: datetime | None
    wake_at: datetime | None
    quarantined_at: datetime | None
    error: str | None
    cost_micro_usd: int
    waiting: str | None = None


async def find(scope: Scope, connection: AsyncConnection, part: str) -> list[str]:
    """The ids of the jobs that *part* may mean: an id or a name, or the beginning or end of one."""
    system_only(scope)
    return await ids_like(connection, agent_jobs.c.id, (agent_jobs.c.id, _NAME), part)


async def recent(
    scope: Scope, connection: AsyncConnection, chosen: JobFilter, *, now: datetime, silent_before: datetime
) -> list[JobLine]:
    """The jobs that *chosen* lets through, newest first; workers silent since *silent_before* are gone."""
    system_only(scope)
    conditions = _conditions(chosen)
    if chosen.statuses:
        is_covered = _is_covered(await pauses.paused(scope, connection))
        conditions.append(or_(*(_stands(status, is_covered) for status in chosen.statuses)))
    statement = _lines().where(*conditions).order_by(agent_jobs.c.id.desc()).limit(chosen.limit)
    rows = (await connection.execute(statement)).mappings().all()
    known = await policy(scope, connection, silent_before=silent_before)
    return [_line(row, known, now) for row in rows]


async def line(
    scope: Scope, connection: AsyncConnection, job_id: str, *, now: datetime, silent_before: datetime
) -> JobLine:
    """One job as it stands in a list.

    Raises:
        NoResultFound: There is no such job.
    """
    system_only(scope)
    row = (await connection.execute(_lines().where(agent_jobs.c.id == job_id))).mappings().one()
    return _line(row, await policy(scope, connection, silent_before=silent_before), now)


async def is_quarantined(scope: Scope, connection: AsyncConnection, job_id: str) -> bool:
    """Whether the job was put aside for its crashes, also after it was ended for them."""
    system_only(scope)
    found = await connection.scalar(select(job_runs.c.quarantined_at).where(job_runs.c.job_id == job_id))
    return found is not None


def _line(row: Any, known: Policy, now: datetime) -> JobLine:
    values = {name: row[name] for name in JobLine.__slots__ if name in row}
    values["cost_micro_usd"] = int(values["cost_micro_usd"] or 0)
    number = values["number"]
    values["branch"] = None if number is None else branch_name(number, values["name"])
    return JobLine(**values, waiting=reason(row, known, now))


def _lines() -> Select[Any]:
    """All jobs with what belongs to them; rows that another program inserted may lack the rest."""
    cost = (
        select(func.sum(func.coalesce(ledger.c.settled_micro_usd, ledger.c.reserved_micro_usd)))
        .where(ledger.c.job_id == agent_jobs.c.id)
        .scalar_subquery()
    )
    runs = ("cause", "phase", "lease_owner", "lease_until", "lease_losses", "admitted_at", "wake_at")
    own = ("id", "issue_id", "organization_id", "agent_type", "model", "priority", "status", "attempts")
    times = ("max_attempts", "error", "created_at", "started_at", "completed_at")
    return (
        select(
            *picked(agent_jobs, (*own, *times)),
            # A job of an earlier version has no name but its id.
            func.coalesce(_NAME, agent_jobs.c.id).label("name"),
            *picked(job_runs, (*runs, "quarantined_at")),
            *picked(job_origins, ("repository_id", "number", "kind", "verb", "write_key")),
            agent_issues.c.title,
            organizations.c.name.label("organization"),
            repositories.c.full_name.label("repository"),
            github_limits.c.blocked_until.label("blocked_until"),
            *picked(installations, ("suspended_at", "deleted_at")),
            cost.label("cost_micro_usd"),
        )
        .join(agent_issues, agent_issues.c.id == agent_jobs.c.issue_id)
        .outerjoin(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .outerjoin(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .outerjoin(repositories, repositories.c.id == job_origins.c.repository_id)
        .outerjoin(installations, installations.c.id == job_origins.c.installation_id)
        .outerjoin(github_limits, github_limits.c.installation_id == job_origins.c.installation_id)
        .outerjoin(organizations, organizations.c.id == agent_jobs.c.organization_id)
    )


def _is_covered(found: Sequence[Paused]) -> ColumnElement[bool]:
    """Whether one of the pauses *found* covers a job; none covers a row without a repository of ours."""
    allowed = pauses.allowed(found)
    return true() if allowed is None else func.coalesce(~allowed, false())


def _stands(status: JobStatus, is_covered: ColumnElement[bool]) -> ColumnElement[bool]:
    """Whether a job stands at *status*, as `_states` of the figures counts it."""
    is_it = agent_jobs.c.status == status
    if status is JobStatus.PENDING:
        return and_(is_it, ~is_covered)
    if status is JobStatus.PAUSED:
        return or_(is_it, and_(agent_jobs.c.status == JobStatus.PENDING, is_covered))
    return is_it


def _conditions(chosen: JobFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if chosen.is_open:
        found.append(agent_jobs.c.status.in_(OPEN_JOBS))
    if chosen.cause is not None:
        found.append(job_runs.c.cause == chosen.cause)
    if chosen.is_quarantined:
        found.append(job_runs.c.quarantined_at.is_not(None))
    if chosen.repository is not None:
        found.append(func.lower(repositories.c.full_name) == chosen.repository.lower())
    if chosen.organization is not None:
        is_name = func.lower(organizations.c.name) == chosen.organization.lower()
        found.append(or_(organizations.c.id == chosen.organization, is_name))
    if chosen.since is not None:
        found.append(agent_jobs.c.created_at >= chosen.since)
    if chosen.before_id is not None:
        found.append(agent_jobs.c.id < chosen.before_id)
    return found

"""The figures of the whole service for a scraper: a handful of aggregates, each one pass over a table."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Float, Select, case, cast, extract, func, or_, select, true
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import chores, pauses
from bot.db.chores import ChoreFacts
from bot.db.deliveries import is_waiting
from bot.db.scope import system_only
from bot.db.tables import (
    agent_jobs,
    deliveries,
    github_accounts,
    github_limits,
    installations,
    job_origins,
    job_runs,
    ledger,
    operations,
    workers,
)
from bot.domain.enums import JobStatus, Tier
from bot.domain.values import Scope

WAIT_BUCKETS: Final = (0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0)
RUN_BUCKETS: Final = (10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1_200.0, 1_800.0, 3_600.0)
MAX_INSTALLATIONS: Final = 500
_SECONDS_A_DAY: Final = 86_400.0

Rows = list[tuple[Any, ...]]


@dataclass(frozen=True, slots=True)
class Spread:
    """How a number of spans is spread: how many are at most as long as each bucket, all, and their sum."""

    buckets: tuple[tuple[float, int], ...]
    count: int
    sum_seconds: float


@dataclass(frozen=True, slots=True)
class Figures:
    """Everything that is counted; rows are tuples in the order that each field's comment says."""

    deliveries: Rows  # event, state, how many
    jobs_asked: Rows  # verb, how many
    jobs_ended: Rows  # status, cause, how many
    job_states: dict[str, int]
    waited: Spread
    took: Spread
    claims: int
    lease_losses: int
    quarantined: int
    oldest_job_seconds: float
    oldest_delivery_seconds: float
    spend: Rows  # model, calls, settled, reserved and today's micro-USD
    installations: Rows  # id, account, limit, remaining, reset at, blocked until
    writes: Rows  # kind, state, how many
    chores: list[ChoreFacts]
    workers: int
    sandboxed_workers: int
    running: int
    places: int


async def collect(
    scope: Scope, connection: AsyncConnection, *, now: datetime, silent_before: datetime
) -> Figures:
    """Count everything as of *now*; a worker that was not heard of since *silent_before* is gone."""
    system_only(scope)
    claims, lease_losses, quarantined = await _runs(connection)
    alive, sandboxed, running, places = await _workers(connection, silent_before)
    allowed = pauses.allowed(await pauses.paused(scope, connection))
    return Figures(
        # An index has both: no row is read.
        deliveries=await _counted(connection, (deliveries.c.event, deliveries.c.state)),
        jobs_asked=await _counted(connection, (job_origins.c.verb,)),
        jobs_ended=await _ended(connection),
        job_states=await _states(connection, allowed),
        waited=await _spread(connection, agent_jobs.c.created_at, agent_jobs.c.started_at, WAIT_BUCKETS),
        took=await _spread(connection, agent_jobs.c.started_at, agent_jobs.c.completed_at, RUN_BUCKETS),
        claims=claims,
        lease_losses=lease_losses,
        quarantined=quarantined,
        oldest_job_seconds=_age(await _oldest_job(connection, allowed, now), now),
        oldest_delivery_seconds=_age(await _oldest_delivery(connection), now),
        spend=await _spend(connection, now.replace(hour=0, minute=0, second=0, microsecond=0)),
        installations=await _installations(connection),
        writes=await _counted(connection, (operations.c.kind, operations.c.state)),
        chores=await chores.facts(scope, connection),
        workers=alive,
        sandboxed_workers=sandboxed,
        running=running,
        places=places,
    )


def _tuples(result: Any) -> Rows:
    return [tuple(row) for row in result]


async def _counted(connection: AsyncConnection, columns: Sequence[ColumnElement[Any]]) -> Rows:
    """How many rows there are of each combination."""
    return _tuples(await connection.execute(select(*columns, func.count()).group_by(*columns)))


async def _ended(connection: AsyncConnection) -> Rows:
    columns = (agent_jobs.c.status, job_runs.c.cause)
    statement = select(*columns, func.count()).join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
    is_over = agent_jobs.c.completed_at.is_not(None)
    return _tuples(await connection.execute(statement.where(is_over).group_by(*columns)))


async def _states(connection: AsyncConnection, allowed: ColumnElement[bool] | None) -> dict[str, int]:
    """Where the open jobs stand; one that waits is paused, admitted, delayed or pending."""
    is_paused = true() if allowed is None else ~allowed
    word = case(
        (agent_jobs.c.status == JobStatus.RUNNING, "running"),
        (or_(agent_jobs.c.status == JobStatus.PAUSED, is_paused), "paused"),
        (job_runs.c.admitted_at.is_not(None), "admitted"),
        (job_runs.c.wake_at.is_not(None), "delayed"),
        else_="pending",
    )
    statement = (
        select(word, func.count())
        .select_from(agent_jobs)
        .outerjoin(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .outerjoin(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .where(agent_jobs.c.status.in_((JobStatus.PENDING, JobStatus.RUNNING, JobStatus.PAUSED)))
        .group_by(word)
    )
    return {row[0]: row[1] for row in await connection.execute(statement)}


async def _spread(
    connection: AsyncConnection,
    begin: ColumnElement[datetime],
    end: ColumnElement[datetime],
    buckets: Sequence[float],
) -> Spread:
    """The spans from *begin* to *end* of all jobs that have both; none is negative, whatever the clocks."""
    seconds = _seconds(connection, begin, end)
    spans = (
        select(case((seconds < 0, 0.0), else_=seconds).label("span"))
        .where(begin.is_not(None), end.is_not(None))
        .cte("spans")
        # Else it would be computed anew for each bucket.
        .prefix_with("MATERIALIZED")
    )
    counts = [func.count(case((spans.c.span <= bucket, 1))) for bucket in buckets]
    statement = select(func.count(), func.coalesce(func.sum(spans.c.span), 0.0), *counts)
    row = (await connection.execute(statement.select_from(spans))).one()
    return Spread(tuple(zip(buckets, map(int, row[2:]), strict=True)), int(row[0]), float(row[1]))


def _seconds(
    connection: AsyncConnection, begin: ColumnElement[datetime], end: ColumnElement[datetime]
) -> ColumnElement[float]:
    if connection.dialect.name == "sqlite":
        return (func.julianday(end) - func.julianday(begin)) * _SECONDS_A_DAY
    return cast(extract("epoch", end - begin), Float)


async def _runs(connection: AsyncConnection) -> tuple[int, int, int]:
    """How often a worker took a job up, lost one, and how many were put aside for their crashes.

    The fence rises with every claim and with every loss.
    """
    statement = select(
        func.coalesce(func.sum(job_runs.c.fence), 0),
        func.coalesce(func.sum(job_runs.c.lease_losses), 0),
        func.count(job_runs.c.quarantined_at),
    )
    fences, losses, quarantined = (await connection.execute(statement)).one()
    return int(fences) - int(losses), int(losses), int(quarantined)


async def _workers(connection: AsyncConnection, silent_before: datetime) -> tuple[int, int, int, int]:
    """Workers alive, those whose sandbox works, what they run, and what they can run."""
    statement = select(
        func.count(),
        func.count(case((workers.c.sandbox_tier == Tier.SANDBOX, 1))),
        func.coalesce(func.sum(workers.c.running), 0),
        func.coalesce(func.sum(workers.c.concurrency), 0),
    ).where(workers.c.heartbeat_at >= silent_before)
    alive, sandboxed, running, places = (await connection.execute(statement)).one()
    return int(alive), int(sandboxed), int(running), int(places)


async def _oldest_job(
    connection: AsyncConnection, allowed: ColumnElement[bool] | None, now: datetime
) -> datetime | None:
    """When the oldest job that never started was asked for, of those that are due and not paused."""
    if allowed is None:
        return None
    statement: Select[tuple[datetime]] = (
        select(agent_jobs.c.created_at)
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .join(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .where(
            agent_jobs.c.status == JobStatus.PENDING,
            agent_jobs.c.started_at.is_(None),
            or_(job_runs.c.wake_at.is_(None), job_runs.c.wake_at <= now),
            allowed,
        )
    )
    found: datetime | None = await connection.scalar(statement.order_by(agent_jobs.c.created_at).limit(1))
    return found


async def _oldest_delivery(connection: AsyncConnection) -> datetime | None:
    statement: Select[tuple[datetime]] = select(deliveries.c.received_at).where(is_waiting())
    found: datetime | None = await connection.scalar(statement.order_by(deliveries.c.received_at).limit(1))
    return found


def _age(moment: datetime | None, now: datetime) -> float:
    return 0.0 if moment is None else max(0.0, (now - moment).total_seconds())


async def _spend(connection: AsyncConnection, today: datetime) -> Rows:
    """By model: settled calls at their cost; what is open, and today's, at its maximum until settled."""
    settled, reserved = ledger.c.settled_micro_usd, ledger.c.reserved_micro_usd
    statement = select(
        ledger.c.model,
        func.count(),
        func.coalesce(func.sum(settled), 0),
        func.coalesce(func.sum(case((ledger.c.is_settled.is_(False), reserved))), 0),
        func.coalesce(func.sum(case((ledger.c.created_at >= today, func.coalesce(settled, reserved)))), 0),
    ).group_by(ledger.c.model)
    return [(row[0], *map(int, row[1:])) for row in await connection.execute(statement)]


async def _installations(connection: AsyncConnection) -> Rows:
    """What GitHub last said of their limits, those with the least left first."""
    statement = (
        select(
            installations.c.id,
            github_accounts.c.login,
            installations.c.rate_limit,
            installations.c.rate_remaining,
            installations.c.rate_reset_at,
            github_limits.c.blocked_until,
        )
        .join(github_accounts, github_accounts.c.id == installations.c.account_id)
        .outerjoin(github_limits, github_limits.c.installation_id == installations.c.id)
        .where(installations.c.deleted_at.is_(None))
        .order_by(installations.c.rate_remaining, installations.c.id)
        .limit(MAX_INSTALLATIONS)
    )
    return _tuples(await connection.execute(statement))

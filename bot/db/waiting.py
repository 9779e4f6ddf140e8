"""Why a job that has not started yet waits, in words for whoever runs the service."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.schedule import ORGANIZATION_CAP
from bot.db.scope import system_only
from bot.db.tables import agent_jobs, job_origins, job_runs, pauses, workers
from bot.domain.enums import JobStatus, PauseKind
from bot.domain.states import OPEN_JOBS
from bot.domain.values import Scope

NO_WORKER: Final = "no worker is running"
PAUSED: Final = "paused"


@dataclass(frozen=True, slots=True)
class Policy:
    """What holds jobs back at this moment, as the scheduler sees it; at work is what runs or may start."""

    pauses: Mapping[tuple[PauseKind, str], str]
    at_work: Mapping[str, int]
    write_keys: frozenset[str]
    has_worker: bool


async def policy(scope: Scope, connection: AsyncConnection, *, silent_before: datetime) -> Policy:
    """Pauses, the jobs at work by organization, what they write to, and whether any worker lives."""
    system_only(scope)
    paused = (await connection.execute(select(pauses))).all()
    at_work = or_(agent_jobs.c.status == JobStatus.RUNNING, job_runs.c.admitted_at.is_not(None))
    found = await connection.execute(
        select(agent_jobs.c.organization_id, job_origins.c.write_key)
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .outerjoin(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .where(agent_jobs.c.status.in_(OPEN_JOBS), at_work)
    )
    busy = found.all()
    alive = await connection.scalar(
        select(workers.c.id).where(workers.c.heartbeat_at >= silent_before).limit(1)
    )
    return Policy(
        pauses={(row.kind, row.target): row.reason for row in paused},
        at_work=Counter(row.organization_id for row in busy),
        write_keys=frozenset(row.write_key for row in busy if row.write_key is not None),
        has_worker=alive is not None,
    )


def reason(job: Mapping[Any, Any], known: Policy, now: datetime) -> str | None:
    """The first thing that holds *job* back, what a person can change first; None if it does not wait.

    *job* is a row with its own, its run's, its origin's and its installation's columns.
    """
    if job["status"] is JobStatus.PAUSED:
        return "paused by a person"
    if job["status"] is not JobStatus.PENDING:
        return None
    return (
        _pause(job, known)
        or _installation(job, now)
        or _time(job, now)
        or ("handed to a worker" if job["admitted_at"] is not None else None)
        or _company(job, known)
        or "next in line"
    )


def _pause(job: Mapping[Any, Any], known: Policy) -> str | None:
    """Whoever paused something that this job belongs to; the widest pause first."""
    targets = {
        PauseKind.ORGANIZATION: str(job["organization_id"]),
        PauseKind.REPOSITORY: str(job["repository_id"]),
    }
    for (kind, target), why in known.pauses.items():
        if kind is PauseKind.EVERYTHING or targets[kind] == target:
            return f"{PAUSED}: {kind}{f' ({why})' if why else ''}"
    return None


def _installation(job: Mapping[Any, Any], now: datetime) -> str | None:
    """What GitHub, or the account's owner, has said of the installation."""
    if job["deleted_at"] is not None:
        return "the App is no longer installed there"
    if job["suspended_at"] is not None:
        return "the installation is suspended"
    if job["blocked_until"] is not None and job["blocked_until"] > now:
        return f"GitHub asked for silence until {clock_time(job['blocked_until'], now)}"
    return None


def _time(job: Mapping[Any, Any], now: datetime) -> str | None:
    if job["wake_at"] is None or job["wake_at"] <= now:
        return None
    return f"until {clock_time(job['wake_at'], now)}"


def _company(job: Mapping[Any, Any], known: Policy) -> str | None:
    """Other jobs, or nobody to do it."""
    if not known.has_worker:
        return NO_WORKER
    if known.at_work.get(job["organization_id"], 0) >= ORGANIZATION_CAP:
        return f"its organization has {ORGANIZATION_CAP} jobs at work, the most at a time"
    if job["write_key"] in known.write_keys:
        return "another job is writing to the same branch"
    return None


def clock_time(moment: datetime, now: datetime) -> str:
    """An instant in UTC, without its date where that is the day of *now*."""
    return f"{moment:%H:%M:%S UTC}" if moment.date() == now.date() else f"{moment:%Y-%m-%d %H:%M:%S UTC}"

"""What the workers say of themselves, so that web can say how things are without holding a key."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.deliveries import is_waiting
from bot.db.scope import system_only
from bot.db.tables import agent_jobs, deliveries, job_runs, workers
from bot.db.upsert import insert_or_update
from bot.domain.enums import JobStatus, Tier
from bot.domain.values import Scope


@dataclass(frozen=True, slots=True)
class WorkerReport:
    """One heartbeat; a word is "ok" or what went wrong, None before the first call."""

    id: str
    hostname: str
    pid: int
    version: str
    sandbox_tier: Tier
    sandbox_reason: str
    model_word: str | None
    model_at: datetime | None
    github_word: str | None
    github_at: datetime | None
    running: int
    started_at: datetime
    heartbeat_at: datetime
    concurrency: int = 0
    queue_word: str | None = None
    queue_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class QueueNumbers:
    """How much waits, runs and failed of late."""

    pending: int
    running: int
    failed_last_hour: int
    waiting_deliveries: int
    admitted: int


async def beat(scope: Scope, connection: AsyncConnection, report: WorkerReport) -> None:
    """Write this worker's row, first time or again."""
    system_only(scope)
    row = {name: getattr(report, name) for name in WorkerReport.__slots__}
    await insert_or_update(connection, workers, row, changed=[name for name in row if name != "id"])


async def forget(scope: Scope, connection: AsyncConnection, *, before: datetime) -> None:
    """Delete the rows of workers that fell silent before *before*."""
    system_only(scope)
    await connection.execute(delete(workers).where(workers.c.heartbeat_at < before))


async def leave(scope: Scope, connection: AsyncConnection, worker_id: str) -> None:
    """A worker that stops takes its row away."""
    system_only(scope)
    await connection.execute(delete(workers).where(workers.c.id == worker_id))


async def alive(scope: Scope, connection: AsyncConnection, *, since: datetime) -> list[WorkerReport]:
    """The workers that were heard of since *since*, the latest first."""
    system_only(scope)
    statement = select(workers).where(workers.c.heartbeat_at >= since).order_by(workers.c.heartbeat_at.desc())
    rows = (await connection.execute(statement)).all()
    return [WorkerReport(**{name: getattr(row, name) for name in WorkerReport.__slots__}) for row in rows]


async def queue_numbers(scope: Scope, connection: AsyncConnection, *, failed_since: datetime) -> QueueNumbers:
    """The figures of the health page."""
    system_only(scope)

    async def count(*conditions: object) -> int:
        statement = select(func.count()).select_from(agent_jobs).where(*conditions)  # type: ignore[arg-type]
        return int(await connection.scalar(statement) or 0)

    waiting = await connection.scalar(select(func.count()).select_from(deliveries).where(is_waiting()))
    admitted = await connection.scalar(
        select(func.count())
        .select_from(job_runs)
        .join(agent_jobs, agent_jobs.c.id == job_runs.c.job_id)
        .where(agent_jobs.c.status == JobStatus.PENDING, job_runs.c.admitted_at.is_not(None))
    )
    return QueueNumbers(
        pending=await count(agent_jobs.c.status == JobStatus.PENDING),
        running=await count(agent_jobs.c.status == JobStatus.RUNNING),
        failed_last_hour=await count(
            agent_jobs.c.status == JobStatus.FAILED, agent_jobs.c.completed_at >= failed_since
        ),
        waiting_deliveries=int(waiting or 0),
        admitted=int(admitted or 0),
    )

"""What a run leaves behind: steps, logs, verifications, artifacts."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import jobs, past
from bot.db.prepared import prepared
from bot.db.scope import within
from bot.db.tables import agent_artifacts, agent_jobs, agent_logs, job_steps, verifications
from bot.domain.enums import ArtifactType, LogLevel, StepKind, When
from bot.domain.ids import new_id
from bot.domain.values import ClaimedJob, CommandRecord, Json, Scope

# Built once, for they are asked for with each step of a run.
_INSERT_STEP: Final = prepared(insert(job_steps))
_INSERT_LOG: Final = prepared(insert(agent_logs))


@dataclass(frozen=True, slots=True)
class Step:
    """One row of the transcript; `number` counts model turns from 1, the prompt is 0."""

    number: int
    kind: StepKind
    content: Json
    checkpoint: Json | None = None
    model: str | None = None
    cost_micro_usd: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a job's log, written some time after it was noted."""

    level: LogLevel
    message: str
    data: Json
    at: datetime


@dataclass(frozen=True, slots=True)
class Artifact:
    """Something that a job made and that is kept."""

    type: ArtifactType
    name: str
    content: str
    file_path: str | None = None
    diff_patch: str | None = None
    meta: Json | None = None


async def insert_steps(
    connection: AsyncConnection, job: ClaimedJob, steps: Sequence[Step], *, now: datetime
) -> None:
    """Record *steps* in a write that owns the job; the same step twice under one fence is refused.

    Raises:
        IntegrityError: This fence has recorded such a step.
    """
    rows = [
        {
            "id": new_id(now),
            "job_id": job.id,
            "fence": job.fence,
            "number": step.number,
            "kind": step.kind,
            "content": past.packed(step.content),
            "checkpoint": step.checkpoint,
            "model": step.model,
            "cost_micro_usd": step.cost_micro_usd,
            "created_at": now,
        }
        for step in steps
    ]
    if rows:
        await connection.execute(_INSERT_STEP, rows)


async def add_log(
    scope: Scope,
    connection: AsyncConnection,
    job_id: str,
    level: LogLevel,
    message: str,
    *,
    now: datetime,
    data: Json | None = None,
) -> None:
    """Add a line to the log of a job in scope, for people to read."""
    statement = select(agent_jobs.c.id).where(agent_jobs.c.id == job_id, within(scope, agent_jobs))
    known_id = (await connection.execute(statement)).scalar_one()
    await connection.execute(
        insert(agent_logs).values(
            id=new_id(now), job_id=known_id, level=level, message=message, data=data, timestamp=now
        )
    )


async def insert_logs(
    connection: AsyncConnection, job: ClaimedJob, lines: Sequence[Line], *, now: datetime
) -> None:
    """Add lines to the log of a job that the caller's write owns; their ids keep their order."""
    ids = sorted(new_id(now) for _ in lines)
    rows = [
        {
            "id": id_,
            "job_id": job.id,
            "level": line.level,
            "message": line.message,
            "data": line.data,
            "timestamp": line.at,
        }
        for id_, line in zip(ids, lines, strict=True)
    ]
    if rows:
        await connection.execute(_INSERT_LOG, rows)


async def add_verifications(
    scope: Scope,
    connection: AsyncConnection,
    job: ClaimedJob,
    when: When,
    sha: str,
    records: Sequence[CommandRecord],
    *,
    now: datetime,
    position: int = 0,
) -> None:
    """Record what the harness ran, in order, under this owner's fence; raises LeaseLost.

    *position* is how many of the same moment this owner has recorded before: rounds follow each other.
    """
    await jobs.own(scope, connection, job)
    for place, record in enumerate(records, start=position):
        await connection.execute(
            insert(verifications).values(
                id=new_id(now),
                job_id=job.id,
                fence=job.fence,
                position=place,
                when=when,
                command=record.command,
                exit_code=record.exit_code,
                duration_ms=record.duration_ms,
                sha=sha,
                tier=record.tier,
                reason=record.reason,
                output=record.output,
                created_at=now,
            )
        )


async def add_artifacts(
    scope: Scope,
    connection: AsyncConnection,
    job: ClaimedJob,
    artifacts: Sequence[Artifact],
    *,
    now: datetime,
) -> None:
    """Keep what the job made, inside the caller's fenced transaction; raises LeaseLost."""
    await jobs.own(scope, connection, job)
    for artifact in artifacts:
        await connection.execute(
            insert(agent_artifacts).values(
                id=new_id(now),
                job_id=job.id,
                type=artifact.type,
                name=artifact.name,
                content=artifact.content,
                file_path=artifact.file_path,
                diff_patch=artifact.diff_patch,
                meta=artifact.meta or {},
                created_at=now,
            )
        )


async def artifacts_of(scope: Scope, connection: AsyncConnection, job_id: str) -> list[Artifact]:
    """The artifacts of a job in the order in which they were made."""
    statement = (
        select(agent_artifacts)
        .join(agent_jobs, agent_jobs.c.id == agent_artifacts.c.job_id)
        .where(agent_artifacts.c.job_id == job_id, within(scope, agent_jobs))
        .order_by(agent_artifacts.c.id)
    )
    return [
        Artifact(row.type, row.name, row.content, row.file_path, row.diff_patch, row.meta)
        for row in (await connection.execute(statement)).all()
    ]

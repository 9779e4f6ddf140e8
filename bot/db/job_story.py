"""The whole story of one job: who asked, what happened, what was written where, what it cost."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Table, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import job_log
from bot.db.job_log import JobLine
from bot.db.picked import picked
from bot.db.scope import system_only
from bot.db.tables import (
    agent_artifacts,
    agent_issues,
    agent_jobs,
    agent_logs,
    deliveries,
    events,
    job_origins,
    job_runs,
    job_steps,
    ledger,
    operations,
    verifications,
)
from bot.domain.enums import LogLevel, StepKind
from bot.domain.values import Json, Scope

MAX_ROWS = 200
MAX_LOG_ROWS = 20


@dataclass(frozen=True, slots=True)
class JobStory:
    """Everything about one job that is kept, texts of the model and of people left out.

    The lists hold rows by column keys, oldest first, at most MAX_ROWS each.
    """

    line: JobLine
    request: Json
    events: list[Json]
    operations: list[Json]
    verifications: list[Json]
    spend: list[Json]
    artifacts: list[Json]
    log: list[Json]
    same_request: list[Json]
    turns: int
    last_step_at: datetime | None


async def tell(
    scope: Scope, connection: AsyncConnection, job_id: str, *, now: datetime, silent_before: datetime
) -> JobStory:
    """The story of the job.

    Raises:
        NoResultFound: There is no such job.
    """
    system_only(scope)
    line = await job_log.line(scope, connection, job_id, now=now, silent_before=silent_before)
    turns = select(func.count(), func.max(job_steps.c.created_at)).where(
        job_steps.c.job_id == job_id, job_steps.c.kind == StepKind.TURN
    )
    count, last_step_at = (await connection.execute(turns)).one()
    return JobStory(
        line=line,
        request=await _request(connection, job_id),
        events=await _events(connection, job_id),
        operations=await _operations(connection, job_id),
        verifications=await _rows(
            connection,
            verifications,
            ("created_at", "when", "command", "exit_code", "duration_ms", "tier", "reason", "sha"),
            verifications.c.job_id == job_id,
        ),
        spend=await _spend(connection, job_id),
        artifacts=await _rows(
            connection,
            agent_artifacts,
            ("created_at", "type", "name", "file_path"),
            agent_artifacts.c.job_id == job_id,
        ),
        log=await _log(connection, job_id),
        same_request=await _rows(
            connection,
            agent_jobs,
            ("created_at", "id", "status"),
            agent_jobs.c.issue_id == line.issue_id,
            agent_jobs.c.id != job_id,
        ),
        turns=count,
        last_step_at=last_step_at,
    )


async def _rows(
    connection: AsyncConnection, table: Table, names: tuple[str, ...], *conditions: ColumnElement[bool]
) -> list[Json]:
    """The columns *names* of the rows that belong to the job; ids are in the order of time."""
    statement = select(*picked(table, names)).where(*conditions).order_by(table.c.id)
    return [dict(row) for row in (await connection.execute(statement.limit(MAX_ROWS))).mappings()]


async def _events(connection: AsyncConnection, job_id: str) -> list[Json]:
    """What happened, in the order in which it was numbered."""
    statement = select(*picked(events, ("sequence", "created_at", "kind", "data")))
    ordered = statement.where(events.c.job_id == job_id).order_by(events.c.sequence).limit(MAX_ROWS)
    return [dict(row) for row in (await connection.execute(ordered)).mappings()]


async def _request(connection: AsyncConnection, job_id: str) -> Json:
    """Who asked, how, by which right and in which delivery; missing parts are None."""
    origin = ("actor_id", "actor_login", "trigger", "trigger_key", "comment_id", "head_sha", "confidence")
    run = ("authority", "cancel_reason", "fence", "crashes_without_progress")
    issue = ("external_id", "source", "type")
    statement = (
        select(
            *picked(job_origins, (*origin, "installation_id", "repository_id", "delivery_id")),
            *picked(job_runs, run),
            *picked(agent_issues, issue),
            agent_issues.c.status.label("issue_status"),
            deliveries.c.guid.label("delivery_guid"),
            deliveries.c.event.label("delivery_event"),
            deliveries.c.action.label("delivery_action"),
            deliveries.c.received_at.label("delivery_received_at"),
        )
        .select_from(agent_jobs)
        .join(agent_issues, agent_issues.c.id == agent_jobs.c.issue_id)
        .outerjoin(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .outerjoin(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .outerjoin(deliveries, deliveries.c.id == job_origins.c.delivery_id)
        .where(agent_jobs.c.id == job_id)
    )
    return dict((await connection.execute(statement)).mappings().one())


async def _operations(connection: AsyncConnection, job_id: str) -> list[Json]:
    """The writes to GitHub, in the order in which they are sent; their texts are left out."""
    names = ("created_at", "kind", "state", "attempts", "remote_url", "error", "sent_at", "done_at")
    own = ("id", "sequence", "fence", "remote_id", "wake_at")
    statement = select(*picked(operations, (*names, *own))).where(operations.c.job_id == job_id)
    ordered = statement.order_by(operations.c.sequence, operations.c.id).limit(MAX_ROWS)
    return [dict(row) for row in (await connection.execute(ordered)).mappings()]


async def _spend(connection: AsyncConnection, job_id: str) -> list[Json]:
    """Calls and money by model; open reservations count at their maximum until they are settled."""
    is_open = ledger.c.is_settled.is_(False)
    statement = (
        select(
            ledger.c.model,
            func.count().label("calls"),
            func.coalesce(func.sum(ledger.c.settled_micro_usd), 0).label("settled_micro_usd"),
            func.coalesce(func.sum(ledger.c.reserved_micro_usd).filter(is_open), 0).label(
                "reserved_micro_usd"
            ),
        )
        .where(ledger.c.job_id == job_id)
        .group_by(ledger.c.model)
        .order_by(ledger.c.model)
    )
    return [_as_int(row) for row in (await connection.execute(statement)).mappings()]


def _as_int(row: Any) -> Json:
    """A row whose sums are ints: Postgres sums BIGINT as NUMERIC."""
    return {name: int(value) if name.endswith("micro_usd") else value for name, value in row.items()}


async def _log(connection: AsyncConnection, job_id: str) -> list[Json]:
    """The last lines of AgentLog, without DEBUG."""
    statement = (
        select(*picked(agent_logs, ("timestamp", "level", "message")))
        .where(agent_logs.c.job_id == job_id, agent_logs.c.level != LogLevel.DEBUG)
        .order_by(agent_logs.c.id.desc())
        .limit(MAX_LOG_ROWS)
    )
    rows = [dict(row) for row in (await connection.execute(statement)).mappings()]
    return rows[::-1]

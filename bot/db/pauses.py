"""What an operator has paused: nothing of it is given leave to start; what runs goes on to its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import system_only
from bot.db.tables import agent_jobs, job_origins, job_runs, pauses
from bot.db.turns import take_turn
from bot.db.upsert import insert_or_update
from bot.domain.enums import JobStatus, PauseKind
from bot.domain.values import Scope

TURN: Final = "admit"
"""Admissions and pauses come one after the other."""


@dataclass(frozen=True, slots=True)
class Paused:
    """One pause; `target` is an organization's id, a repository's number as text, or empty."""

    kind: PauseKind
    target: str
    reason: str
    created_at: datetime


async def pause(
    scope: Scope, connection: AsyncConnection, kind: PauseKind, target: str, *, reason: str, now: datetime
) -> None:
    """Pause it, and take back leave that was given and not used; the second time only words change."""
    system_only(scope)
    await take_turn(connection, TURN)
    row = {"kind": kind, "target": target, "reason": reason, "created_at": now}
    await insert_or_update(connection, pauses, row, changed=["reason"])
    covered = select(agent_jobs.c.id).join(job_origins, job_origins.c.job_id == agent_jobs.c.id)
    await revoke(connection, job_runs.c.job_id.in_(covered.where(_covers(kind, target))))


async def unpause(scope: Scope, connection: AsyncConnection, kind: PauseKind, target: str) -> bool:
    """End that one pause; whether there was one."""
    system_only(scope)
    await take_turn(connection, TURN)
    ended = await connection.execute(delete(pauses).where(pauses.c.kind == kind, pauses.c.target == target))
    return ended.rowcount == 1


async def paused(scope: Scope, connection: AsyncConnection) -> list[Paused]:
    """Every pause, the oldest first."""
    system_only(scope)
    order = (pauses.c.created_at, pauses.c.kind, pauses.c.target)
    rows = (await connection.execute(select(pauses).order_by(*order))).all()
    return [Paused(row.kind, row.target, row.reason, row.created_at) for row in rows]


async def waiting(scope: Scope, connection: AsyncConnection, pause_: Paused) -> int:
    """How many jobs wait that this pause covers."""
    system_only(scope)
    statement = (
        select(func.count())
        .select_from(agent_jobs.join(job_origins, job_origins.c.job_id == agent_jobs.c.id))
        .where(agent_jobs.c.status == JobStatus.PENDING, _covers(pause_.kind, pause_.target))
    )
    return int(await connection.scalar(statement) or 0)


def allowed(found: Sequence[Paused]) -> ColumnElement[bool] | None:
    """The condition on `agent_jobs` and `job_origins` that no pause covers a job; None: all are covered."""
    if any(each.kind is PauseKind.EVERYTHING for each in found):
        return None
    return and_(true(), *(~_covers(each.kind, each.target) for each in found))


async def revoke(connection: AsyncConnection, condition: ColumnElement[bool]) -> None:
    """Take back leave that was given and not used; runs are locked in one order, as a cancel does."""
    holds = and_(job_runs.c.admitted_at.is_not(None), condition)
    statement = select(job_runs.c.job_id).where(holds).order_by(job_runs.c.job_id).with_for_update()
    found = list((await connection.execute(statement)).scalars())
    if found:
        await connection.execute(
            update(job_runs).where(job_runs.c.job_id.in_(found)).values(admitted_at=None)
        )


def _covers(kind: PauseKind, target: str) -> ColumnElement[bool]:
    if kind is PauseKind.EVERYTHING:
        return true()
    if kind is PauseKind.ORGANIZATION:
        return agent_jobs.c.organization_id == target
    return job_origins.c.repository_id == int(target)

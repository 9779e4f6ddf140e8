"""Who may run next: the one place for policy, for every engine.

Leave to start is a grant in the database (`job_runs.admitted_at`): only `admit` gives it, one admission
at a time; a claim, a cancel, a pause and the time take it back. So a job that holds a grant is within
the cap of its organization and alone at its write key, whatever an engine says.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import CTE, ColumnElement, and_, case, func, or_, select, union_all, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import pauses
from bot.db.scope import system_only
from bot.db.tables import agent_jobs, job_origins, job_runs, organization_turns, workers
from bot.db.turns import take_turn
from bot.db.upsert import insert_or_update
from bot.domain.enums import JobStatus
from bot.domain.states import PRIORITY_NUMBERS
from bot.domain.values import Scope

ORGANIZATION_CAP: Final = 3
"""How many jobs of one organization are admitted or running at a time."""
AGE_STEP: Final = timedelta(minutes=5)
"""A job that waits gains a point of priority each time this passes, up to the most urgent one."""
MOST_URGENT: Final = min(PRIORITY_NUMBERS.values())
LEAST_URGENT: Final = max(PRIORITY_NUMBERS.values())


async def admit(
    scope: Scope, connection: AsyncConnection, *, now: datetime, readmit_after: timedelta, places: int
) -> list[str]:
    """Give at most *places* jobs leave to start and return their ids, the next one first.

    Only jobs whose time has come and that nobody paused; at most ORGANIZATION_CAP admitted or running
    an organization, at most one a write key. The organization with the fewest comes first, then the
    most urgent job (with its age counted), then the organization that was served longest ago, then the
    oldest job. Leave that was given longer than *readmit_after* ago and not used is given anew: the
    engine lost it.
    """
    system_only(scope)
    await take_turn(connection, pauses.TURN)
    await pauses.revoke(connection, job_runs.c.admitted_at <= now - readmit_after)
    allowed = pauses.allowed(await pauses.paused(scope, connection))
    if places <= 0 or allowed is None:
        return []
    chosen = list((await connection.execute(_next(now, allowed).limit(places))).scalars())
    admitted = await _still_waiting(connection, chosen)
    await connection.execute(update(job_runs).where(job_runs.c.job_id.in_(admitted)).values(admitted_at=now))
    await _record_turns(connection, admitted)
    return admitted


async def unadmit(scope: Scope, connection: AsyncConnection, job_ids: Sequence[str]) -> None:
    """Take back the leave of *job_ids*, which no engine took; a job that runs by now is left alone."""
    system_only(scope)
    await pauses.revoke(connection, job_runs.c.job_id.in_(job_ids))


async def free_places(scope: Scope, connection: AsyncConnection, *, since: datetime) -> int:
    """How many more jobs the workers that were heard of since *since* can take, one spare each.

    Leave that was given before *since* and not used takes no place: it is lost.
    """
    system_only(scope)
    offered = await connection.scalar(
        select(func.coalesce(func.sum(workers.c.concurrency + 1), 0)).where(workers.c.heartbeat_at >= since)
    )
    running = await connection.scalar(
        select(func.count()).select_from(agent_jobs).where(agent_jobs.c.status == JobStatus.RUNNING)
    )
    admitted = await connection.scalar(
        select(func.count()).select_from(job_runs).where(job_runs.c.admitted_at > since)
    )
    return max(0, int(offered or 0) - int(running or 0) - int(admitted or 0))


def urgency(now: datetime) -> ColumnElement[int]:
    """The priority of a job with its age counted: from MOST_URGENT to LEAST_URGENT, lower first."""
    steps = range(LEAST_URGENT - MOST_URGENT, 0, -1)
    points = case(*((agent_jobs.c.created_at <= now - step * AGE_STEP, step) for step in steps), else_=0)
    stated = case((agent_jobs.c.priority > LEAST_URGENT, LEAST_URGENT), else_=agent_jobs.c.priority)
    aged = stated - points
    return case((aged < MOST_URGENT, MOST_URGENT), else_=aged)


def _next(now: datetime, allowed: ColumnElement[bool]) -> Any:
    """The ids of the jobs that may start, in their order."""
    at_work = _at_work()
    active = (
        select(at_work.c.organization_id, func.count().label("jobs"))
        .group_by(at_work.c.organization_id)
        .cte("active")
    )
    alone = _alone(now, allowed, at_work, active)
    order = (alone.c.urgency, alone.c.created_at, alone.c.id)
    place = func.row_number().over(partition_by=alone.c.organization_id, order_by=order)
    placed = select(alone, (place + alone.c.active).label("turn")).where(alone.c.key_place == 1).subquery()
    return (
        select(placed.c.id)
        .outerjoin(organization_turns, organization_turns.c.organization_id == placed.c.organization_id)
        .where(placed.c.turn <= ORGANIZATION_CAP)
        .order_by(
            placed.c.turn,
            placed.c.urgency,
            func.coalesce(organization_turns.c.number, 0),
            placed.c.created_at,
            placed.c.id,
        )
    )


def _at_work() -> CTE:
    """Organization and write key of each job that is running, or has leave to."""
    columns = (agent_jobs.c.organization_id, job_origins.c.write_key)
    source = agent_jobs.join(job_origins, job_origins.c.job_id == agent_jobs.c.id)
    running = select(*columns).select_from(source).where(agent_jobs.c.status == JobStatus.RUNNING)
    admitted = (
        select(*columns)
        .select_from(source.join(job_runs, job_runs.c.job_id == agent_jobs.c.id))
        .where(job_runs.c.admitted_at.is_not(None))
    )
    return union_all(running, admitted).cte("at_work")


def _alone(now: datetime, allowed: ColumnElement[bool], at_work: CTE, active: CTE) -> Any:
    """The jobs that wait and could start, each with its place among those of its write key."""
    order = (urgency(now), agent_jobs.c.created_at, agent_jobs.c.id)
    key = func.coalesce(job_origins.c.write_key, agent_jobs.c.id)
    busy_keys = select(at_work.c.write_key).where(at_work.c.write_key.is_not(None))
    jobs_of_organization = func.coalesce(active.c.jobs, 0)
    return (
        select(
            agent_jobs.c.id,
            agent_jobs.c.organization_id,
            agent_jobs.c.created_at,
            order[0].label("urgency"),
            jobs_of_organization.label("active"),
            func.row_number().over(partition_by=key, order_by=order).label("key_place"),
        )
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .join(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .outerjoin(active, active.c.organization_id == agent_jobs.c.organization_id)
        .where(
            agent_jobs.c.status == JobStatus.PENDING,
            job_runs.c.admitted_at.is_(None),
            or_(job_runs.c.wake_at.is_(None), job_runs.c.wake_at <= now),
            jobs_of_organization < ORGANIZATION_CAP,
            or_(job_origins.c.write_key.is_(None), job_origins.c.write_key.not_in(busy_keys)),
            allowed,
        )
        .subquery()
    )


async def _still_waiting(connection: AsyncConnection, chosen: Sequence[str]) -> list[str]:
    """Those of *chosen* that nobody cancelled meanwhile; their runs are locked now, in one order."""
    mine = job_runs.c.job_id.in_(chosen)
    await connection.execute(
        select(job_runs.c.job_id).where(mine).order_by(job_runs.c.job_id).with_for_update()
    )
    waits = and_(agent_jobs.c.id.in_(chosen), agent_jobs.c.status == JobStatus.PENDING)
    left = set((await connection.execute(select(agent_jobs.c.id).where(waits))).scalars())
    return [job_id for job_id in chosen if job_id in left]


async def _record_turns(connection: AsyncConnection, admitted: Sequence[str]) -> None:
    """Remember in which order the organizations were served."""
    statement = select(agent_jobs.c.id, agent_jobs.c.organization_id).where(agent_jobs.c.id.in_(admitted))
    owners = {row.id: row.organization_id for row in await connection.execute(statement)}
    last = int(await connection.scalar(select(func.max(organization_turns.c.number))) or 0)
    served = {owners[job_id]: number for number, job_id in enumerate(admitted, start=last + 1)}
    for organization_id, number in served.items():
        row = {"organization_id": organization_id, "number": number}
        await insert_or_update(connection, organization_turns, row, changed=["number"])

"""What is kept for a time only: bodies of webhooks, transcripts and logs of ended jobs.

What is due is looked for in a reading transaction, which holds nobody up, and dropped by its ids in a
writing one.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from sqlalchemy import ColumnElement, Select, Table, and_, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import deliveries as bodies
from bot.db.scope import system_only
from bot.db.tables import agent_jobs, agent_logs, deliveries, installations, job_origins, job_steps
from bot.domain.ids import first_id
from bot.domain.states import FINAL_JOBS, OPEN_JOBS
from bot.domain.values import Scope


@dataclass(frozen=True, slots=True)
class Due:
    """One kind: `find` gives the ids of at most so many, `drop` says how many of *ids* it dropped.

    Whatever is no longer due when it is dropped stays; the second time there is nothing to drop.
    """

    find: Callable[[AsyncConnection, int], Awaitable[list[str]]]
    drop: Callable[[AsyncConnection, list[str]], Awaitable[int]]


def old_bodies(scope: Scope, *, before: datetime) -> Due:
    """Bodies of deliveries received before *before*."""
    return _bodies(scope, deliveries.c.received_at < before)


def bodies_of_left(scope: Scope) -> Due:
    """Bodies of deliveries of accounts that uninstalled the App.

    https://docs.github.com/en/apps/creating-github-apps/about-creating-github-apps/best-practices-for-creating-a-github-app
    """
    left = select(installations.c.id).where(installations.c.deleted_at.is_not(None))
    return _bodies(scope, deliveries.c.installation_id.in_(left))


def orphaned_parts(scope: Scope, *, before: datetime) -> Due:
    """Parts made before *before* of bodies whose delivery was never stored."""

    async def find(connection: AsyncConnection, limit: int) -> list[str]:
        return await bodies.orphaned_parts(scope, connection, before=before, limit=limit)

    return Due(find, partial(bodies.drop_orphaned_parts, scope, before=before))


def old_steps(scope: Scope, *, before: datetime) -> Due:
    """Steps of jobs that ended before *before*, unless an open job goes on from them.

    Money, verifications and artifacts stay.
    """
    is_old = and_(job_steps.c.id < first_id(before), job_steps.c.job_id.not_in(_continued()))
    return _rows(scope, job_steps, is_old, before)


def old_logs(scope: Scope, *, before: datetime) -> Due:
    """AgentLog rows of jobs that ended before *before*."""
    return _rows(scope, agent_logs, agent_logs.c.timestamp < before, before)


def _continued() -> Select[str]:
    """The jobs whose conversations open jobs go on with, however far back."""
    origin = job_origins.alias("origin")
    direct = (
        select(job_origins.c.continues_id.label("id"))
        .join(agent_jobs, agent_jobs.c.id == job_origins.c.job_id)
        .where(agent_jobs.c.status.in_(OPEN_JOBS), job_origins.c.continues_id.is_not(None))
        # Within the subquery: SQLite's driver counts no rows of a statement that begins with WITH.
        .cte("continued", recursive=True, nesting=True)
    )
    further = select(origin.c.continues_id).where(
        origin.c.job_id == direct.c.id, origin.c.continues_id.is_not(None)
    )
    return select(direct.union(further).c.id)


def _bodies(scope: Scope, condition: ColumnElement[bool]) -> Due:
    async def find(connection: AsyncConnection, limit: int) -> list[str]:
        return await bodies.purgeable(scope, connection, condition, limit=limit)

    async def drop(connection: AsyncConnection, ids: list[str]) -> int:
        return await bodies.purge(scope, connection, condition, ids)

    return Due(find, drop)


def _rows(scope: Scope, table: Table, is_old: ColumnElement[bool], before: datetime) -> Due:
    """Rows of jobs that ended; *is_old* is true of each, so that an index leads past those that stay."""
    has_ended = exists().where(
        agent_jobs.c.id == table.c.job_id,
        agent_jobs.c.status.in_(FINAL_JOBS),
        agent_jobs.c.completed_at < before,
    )
    is_due = and_(is_old, has_ended)

    async def find(connection: AsyncConnection, limit: int) -> list[str]:
        system_only(scope)
        return list(await connection.scalars(select(table.c.id).where(is_due).limit(limit)))

    async def drop(connection: AsyncConnection, ids: list[str]) -> int:
        system_only(scope)
        return (await connection.execute(delete(table).where(table.c.id.in_(ids), is_due))).rowcount

    return Due(find, drop)

"""What is kept for a time only: transcripts and logs of ended jobs; payloads of whom the App left."""

from datetime import datetime

from sqlalchemy import Table, and_, delete, exists, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.deliveries import purge
from bot.db.scope import system_only
from bot.db.tables import agent_jobs, agent_logs, deliveries, installations, job_steps
from bot.domain.states import FINAL_JOBS
from bot.domain.values import Scope


async def drop_steps(scope: Scope, connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Delete at most *limit* steps of jobs that ended before *before*; returns how many.

    Money, verifications and artifacts stay.
    """
    system_only(scope)
    return await _drop(connection, job_steps, before, limit)


async def drop_logs(scope: Scope, connection: AsyncConnection, *, before: datetime, limit: int) -> int:
    """Delete at most *limit* AgentLog rows of jobs that ended before *before*; returns how many."""
    system_only(scope)
    return await _drop(connection, agent_logs, before, limit)


async def _drop(connection: AsyncConnection, table: Table, before: datetime, limit: int) -> int:
    has_ended = and_(agent_jobs.c.status.in_(FINAL_JOBS), agent_jobs.c.completed_at < before)
    found = (
        select(table.c.id)
        .join(agent_jobs, agent_jobs.c.id == table.c.job_id)
        .where(has_ended)
        .order_by(table.c.id)
        .limit(limit)
    )
    result = await connection.execute(delete(table).where(table.c.id.in_(found.scalar_subquery())))
    return result.rowcount


async def purge_left(scope: Scope, connection: AsyncConnection, *, limit: int) -> int:
    """Drop the bodies of at most *limit* deliveries of accounts that uninstalled the App; how many.

    https://docs.github.com/en/apps/creating-github-apps/about-creating-github-apps/best-practices-for-creating-a-github-app
    """
    left = exists().where(
        installations.c.id == deliveries.c.installation_id, installations.c.deleted_at.is_not(None)
    )
    return await purge(scope, connection, left, limit=limit)

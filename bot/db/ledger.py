"""Money: reserved before each model call, settled after it; an unsettled row counts at its maximum."""

from datetime import datetime

from sqlalchemy import func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import within
from bot.db.tables import agent_jobs, job_runs, ledger
from bot.domain.ids import new_id
from bot.domain.values import Json, Scope


async def reserve(
    scope: Scope,
    connection: AsyncConnection,
    job_id: str,
    model: str,
    *,
    micro_usd: int,
    limit_micro_usd: int,
    now: datetime,
) -> str | None:
    """Reserve *micro_usd* for one call of the job; None when its limit would be passed.

    The job's run is locked first: of two reservations at once the second counts the first.

    Raises:
        NoResultFound: There is no such job in scope.
    """
    run = (
        select(job_runs.c.job_id)
        .join(agent_jobs, agent_jobs.c.id == job_runs.c.job_id)
        .where(agent_jobs.c.id == job_id, within(scope, agent_jobs))
    )
    (await connection.execute(run.with_for_update(of=job_runs))).scalar_one()
    if await spent_by_job(scope, connection, job_id) + micro_usd > limit_micro_usd:
        return None
    row_id = new_id(now)
    await connection.execute(
        insert(ledger).values(
            id=row_id,
            job_id=job_id,
            organization_id=scope.organization_id,
            model=model,
            reserved_micro_usd=micro_usd,
            is_settled=False,
            created_at=now,
        )
    )
    return row_id


async def settle(
    scope: Scope, connection: AsyncConnection, row_id: str, *, micro_usd: int, usage: Json, now: datetime
) -> None:
    """Replace a reservation by what the call really cost; the first settlement stays."""
    await connection.execute(
        update(ledger)
        .where(ledger.c.id == row_id, ledger.c.is_settled.is_(False), within(scope, ledger))
        .values(settled_micro_usd=micro_usd, usage=usage, is_settled=True, settled_at=now)
    )


async def spent_by_job(scope: Scope, connection: AsyncConnection, job_id: str) -> int:
    """Micro-USD of one job: settled calls at their cost, interrupted ones at their reservation."""
    total = await connection.scalar(
        select(func.sum(func.coalesce(ledger.c.settled_micro_usd, ledger.c.reserved_micro_usd))).where(
            ledger.c.job_id == job_id, within(scope, ledger)
        )
    )
    return int(total or 0)

"""Money of jobs, set aside and spent."""

from datetime import datetime

from bot.db import ledger
from bot.db.database import Database
from bot.domain.budget import Budgets
from bot.domain.enums import Purpose
from bot.domain.values import ClaimedJob, Scope, Usage
from tests.db.rows import NOW


def call(micro_usd: int, *, tokens: int = 0, model: str = "m1") -> ledger.Call:
    """A call that can cost *micro_usd*."""
    return ledger.Call(model, Purpose.TURN, micro_usd, tokens)


async def reserve(
    database: Database,
    job: ClaimedJob,
    micro_usd: int,
    limits: Budgets = Budgets(),  # noqa: B008 (frozen)
    *,
    tokens: int = 0,
    model: str = "m1",
    now: datetime = NOW,
) -> str:
    """Set money aside in a transaction of its own."""
    wanted = call(micro_usd, tokens=tokens, model=model)
    async with database.write() as connection:
        return await ledger.reserve(Scope(job.organization_id), connection, job, wanted, limits, now=now)


async def settle(
    database: Database, job: ClaimedJob, row_id: str, micro_usd: int, usage: Usage | None = None
) -> None:
    """Put what it cost in its place."""
    scope = Scope(job.organization_id)
    async with database.write() as connection:
        await ledger.settle(scope, connection, row_id, micro_usd=micro_usd, usage=usage or Usage(), now=NOW)


async def spent(database: Database, job: ClaimedJob) -> int:
    """What the job has spent, in micro-USD."""
    async with database.read() as connection:
        return (await ledger.spent_by_job(Scope(job.organization_id), connection, job.id)).micro_usd

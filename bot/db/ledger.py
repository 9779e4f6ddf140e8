"""Money: reserved before each model call, settled after it; an unsettled row counts at its maximum.

Each call counts for the day and the minute in which it was reserved. Who reserves has its organization's
turn, so that no two calls are let pass by the same last dollar.
"""

from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, bindparam, case, func, insert, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import jobs
from bot.db.prepared import prepared
from bot.db.scope import within
from bot.db.tables import ledger
from bot.db.turns import take_turn
from bot.domain import budget
from bot.domain.budget import Budgets, Spent, Sums
from bot.domain.enums import Purpose
from bot.domain.ids import new_id
from bot.domain.values import ClaimedJob, Scope, Usage

__all__ = ["Call", "Spent", "affordable", "reserve", "settle", "spent_by_job", "sums_of"]

AMOUNT: Final[ColumnElement[int]] = func.coalesce(ledger.c.settled_micro_usd, ledger.c.reserved_micro_usd)
"""What a row counts, in micro-USD: its cost once that is known, else the most that it can be."""
_ALL: Final = "budget"
# Built once, for they are asked for with each step of a run.
_INSERT: Final = prepared(insert(ledger))
_SETTLE: Final = prepared(
    update(ledger).where(
        ledger.c.id == bindparam("row_id"),
        ledger.c.is_settled.is_(False),
        ledger.c.organization_id == bindparam("within"),
    )
)


@dataclass(frozen=True, slots=True)
class Call:
    """A model call that is about to be made: the most that it can cost, and the most tokens it can use."""

    model: str
    purpose: Purpose
    micro_usd: int
    tokens: int


async def reserve(
    scope: Scope, connection: AsyncConnection, job: ClaimedJob, call: Call, limits: Budgets, *, now: datetime
) -> str:
    """Set the money for one call aside, under this owner's fence; gives the id of the row.

    Twice is two calls. Of two at once in one organization the second counts the first. An earlier call of
    the job that has ended is settled first, also in this transaction, or it counts at its maximum; no other
    row may be locked before.

    Raises:
        BudgetExceeded: A limit does not cover the call; nothing is written.
        RetryLater: Too much was spent within the last minute, by whomever; nothing is written.
        LeaseLost: Another worker owns the job.
        LookupError: The job is outside the scope.
    """
    await take_turn(connection, f"{_ALL}:{job.organization_id}")
    sums = await sums_of(scope, connection, job, limits, now=now)
    if limits.minute and sums.minute + call.micro_usd > limits.minute // 2:
        # Far from the limit nobody waits for another organization; what is let pass there in one instant
        # would have to be half of the limit.
        await take_turn(connection, _ALL)
        sums = replace(sums, **(await _one(connection, _minute(now - budget.MINUTE))))
    budget.check_call(sums, Spent(call.micro_usd, call.tokens), limits, now=now)
    await jobs.own(scope, connection, job)
    row_id = new_id(now)
    row = {
        "id": row_id,
        "job_id": job.id,
        "organization_id": job.organization_id,
        "actor_id": job.origin.actor.id,
        "repository_id": job.repository.id,
        "purpose": call.purpose,
        "model": call.model,
        "reserved_micro_usd": call.micro_usd,
        "tokens": call.tokens,
        "is_settled": False,
        "created_at": now,
    }
    await connection.execute(_INSERT, row)
    return row_id


async def settle(
    scope: Scope, connection: AsyncConnection, row_id: str, *, micro_usd: int, usage: Usage, now: datetime
) -> None:
    """Replace a reservation by what the call really cost and used; the first settlement stays.

    The scope is an organization's: the system's own finds no row, and changes nothing.
    """
    used = asdict(usage)
    values = {
        "row_id": row_id,
        "within": scope.organization_id,
        "settled_micro_usd": micro_usd,
        "tokens": sum(used.values()),
        "usage": used,
        "is_settled": True,
        "settled_at": now,
    }
    await connection.execute(_SETTLE, values)


async def spent_by_job(scope: Scope, connection: AsyncConnection, job_id: str) -> Spent:
    """What all attempts of one job have used: settled calls as billed, interrupted ones at their maximum."""
    found = await _one(connection, _job(job_id).where(within(scope, ledger)))
    return Spent(found["job_micro_usd"], found["job_tokens"])


async def affordable(
    scope: Scope,
    connection: AsyncConnection,
    job: ClaimedJob,
    least_micro_usd: int,
    limits: Budgets,
    now: datetime,
) -> None:
    """Let a job pass whose budgets cover a call of *least_micro_usd*; nothing is reserved.

    Asked before any work, so that a job which could ask the model nothing ends at once. `reserve` decides
    anew before each call.

    Raises:
        BudgetExceeded: A limit does not cover it.
        RetryLater: Too much was spent within the last minute, by whomever.
        LookupError: The job is outside the scope.
    """
    sums = await sums_of(scope, connection, job, limits, now=now)
    budget.check_call(sums, Spent(least_micro_usd), limits, now=now)


async def sums_of(
    scope: Scope, connection: AsyncConnection, job: ClaimedJob, limits: Budgets, *, now: datetime
) -> Sums:
    """All sums that a call of *job* counts for, by one question; the month's only where it has a limit.

    Raises:
        LookupError: The job is outside the scope.
    """
    if scope.organization_id not in (None, job.organization_id):
        raise LookupError(job.id)
    day = budget.day_start(now)
    values = {
        "organization_id": job.organization_id,
        "actor_id": job.origin.actor.id,
        "repository_id": job.repository.id,
        "since": budget.month_start(now) if limits.organization_month else day,
        "day": day,
        "recent": now - budget.MINUTE,
        "job_id": job.id,
    }
    found = await _one(connection, _SUMS, values)
    spent = Spent(found.pop("job_micro_usd"), found.pop("job_tokens"))
    return Sums(job=spent, **found)


def _above(
    organization_id: Any, actor_id: Any, repository_id: Any, since: Any, day: Any
) -> Select[*tuple[Any, ...]]:
    """An organization's calls since *since*, and today's, with a person's and a repository's among them."""
    own = ledger.c.organization_id == organization_id
    # Apart, for most rows of a month are of earlier days and belong to one sum alone.
    is_earlier = (ledger.c.created_at >= since) & (ledger.c.created_at < day)
    earlier = select(_total(AMOUNT).label("micro_usd")).where(own, is_earlier).subquery()
    today = (
        select(
            _total(AMOUNT).label("organization_day"),
            _total(AMOUNT, ledger.c.repository_id == repository_id).label("repository_day"),
            _total(AMOUNT, ledger.c.actor_id == actor_id).label("user_day"),
        )
        .where(own, ledger.c.created_at >= day)
        .subquery()
    )
    month = earlier.c.micro_usd + today.c.organization_day
    return select(month.label("organization_month"), today).join_from(earlier, today, true())


def _minute(since: Any) -> Select[*tuple[Any, ...]]:
    """What everybody spent since *since*."""
    oldest = func.min(ledger.c.created_at).label("oldest_in_minute")
    recent = ledger.c.created_at > since
    return select(_total(AMOUNT).label("minute"), oldest).where(recent)


def _job(job_id: Any) -> Select[*tuple[Any, ...]]:
    """What one job has used."""
    used = _total(ledger.c.tokens).label("job_tokens")
    return select(_total(AMOUNT).label("job_micro_usd"), used).where(ledger.c.job_id == job_id)


def _total(amount: ColumnElement[int], condition: ColumnElement[bool] | None = None) -> ColumnElement[int]:
    """The sum of *amount*, of the rows that fit *condition*; 0 of none."""
    return func.coalesce(func.sum(amount if condition is None else case((condition, amount), else_=0)), 0)


def _sums() -> Select[*tuple[Any, ...]]:
    """Everything that a call counts for; made once, for it is asked before each call."""
    names = ("organization_id", "actor_id", "repository_id", "since", "day")
    above = _above(*(bindparam(name) for name in names)).subquery()
    minute, own = _minute(bindparam("recent")).subquery(), _job(bindparam("job_id")).subquery()
    return select(above, minute, own).join_from(above, minute, true()).join(own, true())


_SUMS: Final = prepared(_sums())


async def _one(
    connection: AsyncConnection, statement: Select[*tuple[Any, ...]], values: dict[str, Any] | None = None
) -> dict[str, Any]:
    """The one row by its labels; sums, which Postgres gives as decimals, as whole numbers."""
    row = (await connection.execute(statement, values)).mappings().one()
    return {
        key: value if value is None or isinstance(value, datetime) else int(value)
        for key, value in row.items()
    }

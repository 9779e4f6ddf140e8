"""What is spent of each budget, for those who run the service: by organization, person and repository."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeAlias

from sqlalchemy import ColumnElement, case, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.ledger import AMOUNT
from bot.db.scope import system_only
from bot.db.tables import job_origins, ledger, organizations, repositories
from bot.domain import budget
from bot.domain.budget import BudgetKind, Budgets
from bot.domain.values import Scope

_Found: TypeAlias = tuple[str, str | None, int, BudgetKind]


@dataclass(frozen=True, slots=True)
class SpendLine:
    """One budget: whose it is, micro-USD spent or reserved, the limit (0: none), when it begins anew."""

    kind: BudgetKind
    name: str
    organization: str | None
    spent_micro_usd: int
    limit_micro_usd: int
    resets_at: datetime | None


async def listing(
    scope: Scope, connection: AsyncConnection, limits: Budgets, *, limit: int, now: datetime
) -> list[SpendLine]:
    """The breaker, then of each kind the *limit* budgets of which most is spent, of those with any.

    Raises:
        ValueError: The scope is an organization's.
    """
    system_only(scope)
    minute = await connection.scalar(
        select(func.sum(AMOUNT)).where(ledger.c.created_at > now - budget.MINUTE)
    )
    found: list[_Found] = [("everything", None, minute or 0, BudgetKind.MINUTE)]
    month, day = budget.month_start(now), budget.day_start(now)
    whose: tuple[tuple[BudgetKind, datetime, ColumnElement[Any] | None], ...] = (
        (BudgetKind.ORGANIZATION_MONTH, month, None),
        (BudgetKind.ORGANIZATION_DAY, day, None),
        (BudgetKind.REPOSITORY_DAY, day, ledger.c.repository_id),
        (BudgetKind.USER_DAY, day, ledger.c.actor_id),
    )
    for kind, since, key in whose:
        found += await _largest(connection, kind, key, since, limit)
    return [
        SpendLine(kind, name, organization, int(spent), limits.of(kind), budget.resets_at(kind, now))
        for name, organization, spent, kind in found
    ]


async def _largest(
    connection: AsyncConnection,
    kind: BudgetKind,
    key: ColumnElement[Any] | None,
    since: datetime,
    limit: int,
) -> list[_Found]:
    """Name, organization and sum of those that spent most since *since*; *key* divides an organization."""
    spent = func.sum(AMOUNT)
    login = func.max(case((job_origins.c.actor_id == ledger.c.actor_id, job_origins.c.actor_login)))
    names = {
        BudgetKind.REPOSITORY_DAY: func.max(repositories.c.full_name),
        BudgetKind.USER_DAY: login,
    }
    of = organizations.c.name
    keys = [ledger.c.organization_id, of] if key is None else [ledger.c.organization_id, of, key]
    statement = (
        select(names.get(kind, of).label("name"), of.label("organization"), spent.label("spent"))
        .select_from(ledger)
        .join(organizations, organizations.c.id == ledger.c.organization_id)
        .outerjoin(job_origins, job_origins.c.job_id == ledger.c.job_id)
        .outerjoin(repositories, repositories.c.id == ledger.c.repository_id)
        .where(ledger.c.created_at >= since)
        .group_by(*keys)
        .order_by(spent.desc(), of, *keys)
        .limit(limit)
    )
    if key is not None:
        statement = statement.where(key.is_not(None))
    return [
        (row.name or "(unknown)", None if key is None else row.organization, row.spent, kind)
        for row in await connection.execute(statement)
    ]

"""What an operator has paused: nothing of it is given leave to start; what runs goes on to its end."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from typing import Final

from sqlalchemy import ColumnElement, and_, delete, func, select, true, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import bell
from bot.db.scope import system_only
from bot.db.tables import agent_jobs, job_origins, job_runs, organizations, pauses, repositories
from bot.db.turns import take_turn
from bot.db.upsert import insert_or_update
from bot.domain.enums import JobStatus, PauseKind
from bot.domain.values import Scope
from bot.errors import UserError

TURN: Final = "admit"
"""Admissions and pauses come one after the other."""
_SHOWN: Final = 5


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
    await bell.ring(connection)
    return ended.rowcount == 1


async def paused(scope: Scope, connection: AsyncConnection) -> list[Paused]:
    """Every pause, the oldest first."""
    system_only(scope)
    order = (pauses.c.created_at, pauses.c.kind, pauses.c.target)
    rows = (await connection.execute(select(pauses).order_by(*order))).all()
    return [Paused(row.kind, row.target, row.reason, row.created_at) for row in rows]


@dataclass(frozen=True, slots=True)
class PauseLine:
    """One pause as people read it: what it is called, and how many jobs wait that it covers."""

    kind: PauseKind
    target: str
    name: str
    reason: str
    created_at: datetime
    waiting: int


async def listing(scope: Scope, connection: AsyncConnection) -> list[PauseLine]:
    """Every pause with its name, the oldest first."""
    lines = []
    for each in await paused(scope, connection):
        names = await _names(connection, each.kind)
        count = await connection.scalar(
            select(func.count())
            .select_from(agent_jobs.join(job_origins, job_origins.c.job_id == agent_jobs.c.id))
            .where(agent_jobs.c.status == JobStatus.PENDING, _covers(each.kind, each.target))
        )
        name = names.get(each.target, each.target)
        lines.append(PauseLine(each.kind, each.target, name, each.reason, each.created_at, int(count or 0)))
    return lines


async def target_of(scope: Scope, connection: AsyncConnection, kind: PauseKind, name: str) -> str:
    """What *name* (an organization's name, `owner/name`, or the id of either) is called in a pause.

    Raises:
        UserError: Nothing is called so, or several are; it says what there is.
    """
    system_only(scope)
    names = await _names(connection, kind)
    known = {each.target for each in await paused(scope, connection) if each.kind is kind}
    if name in names or name in known:
        return name
    found = sorted(target for target, text in names.items() if text.casefold() == name.casefold())
    if len(found) == 1:
        return found[0]
    if found:
        message = f"several are called {name!r}; give the id: {', '.join(found)}"
        raise UserError(message)
    near = get_close_matches(name, names.values(), n=_SHOWN, cutoff=0.5) or sorted(names.values())[:_SHOWN]
    there_is = f"there is {', '.join(map(repr, near))}" if near else "there is none yet"
    message = f"no {kind.value} is called {name!r}; {there_is}"
    raise UserError(message)


async def _names(connection: AsyncConnection, kind: PauseKind) -> dict[str, str]:
    """What can be paused, by its target."""
    if kind is PauseKind.EVERYTHING:
        return {"": "everything"}
    table, name = (
        (organizations, organizations.c.name)
        if kind is PauseKind.ORGANIZATION
        else (repositories, repositories.c.full_name)
    )
    return {str(row.id): row.name for row in await connection.execute(select(table.c.id, name.label("name")))}


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

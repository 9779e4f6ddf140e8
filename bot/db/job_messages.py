"""What authorized people say in the thread of an open job, until the running job takes it in."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from sqlalchemy import Select, bindparam, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.prepared import prepared
from bot.db.scope import within
from bot.db.tables import agent_jobs, job_messages
from bot.domain.ids import new_id
from bot.domain.values import Actor, Said, Scope

MAX_WAITING = 50
"""How many are taken in at once, oldest first; more wait for the next time."""


def _waiting() -> Select[str, str, str]:
    """What nobody has taken in yet of a job; built once, for each step of a run asks for it."""
    is_within = agent_jobs.c.organization_id == bindparam("within")
    job = exists().where(agent_jobs.c.id == job_messages.c.job_id, is_within)
    return (
        select(job_messages.c.id, job_messages.c.actor_login, job_messages.c.body)
        .where(job_messages.c.job_id == bindparam("job_id"), job_messages.c.taken_step.is_(None), job)
        .order_by(job_messages.c.id)
        .limit(MAX_WAITING)
    )


_WAITING: Final = prepared(_waiting())


async def add(
    scope: Scope,
    connection: AsyncConnection,
    job_id: str,
    comment_id: int,
    actor: Actor,
    body: str,
    *,
    now: datetime,
) -> bool:
    """Keep a comment for a job in scope; False when this one is kept already.

    Raises:
        NoResultFound: There is no such job in scope.
    """
    known = select(agent_jobs.c.id).where(agent_jobs.c.id == job_id, within(scope, agent_jobs))
    (await connection.execute(known)).scalar_one()
    values = {
        "id": new_id(now),
        "job_id": job_id,
        "comment_id": comment_id,
        "actor_id": actor.id,
        "actor_login": actor.login,
        # NUL, which no database keeps in text.
        "body": body.replace("\0", "\N{REPLACEMENT CHARACTER}"),
        "created_at": now,
    }
    try:
        async with connection.begin_nested():
            await connection.execute(insert(job_messages).values(**values))
    except IntegrityError:
        return False
    return True


async def waiting(scope: Scope, connection: AsyncConnection, job_id: str) -> list[Said]:
    """What nobody has taken in yet, oldest first, at most MAX_WAITING; nothing for the system's own scope."""
    rows = await connection.execute(_WAITING, {"job_id": job_id, "within": scope.organization_id})
    return [Said(*row) for row in rows]


async def all_of(scope: Scope, connection: AsyncConnection, job_id: str) -> list[Said]:
    """The same for a job that starts anew: what an earlier attempt took in is in no conversation any more."""
    statement = (
        select(job_messages.c.id, job_messages.c.actor_login, job_messages.c.body)
        .join(agent_jobs, agent_jobs.c.id == job_messages.c.job_id)
        .where(job_messages.c.job_id == job_id, within(scope, agent_jobs))
        .order_by(job_messages.c.id)
        .limit(MAX_WAITING)
    )
    return [Said(*row) for row in await connection.execute(statement)]


async def put_back(connection: AsyncConnection, job_id: str) -> None:
    """Let all words wait again, in a write that owns the job and records a new step 0."""
    taken = update(job_messages).where(
        job_messages.c.job_id == job_id, job_messages.c.taken_step.is_not(None)
    )
    await connection.execute(taken.values(taken_step=None))


async def take(connection: AsyncConnection, job_id: str, ids: Sequence[str], step: int) -> None:
    """Mark messages as taken in by the answer to *step*, in a write that owns the job and records it."""
    taken = (
        update(job_messages)
        .where(
            job_messages.c.job_id == job_id,
            job_messages.c.id.in_(ids),
            job_messages.c.taken_step.is_(None),
        )
        .values(taken_step=step)
    )
    await connection.execute(taken)


async def count_waiting(scope: Scope, connection: AsyncConnection, job_id: str) -> int:
    """How many nobody has taken in."""
    in_scope = exists().where(agent_jobs.c.id == job_messages.c.job_id, within(scope, agent_jobs))
    statement = select(func.count()).where(
        job_messages.c.job_id == job_id, job_messages.c.taken_step.is_(None), in_scope
    )
    return int(await connection.scalar(statement) or 0)


async def hand_on(connection: AsyncConnection, job_id: str, next_id: str) -> None:
    """Let the job that goes on from another one take in what came too late for that."""
    late = update(job_messages).where(job_messages.c.job_id == job_id, job_messages.c.taken_step.is_(None))
    await connection.execute(late.values(job_id=next_id))

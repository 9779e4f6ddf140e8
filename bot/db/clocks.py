"""Instants that a clock which was ahead has left: nothing waits for them once it is set back."""

from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import pauses
from bot.db.chores import CLOCK_SLACK
from bot.db.deliveries import is_waiting
from bot.db.operations import OPEN_STATES
from bot.db.scope import system_only
from bot.db.tables import chores, deliveries, github_limits, job_runs, operations, workers
from bot.db.turns import take_turn
from bot.domain.values import Scope
from bot.limits import RATE_LIMIT_MAX_WAIT_SECONDS, RATE_LIMIT_WAIT_SECONDS

LONGEST_WAIT: Final = timedelta(seconds=RATE_LIMIT_MAX_WAIT_SECONDS)
"""No delivery and no write is put off for longer: GitHub's own waits are the longest, and bounded."""
LONGEST_JOB_WAIT: Final = LONGEST_WAIT * 1.5
"""No job either, whose wait grows by up to a half so that not all of them come back at once."""
USUAL_WAIT: Final = timedelta(seconds=300 * 1.5)
"""Our own longest backoff, with what a job's may grow by; what waits longer, GitHub has put off."""
LIMIT_WAIT: Final = timedelta(seconds=RATE_LIMIT_WAIT_SECONDS)


async def revoke_leave(scope: Scope, connection: AsyncConnection, *, now: datetime) -> int:
    """Take back leave to start that was given in the future; returns how many jobs had it."""
    system_only(scope)
    await take_turn(connection, pauses.TURN)
    odd = job_runs.c.admitted_at > now + CLOCK_SLACK
    found = await connection.scalar(select(func.count()).select_from(job_runs).where(odd))
    await pauses.revoke(connection, odd)
    return int(found or 0)


async def end_waits(scope: Scope, connection: AsyncConnection, *, now: datetime) -> int:
    """End each wait that is longer than any is; returns how many there were.

    Where something that has been stands in the future, the clock was set back, and it is known that the
    waits were counted from there: then those that only GitHub could have asked for end too. Asked
    too early, GitHub says again how long it wants us to wait.
    """
    system_only(scope)
    was_ahead = await _was_ahead(connection, now + CLOCK_SLACK)
    ended = 0
    for table, condition, longest in (
        (job_runs, job_runs.c.due_at.is_not(None), LONGEST_JOB_WAIT),
        (deliveries, is_waiting(), LONGEST_WAIT),
        (operations, operations.c.state.in_(OPEN_STATES), LONGEST_WAIT),
    ):
        sound = now + (USUAL_WAIT if was_ahead else longest) + CLOCK_SLACK
        waits = update(table).where(condition, table.c.wake_at > sound)
        ended += (await connection.execute(waits.values(wake_at=None))).rowcount
    # The look for a write of unknown outcome goes on for a while after its sending.
    sent = update(operations).where(
        operations.c.state.in_(OPEN_STATES), operations.c.sent_at > now + CLOCK_SLACK
    )
    ended += (await connection.execute(sent.values(sent_at=now))).rowcount
    sound = now + (LIMIT_WAIT if was_ahead else LONGEST_WAIT) + CLOCK_SLACK
    limits = update(github_limits).where(github_limits.c.blocked_until > sound)
    return ended + (await connection.execute(limits.values(blocked_until=now + LIMIT_WAIT))).rowcount


async def _was_ahead(connection: AsyncConnection, latest: datetime) -> bool:
    """Whether a chore has ended, or a worker was heard of, later than it is now."""
    ended = select(chores.c.name).where(or_(chores.c.ended_at > latest, chores.c.started_at > latest))
    heard = select(workers.c.id).where(workers.c.heartbeat_at > latest)
    for statement in (ended, heard):
        if await connection.scalar(statement.limit(1)) is not None:
            return True
    return False

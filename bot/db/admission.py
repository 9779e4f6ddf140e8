"""Who may run next: the one place for policy, for every engine.

Leave to start is a grant in the database (`job_runs.admitted_at`): only `admit` gives it, one admission
at a time; a claim, a cancel, a pause and the time take it back. So a job that holds a grant is within
the cap of its organization and alone at its write key, whatever an engine says.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import ceil
from typing import Any, Final

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    Subquery,
    and_,
    func,
    literal,
    or_,
    select,
    union_all,
    update,
)
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import pauses
from bot.db.columns import UtcTimestamp
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
NEWCOMERS_SHARE: Final = 5
"""One place of so many is kept for organizations of which nothing runs yet."""
MOST_URGENT: Final = min(PRIORITY_NUMBERS.values())
LEAST_URGENT: Final = max(PRIORITY_NUMBERS.values())


@dataclass(frozen=True, slots=True)
class Places:
    """How many more jobs could run, of how many that there are in all."""

    free: int
    offered: int

    @property
    def spare(self) -> int:
        """How many of them are for organizations of which nothing runs yet."""
        return self.offered // NEWCOMERS_SHARE


async def admit(
    scope: Scope,
    connection: AsyncConnection,
    *,
    now: datetime,
    readmit_after: timedelta,
    places: int,
    spare: int = 0,
) -> list[str]:
    """Give at most *places* jobs leave to start and return their ids, the next one first.

    The last *spare* of them only to organizations of which nothing is at work, so that one that comes
    when all others have much to do starts at once.

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
    this = _Round(connection, now, allowed)
    await this.choose(places, spare)
    chosen = await _still_waiting(connection, this.chosen)
    admitted = [head.job_id for head in chosen]
    await connection.execute(update(job_runs).where(job_runs.c.job_id.in_(admitted)).values(admitted_at=now))
    await _record_turns(connection, chosen)
    return admitted


async def unadmit(scope: Scope, connection: AsyncConnection, job_ids: Sequence[str]) -> None:
    """Take back the leave of *job_ids*, which no engine took; a job that runs by now is left alone."""
    system_only(scope)
    await pauses.revoke(connection, job_runs.c.job_id.in_(job_ids))


async def free_places(scope: Scope, connection: AsyncConnection, *, since: datetime) -> Places:
    """How many more jobs the workers that were heard of since *since* can take.

    Leave that was given before *since* and not used takes no place: it is lost.
    """
    system_only(scope)
    offered = await connection.scalar(
        select(func.coalesce(func.sum(workers.c.concurrency), 0)).where(workers.c.heartbeat_at >= since)
    )
    running = await connection.scalar(
        select(func.count()).select_from(agent_jobs).where(agent_jobs.c.status == JobStatus.RUNNING)
    )
    admitted = await connection.scalar(
        select(func.count()).select_from(job_runs).where(job_runs.c.admitted_at > since)
    )
    total = int(offered or 0)
    return Places(max(0, total - int(running or 0) - int(admitted or 0)), total)


def due_at(created_at: datetime, priority: int) -> datetime:
    """The instant that orders the jobs of an organization: age and priority in one.

    A point of priority is worth AGE_STEP, so that what is least urgent goes before whatever is asked
    for later than (LEAST_URGENT - MOST_URGENT) of them: nothing waits for ever.
    """
    return created_at + min(priority, LEAST_URGENT) * AGE_STEP


def urgency(due: datetime, now: datetime) -> int:
    """The priority that is left of a job at *now*; MOST_URGENT at least, where all are equal."""
    return max(MOST_URGENT, ceil((due - now) / AGE_STEP))


@dataclass(frozen=True, slots=True)
class _Candidate:
    """The next job of its organization, which was served in turn number `served` last."""

    job_id: str
    organization_id: str
    write_key: str | None
    due_at: datetime
    served: int


@dataclass(slots=True)
class _Round:
    """One admission: how many are at work by now, on which write keys, and who was chosen."""

    connection: AsyncConnection
    now: datetime
    allowed: ColumnElement[bool]
    active: Counter[str] = field(default_factory=Counter)
    keys: set[str] = field(default_factory=set)
    chosen: list[_Candidate] = field(default_factory=list)

    async def choose(self, places: int, spare: int) -> None:
        """Fill *places*, one after the other, the last *spare* with newcomers alone."""
        await self._count()
        full = [name for name, jobs in self.active.items() if jobs >= ORGANIZATION_CAP]
        heads = {head.organization_id: head for head in await self._heads(_open(full))}
        while heads and len(self.chosen) < places:
            head = min(heads.values(), key=self._rank)
            if self.active[head.organization_id] and places - len(self.chosen) <= spare:
                return
            self.chosen.append(head)
            self.active[head.organization_id] += 1
            if head.write_key is not None:
                self.keys.add(head.write_key)
            del heads[head.organization_id]
            if self.active[head.organization_id] < ORGANIZATION_CAP:
                this = select(literal(head.organization_id).label("organization_id")).subquery()
                heads |= {next_.organization_id: next_ for next_ in await self._heads(this)}

    def _rank(self, head: _Candidate) -> tuple[Any, ...]:
        return (
            self.active[head.organization_id],
            urgency(head.due_at, self.now),
            head.served,
            head.due_at,
            head.job_id,
        )

    async def _count(self) -> None:
        """What is at work, or has leave to."""
        holders = (
            select(job_runs.c.organization_id, job_origins.c.write_key)
            .join(job_origins, job_origins.c.job_id == job_runs.c.job_id)
            .where(each.is_not(None))
            for each in (job_runs.c.lease_until, job_runs.c.admitted_at)
        )
        for row in await self.connection.execute(union_all(*holders)):
            self.active[row.organization_id] += 1
            self.keys.update({row.write_key} - {None})

    async def _heads(self, among: Subquery) -> list[_Candidate]:
        """The next job of each organization *among* those that has one.

        Two statements: in one, a planner without figures looks for the next job once a row.
        """
        taken = [head.job_id for head in self.chosen]
        first = select(self._first_of(among.c.organization_id, taken)).select_from(among)
        found = [job_id for job_id in (await self.connection.execute(first)).scalars() if job_id is not None]
        served = organization_turns
        statement = (
            select(
                job_runs.c.job_id,
                job_runs.c.organization_id,
                job_origins.c.write_key,
                job_runs.c.due_at,
                func.coalesce(served.c.number, 0).label("served"),
            )
            .join(job_origins, job_origins.c.job_id == job_runs.c.job_id)
            .outerjoin(served, served.c.organization_id == job_runs.c.organization_id)
            .where(job_runs.c.job_id.in_(found))
        )
        return [_Candidate(*row) for row in await self.connection.execute(statement)]

    def _first_of(self, organization_id: ColumnElement[str], taken: Sequence[str]) -> ScalarSelect[str]:
        """The id of the organization's first job that waits and may start."""
        runs, now = job_runs.alias("waiting"), literal(self.now, UtcTimestamp())
        statement = (
            select(runs.c.job_id)
            .join(agent_jobs, agent_jobs.c.id == runs.c.job_id)
            .join(job_origins, job_origins.c.job_id == runs.c.job_id)
            .where(
                runs.c.organization_id == organization_id,
                runs.c.due_at.is_not(None),
                runs.c.admitted_at.is_(None),
                # Not by the index of waiting times: it holds every job that waits for nothing.
                func.coalesce(runs.c.wake_at, now) <= now,
                agent_jobs.c.status == JobStatus.PENDING,
                or_(job_origins.c.write_key.is_(None), job_origins.c.write_key.not_in(self.keys)),
                self.allowed,
            )
        )
        if taken:
            statement = statement.where(runs.c.job_id.not_in(taken))
        return statement.order_by(runs.c.due_at, runs.c.job_id).limit(1).scalar_subquery()


def _open(full: Sequence[str]) -> Subquery:
    """The organizations that have jobs to do, but for those that are at their cap."""
    waits = and_(job_runs.c.due_at.is_not(None), job_runs.c.organization_id.not_in(full))
    return select(job_runs.c.organization_id).where(waits).distinct().subquery()


async def _still_waiting(connection: AsyncConnection, chosen: Sequence[_Candidate]) -> list[_Candidate]:
    """Those of *chosen* that nobody cancelled meanwhile; their runs are locked now, in one order."""
    ids = [head.job_id for head in chosen]
    mine = job_runs.c.job_id.in_(ids)
    await connection.execute(
        select(job_runs.c.job_id).where(mine).order_by(job_runs.c.job_id).with_for_update()
    )
    waits = and_(agent_jobs.c.id.in_(ids), agent_jobs.c.status == JobStatus.PENDING)
    left = set((await connection.execute(select(agent_jobs.c.id).where(waits))).scalars())
    return [head for head in chosen if head.job_id in left]


async def _record_turns(connection: AsyncConnection, admitted: Sequence[_Candidate]) -> None:
    """Remember in which order the organizations were served."""
    last = int(await connection.scalar(select(func.max(organization_turns.c.number))) or 0)
    served = {head.organization_id: number for number, head in enumerate(admitted, start=last + 1)}
    for organization_id, number in served.items():
        row = {"organization_id": organization_id, "number": number}
        await insert_or_update(connection, organization_turns, row, changed=["number"])

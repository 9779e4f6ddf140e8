"""Deliveries for whoever runs the service: lists, finding one by part of its id, and putting one back."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, Select, func, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import bell
from bot.db.deliveries import has_body
from bot.db.picked import ids_like, picked
from bot.db.scope import system_only
from bot.db.tables import agent_jobs, deliveries, job_origins, job_runs
from bot.domain.enums import Cause, DeliverySource, DeliveryState, JobStatus
from bot.domain.ids import first_id
from bot.domain.values import Scope

MAX_JOBS = 50
# One that failed and comes again keeps its id and has come anew. GitHub sends it again for 3 days:
# https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks
_REPEATED_WITHIN: Final = timedelta(days=7)
_BEFORE_ALL: Final = datetime(2000, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class DeliveryFilter:
    """Which deliveries to list; what is left out narrows nothing. `before_id` goes on behind a list."""

    states: frozenset[DeliveryState] = frozenset()
    event: str | None = None
    repository: str | None = None
    since: datetime | None = None
    before_id: str | None = None
    limit: int = 20


@dataclass(frozen=True, slots=True)
class DeliveryLine:
    """One delivery without its body; `has_payload` says whether that is still kept."""

    id: str
    guid: str
    event: str
    action: str | None
    repository: str | None
    number: int | None
    sender: str | None
    source: DeliverySource
    state: DeliveryState
    attempts: int
    error: str | None
    received_at: datetime
    wake_at: datetime | None
    dispatched_at: datetime | None
    installation_id: int | None
    target_type: str
    target_id: str
    digest: str
    has_payload: bool
    jobs: int


@dataclass(frozen=True, slots=True)
class DeliveryJob:
    """A job that came of a delivery."""

    id: str
    verb: str
    number: int
    status: JobStatus
    cause: Cause | None


async def find(scope: Scope, connection: AsyncConnection, part: str) -> list[str]:
    """The ids of the deliveries that *part* may mean: an id or a GUID, or the beginning or end of one."""
    system_only(scope)
    return await ids_like(connection, deliveries.c.id, (deliveries.c.id, deliveries.c.guid), part)


async def recent(scope: Scope, connection: AsyncConnection, chosen: DeliveryFilter) -> list[DeliveryLine]:
    """The deliveries that *chosen* lets through, newest first."""
    system_only(scope)
    statement = _lines().where(*_conditions(chosen)).order_by(deliveries.c.id.desc()).limit(chosen.limit)
    return [_line(row) for row in (await connection.execute(statement)).mappings()]


async def line(scope: Scope, connection: AsyncConnection, delivery_id: str) -> DeliveryLine:
    """One delivery.

    Raises:
        NoResultFound: There is no such delivery.
    """
    system_only(scope)
    return _line((await connection.execute(_lines().where(deliveries.c.id == delivery_id))).mappings().one())


async def jobs_of(scope: Scope, connection: AsyncConnection, delivery_id: str) -> list[DeliveryJob]:
    """The jobs that name it as theirs, oldest first."""
    system_only(scope)
    statement = (
        select(agent_jobs.c.id, job_origins.c.verb, job_origins.c.number, agent_jobs.c.status)
        .add_columns(job_runs.c.cause)
        .join(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .where(job_origins.c.delivery_id == delivery_id)
        .order_by(agent_jobs.c.id)
        .limit(MAX_JOBS)
    )
    return [DeliveryJob(**row) for row in (await connection.execute(statement)).mappings()]


async def put_back(scope: Scope, connection: AsyncConnection, delivery_id: str) -> bool:
    """Let the delivery be dispatched again from its first attempt; the second time the same.

    Returns:
        Whether it could be: without its body there is nothing to dispatch.
    """
    system_only(scope)
    done = await connection.execute(
        update(deliveries)
        .where(deliveries.c.id == delivery_id, has_body())
        .values(state=DeliveryState.RECEIVED, attempts=0, error=None, wake_at=None, dispatched_at=None)
    )
    await bell.ring(connection)
    return done.rowcount == 1


def _lines() -> Select[Any]:
    jobs = (
        select(func.count())
        .select_from(job_origins)
        .where(job_origins.c.delivery_id == deliveries.c.id)
        .scalar_subquery()
    )
    derived = {"has_payload", "jobs"}
    own = (name for name in DeliveryLine.__slots__ if name not in derived)
    return select(*picked(deliveries, own), has_body().label("has_payload"), jobs.label("jobs"))


def _line(row: Any) -> DeliveryLine:
    return DeliveryLine(**{**row, "has_payload": bool(row["has_payload"])})


def _conditions(chosen: DeliveryFilter) -> list[ColumnElement[bool]]:
    found: list[ColumnElement[bool]] = []
    if chosen.states:
        found.append(deliveries.c.state.in_(chosen.states))
    if chosen.event is not None:
        name, _, action = chosen.event.partition(".")
        found.append(deliveries.c.event == name)
        if action:
            found.append(deliveries.c.action == action)
    if chosen.repository is not None:
        found.append(func.lower(deliveries.c.repository) == chosen.repository.lower())
    if chosen.since is not None:
        # The list goes by the id, whose order is that of time: this is where it may end.
        found.append(deliveries.c.id >= first_id(max(chosen.since, _BEFORE_ALL) - _REPEATED_WITHIN))
        found.append(deliveries.c.received_at >= chosen.since)
    if chosen.before_id is not None:
        found.append(deliveries.c.id < chosen.before_id)
    return found

"""An ended job once more: a new AgentJob on the same AgentIssue, with the same origin."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import job_messages, submit
from bot.db.scope import within
from bot.db.submit import NAME, Submitted, Work
from bot.db.tables import agent_issues, agent_jobs, job_origins, job_runs
from bot.domain import values
from bot.domain.enums import Cause
from bot.domain.states import FINAL_JOBS
from bot.domain.values import Actor, Json, Scope
from bot.errors import UserError


@dataclass(frozen=True, slots=True)
class Asked:
    """A person who asks in the thread, and whether the conversation goes on or begins anew."""

    actor: Actor
    comment_id: int
    words: str
    is_continued: bool
    delivery_id: str | None = None


async def again(
    scope: Scope,
    connection: AsyncConnection,
    job_id: str,
    *,
    authority: str,
    trigger_key: str,
    now: datetime,
    asked: Asked | None = None,
) -> Submitted:
    """Ask for the work of an ended job again, on the word of *authority*.

    Who *asked* in the thread is whose job it is then; an operator's stays the first one's.

    The same *trigger_key* finds the job that it made the first time. Of two callers at one time the
    loser gets an IntegrityError, rolls back, and finds the winner's job when it calls again.

    Raises:
        UserError: There is no such job, it has not ended, or another job of its verb is open in the thread.
    """
    seen = await _made_by(scope, connection, trigger_key)
    if seen is not None:
        return seen
    found = await _job(scope, connection, job_id)
    open_key = values.open_key(found.repository_id, found.number, found.verb)
    await _refuse_beside(connection, open_key)
    await submit.queue_issue(connection, found.issue_id, found.issue_status, now=now)
    source = {key: getattr(found, key) for key in job_origins.c.keys()}  # noqa: SIM118 (no mapping)
    if asked is not None:
        source |= _asked(asked, job_id, found.snapshot)
    made = await submit.add_job(
        Scope(found.organization_id),
        connection,
        found.issue_id,
        Work(found.agent_type, found.model, found.priority),
        {**source, "trigger_key": trigger_key, "open_key": open_key},
        # Our ids are other ones in another life of the request; the first job's name is not.
        named_after=trigger_key.replace(job_id, found.config.get(NAME, job_id)),
        authority=authority,
        now=now,
    )
    if asked is not None and asked.is_continued:
        await job_messages.hand_on(connection, job_id, made.job_id)
    return made


def _asked(asked: Asked, job_id: str, snapshot: Json) -> Json:
    """What is another's in the origin of a job that a person asks for again."""
    return {
        "actor_id": asked.actor.id,
        "actor_login": asked.actor.login,
        "trigger": f"comment:{asked.comment_id}",
        "comment_id": asked.comment_id,
        "delivery_id": asked.delivery_id,
        "continues_id": job_id if asked.is_continued else None,
        "snapshot": {**snapshot, "words": asked.words or ("" if asked.is_continued else snapshot["words"])},
    }


async def _made_by(scope: Scope, connection: AsyncConnection, trigger_key: str) -> Submitted | None:
    """The job that a trigger has made already."""
    statement = (
        select(agent_jobs.c.id, agent_jobs.c.issue_id)
        .join(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .where(job_origins.c.trigger_key == trigger_key, within(scope, agent_jobs))
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else Submitted(row.issue_id, row.id, is_new=False)


async def _job(scope: Scope, connection: AsyncConnection, job_id: str) -> Any:
    """The ended job with its origin and the state of its issue."""
    statement = (
        select(
            job_origins,
            agent_jobs.c.issue_id,
            agent_jobs.c.organization_id,
            agent_jobs.c.status,
            agent_jobs.c.agent_type,
            agent_jobs.c.model,
            agent_jobs.c.priority,
            agent_jobs.c.config,
            job_runs.c.cancel_reason,
            agent_issues.c.status.label("issue_status"),
        )
        .join(agent_jobs, agent_jobs.c.id == job_origins.c.job_id)
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .join(agent_issues, agent_issues.c.id == agent_jobs.c.issue_id)
        .where(agent_jobs.c.id == job_id, within(scope, agent_jobs))
    )
    found = (await connection.execute(statement)).first()
    if found is None:
        message = "there is no such job"
        raise UserError(message)
    if found.status not in FINAL_JOBS:
        message = f"this job is {found.status.value} and has not ended; cancel it first, or wait"
        if found.cancel_reason is not None:
            message = "this job is cancelled and still ending; ask again in a moment"
        raise UserError(message)
    return found


@dataclass(frozen=True, slots=True)
class ThreadJob:
    """The job that a thread is about: whether it is open, cancelled and ending, or ended with a question."""

    job_id: str
    is_open: bool = False
    is_ending: bool = False
    has_asked: bool = False


async def newest_of_thread(
    scope: Scope, connection: AsyncConnection, *, repository_id: int, number: int
) -> ThreadJob | None:
    """The job that a thread's next words are about; None where none was ever asked for."""
    statement = (
        select(agent_jobs.c.id, agent_jobs.c.status, job_runs.c.cause, job_runs.c.cancel_reason)
        .join(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .where(
            job_origins.c.repository_id == repository_id,
            job_origins.c.number == number,
            within(scope, agent_jobs),
        )
        .order_by(agent_jobs.c.status.in_(FINAL_JOBS), agent_jobs.c.id.desc())
        .limit(1)
    )
    row = (await connection.execute(statement)).first()
    if row is None:
        return None
    is_open = row.status not in FINAL_JOBS
    return ThreadJob(
        row.id,
        is_open=is_open,
        is_ending=is_open and row.cancel_reason is not None,
        has_asked=not is_open and row.cause is Cause.QUESTION_ASKED,
    )


async def _refuse_beside(connection: AsyncConnection, open_key: str) -> None:
    """Refuse while another job of the same verb is open in the thread."""
    statement = (
        select(job_runs.c.job_id, job_runs.c.cancel_reason)
        .join(job_origins, job_origins.c.job_id == job_runs.c.job_id)
        .where(job_origins.c.open_key == open_key)
    )
    other = (await connection.execute(statement)).first()
    if other is None:
        return
    message = f"job {other.job_id} of the same thread is open; cancel it first, or wait"
    if other.cancel_reason is not None:
        message = (
            f"job {other.job_id} of the same thread is cancelled and still ending; ask again in a moment"
        )
    raise UserError(message)

"""Submitting: one transaction makes the AgentIssue (or finds it), the AgentJob and what belongs to it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import admission, bell, events, secrets
from bot.db.scope import within
from bot.db.tables import agent_issues, agent_jobs, job_origins, job_runs
from bot.domain import markers
from bot.domain.enums import IssueSource, IssueStatus, JobStatus, Phase
from bot.domain.ids import new_id
from bot.domain.states import FINAL_ISSUES, PRIORITY_NUMBERS, By, check_issue
from bot.domain.values import Json, Origin, Scope, Snapshot, Triage
from bot.errors import StillEnding

# Where a job's `config` keeps what its writes are named by.
NAME: Final = "name"
# A job that is cancelled ends within seconds, where its worker lives and nothing holds it back.
AGAIN_SECONDS: Final = 1.0
MOVED: Final = "the repository belongs to another organization now"


@dataclass(frozen=True, slots=True)
class Submission:
    """A request that passed its gate: `external_id` names the request itself, whatever its jobs."""

    external_id: str
    source: IssueSource
    origin: Origin
    triage: Triage
    authority: str


@dataclass(frozen=True, slots=True)
class Work:
    """Who does a job, and how soon (1 most urgent, 10 least)."""

    agent_type: str
    model: str
    priority: int


@dataclass(frozen=True, slots=True)
class Submitted:
    """The job that serves the request; `is_new` is False when it, or an open one, was there already."""

    issue_id: str
    job_id: str
    is_new: bool


async def submit(
    scope: Scope, connection: AsyncConnection, submission: Submission, *, now: datetime
) -> Submitted:
    """Make the job unless its trigger was seen, or one of the same verb is open in the thread.

    The unique keys decide between two callers at one time: the loser gets an IntegrityError, rolls
    back, and finds the winner's job when it calls again.

    Raises:
        StillEnding: The open one is cancelled and has not ended. It serves no new request; nor is there
            place for a second one, for with its end the request itself ends, which may be the same.
    """
    known = await _known(scope, connection, submission.origin)
    if known is not None:
        return known
    issue_id = await _issue(scope, connection, submission, now)
    triage = submission.triage
    work = Work(triage.agent_type, triage.model, PRIORITY_NUMBERS[triage.priority.value])
    source = _origin_row(submission.origin)
    return await add_job(
        scope,
        connection,
        issue_id,
        work,
        source,
        named_after=submission.origin.trigger_key,
        authority=submission.authority,
        now=now,
    )


async def add_job(
    scope: Scope,
    connection: AsyncConnection,
    issue_id: str,
    work: Work,
    source: Mapping[str, Any],
    *,
    named_after: str,
    authority: str,
    now: datetime,
) -> Submitted:
    """Make a job that waits, with its run, its origin (*source*, by column keys) and its event.

    *named_after* says what the job is for and comes from outside alone: the job that a restored database
    makes of the same request has another id, and finds by that name what the first one wrote.
    """
    job_id = new_id(now)
    key = await secrets.obtain(Scope.system(), connection, secrets.MARKER_KEY, now=now)
    await connection.execute(
        insert(agent_jobs).values(
            id=job_id,
            issue_id=issue_id,
            agent_type=work.agent_type,
            model=work.model,
            status=JobStatus.PENDING,
            priority=work.priority,
            organization_id=scope.organization_id,
            config={NAME: markers.request_name(key, named_after)},
            created_at=now,
            updated_at=now,
        )
    )
    await connection.execute(
        insert(job_runs).values(
            job_id=job_id,
            phase=Phase.WAITING,
            authority=authority,
            organization_id=scope.organization_id,
            due_at=admission.due_at(now, work.priority),
        )
    )
    await connection.execute(insert(job_origins).values({**source, "job_id": job_id}))
    await events.append(scope, connection, "job.submitted", now=now, issue_id=issue_id, job_id=job_id)
    await bell.ring(connection)
    return Submitted(issue_id, job_id, is_new=True)


async def _known(scope: Scope, connection: AsyncConnection, origin: Origin) -> Submitted | None:
    """The job that the trigger made, whoever had the repository then, or the open one that serves it."""
    statement = (
        select(job_origins.c.job_id, agent_jobs.c.issue_id, agent_jobs.c.organization_id)
        .add_columns(job_runs.c.cancel_reason)
        .join(agent_jobs, agent_jobs.c.id == job_origins.c.job_id)
        .join(job_runs, job_runs.c.job_id == job_origins.c.job_id)
    )
    seen = (
        await connection.execute(statement.where(job_origins.c.trigger_key == origin.trigger_key))
    ).first()
    if seen is not None:
        return Submitted(seen.issue_id, seen.job_id, is_new=False)
    open_ = (await connection.execute(statement.where(job_origins.c.open_key == origin.open_key))).first()
    if open_ is None:
        return None
    if scope.organization_id not in (None, open_.organization_id):
        await _hand_over(connection, open_.job_id)
        return None
    if open_.cancel_reason is not None:
        message = f"job {open_.job_id} of the same thread is cancelled and has not ended yet"
        raise StillEnding(message, after_seconds=AGAIN_SECONDS)
    return Submitted(open_.issue_id, open_.job_id, is_new=False)


async def _hand_over(connection: AsyncConnection, job_id: str) -> None:
    """The repository has another owner now: the former one's job makes room, and its next look ends it."""
    run = update(job_runs).where(job_runs.c.job_id == job_id)
    await connection.execute(run.values(cancel_reason=MOVED, wake_at=None))
    await connection.execute(update(job_origins).where(job_origins.c.job_id == job_id).values(open_key=None))


async def _issue(scope: Scope, connection: AsyncConnection, submission: Submission, now: datetime) -> str:
    """The request's AgentIssue: made now, or the one that the same request made before."""
    statement = select(agent_issues.c.id, agent_issues.c.status).where(
        agent_issues.c.external_id == submission.external_id, within(scope, agent_issues)
    )
    found = (await connection.execute(statement)).first()
    triage, snapshot = submission.triage, submission.origin.snapshot
    if found is not None:
        await queue_issue(connection, found.id, found.status, now=now)
        return str(found.id)
    issue_id = new_id(now)
    await connection.execute(
        insert(agent_issues).values(
            id=issue_id,
            external_id=submission.external_id,
            source=submission.source,
            type=triage.type,
            priority=triage.priority,
            title=snapshot.title,
            description=snapshot.body,
            context={},
            status=IssueStatus.QUEUED,
            organization_id=scope.organization_id,
            created_at=now,
            updated_at=now,
        )
    )
    return issue_id


async def queue_issue(
    connection: AsyncConnection, issue_id: str, status: IssueStatus, *, now: datetime
) -> None:
    """An issue in *status* gets another job: one that ended is queued again, one at work stays there."""
    if status not in FINAL_ISSUES | {IssueStatus.PENDING}:
        return
    check_issue(status, IssueStatus.QUEUED, By.SUBMIT if status is IssueStatus.PENDING else By.PERSON)
    await connection.execute(
        update(agent_issues)
        .where(agent_issues.c.id == issue_id)
        .values(status=IssueStatus.QUEUED, updated_at=now)
    )


def _origin_row(origin: Origin) -> Json:
    return {
        "repository_id": origin.repository_id,
        "installation_id": origin.installation_id,
        "number": origin.number,
        "kind": origin.kind,
        "verb": origin.verb,
        "actor_id": origin.actor.id,
        "actor_login": origin.actor.login,
        "trigger": origin.trigger,
        "trigger_key": origin.trigger_key,
        "open_key": origin.open_key,
        "write_key": origin.write_key,
        "comment_id": origin.comment_id,
        "delivery_id": origin.delivery_id,
        "head_sha": origin.head_sha,
        "snapshot": snapshot_to_json(origin.snapshot),
        "confidence": origin.confidence,
        "continues_id": origin.continues_id,
    }


def snapshot_to_json(snapshot: Snapshot) -> Json:
    """The stored form of a snapshot."""
    return {
        "title": snapshot.title,
        "body": snapshot.body,
        "words": snapshot.words,
        "labels": list(snapshot.labels),
        "author": snapshot.author,
    }


def snapshot_from_json(stored: Json) -> Snapshot:
    """A snapshot from its stored form."""
    return Snapshot(
        title=stored["title"],
        body=stored["body"],
        words=stored["words"],
        labels=tuple(stored["labels"]),
        author=stored["author"],
    )

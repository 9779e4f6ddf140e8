"""Issues whose pull request waits for people: which they are, and what people decided."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, and_, exists, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import events
from bot.db.scope import system_only
from bot.db.tables import agent_issues, agent_jobs, operations
from bot.domain.enums import IssueStatus, OperationKind, OperationState
from bot.domain.states import By, check_issue
from bot.domain.values import Scope


@dataclass(frozen=True, slots=True)
class Review:
    """An issue in REVIEW and the latest pull request that was opened for it (its *number*)."""

    issue_id: str
    organization_id: str
    job_id: str
    installation_id: int
    repository_id: int
    number: int


async def of_pull(
    scope: Scope, connection: AsyncConnection, *, repository_id: int, number: int
) -> Review | None:
    """The issue that waits for this pull request; None when it is not ours, or nobody waits for it."""
    system_only(scope)
    statement = _waiting().where(
        operations.c.repository_id == repository_id, operations.c.remote_id == number
    )
    row = (await connection.execute(statement)).first()
    return None if row is None else Review(*row)


async def waiting(scope: Scope, connection: AsyncConnection, *, after: str, limit: int) -> list[Review]:
    """The next *limit* issues that wait, in the order of their ids, behind the id *after*."""
    system_only(scope)
    statement = _waiting().where(agent_issues.c.id > after).order_by(agent_issues.c.id).limit(limit)
    return [Review(*row) for row in (await connection.execute(statement)).all()]


async def end(
    scope: Scope, connection: AsyncConnection, review: Review, *, is_merged: bool, now: datetime
) -> bool:
    """Merged: COMPLETED; closed without: CANCELLED. Whether the issue still waited; twice is once."""
    system_only(scope)
    status = IssueStatus.COMPLETED if is_merged else IssueStatus.CANCELLED
    check_issue(IssueStatus.REVIEW, status, By.GITHUB)
    changed = await connection.execute(
        update(agent_issues)
        .where(agent_issues.c.id == review.issue_id, agent_issues.c.status == IssueStatus.REVIEW)
        .values(status=status, updated_at=now)
    )
    if changed.rowcount != 1:
        return False
    await events.append(
        Scope(review.organization_id),
        connection,
        "pull.merged" if is_merged else "pull.closed",
        now=now,
        issue_id=review.issue_id,
        job_id=review.job_id,
        data={"number": review.number, "status": status.value},
    )
    return True


def _waiting() -> Select[Any]:
    """Issues in REVIEW with the pull request of their latest job that opened one."""
    return (
        select(
            agent_issues.c.id,
            agent_issues.c.organization_id,
            agent_jobs.c.id,
            operations.c.installation_id,
            operations.c.repository_id,
            operations.c.remote_id,
        )
        .join(agent_jobs, agent_jobs.c.issue_id == agent_issues.c.id)
        .join(operations, operations.c.job_id == agent_jobs.c.id)
        .where(agent_issues.c.status == IssueStatus.REVIEW, _is_open_pull(), ~_has_later_pull())
    )


def _is_open_pull() -> ColumnElement[bool]:
    return and_(
        operations.c.kind == OperationKind.PULL_REQUEST,
        operations.c.state == OperationState.DONE,
        operations.c.remote_id.is_not(None),
    )


def _has_later_pull() -> ColumnElement[bool]:
    """Whether a later job of the same issue opened a pull request too: then that one counts."""
    jobs, pulls = agent_jobs.alias(), operations.alias()
    return exists().where(
        jobs.c.issue_id == agent_issues.c.id,
        jobs.c.id > agent_jobs.c.id,
        pulls.c.job_id == jobs.c.id,
        pulls.c.kind == OperationKind.PULL_REQUEST,
        pulls.c.state == OperationState.DONE,
    )

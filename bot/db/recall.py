"""What a repository's earlier requests were about, and what became of them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.scope import within
from bot.db.tables import agent_artifacts, agent_issues, agent_jobs, job_origins, job_runs
from bot.domain.enums import ArtifactType, Cause
from bot.domain.states import FINAL_JOBS
from bot.domain.values import Scope

MAX_REQUESTS: Final = 500
"""Only the newest are looked through; what is older has mostly been overtaken."""
MAX_TEXT_CHARS: Final = 4_000


@dataclass(frozen=True, slots=True)
class Memory:
    """An earlier request: what was asked, and how its newest job ended (`answer` may be empty)."""

    number: int
    title: str
    body: str
    asked_at: datetime
    cause: Cause | None
    answer: str
    files: tuple[str, ...]


async def memories(
    scope: Scope, connection: AsyncConnection, *, repository_id: int, but_issue_id: str
) -> list[Memory]:
    """The repository's earlier requests whose newest job has ended, newest first, texts clipped."""
    newest = (
        select(agent_jobs.c.issue_id, func.max(agent_jobs.c.id).label("job_id"))
        .join(job_origins, job_origins.c.job_id == agent_jobs.c.id)
        .where(
            job_origins.c.repository_id == repository_id,
            agent_jobs.c.issue_id != but_issue_id,
            agent_jobs.c.status.in_(FINAL_JOBS),
            within(scope, agent_jobs),
        )
        .group_by(agent_jobs.c.issue_id)
        .order_by(func.max(agent_jobs.c.id).desc())
        .limit(MAX_REQUESTS)
        .subquery()
    )
    statement = (
        select(
            newest.c.job_id,
            job_origins.c.number,
            agent_issues.c.title,
            func.substr(agent_issues.c.description, 1, MAX_TEXT_CHARS).label("body"),
            agent_issues.c.created_at,
            job_runs.c.cause,
        )
        .join(agent_issues, agent_issues.c.id == newest.c.issue_id)
        .join(job_origins, job_origins.c.job_id == newest.c.job_id)
        .join(job_runs, job_runs.c.job_id == newest.c.job_id)
        .order_by(newest.c.job_id.desc())
    )
    rows = (await connection.execute(statement)).all()
    kept = await _artifacts(connection, [row.job_id for row in rows])
    return [_memory(row, kept.get(row.job_id, [])) for row in rows]


async def _artifacts(connection: AsyncConnection, job_ids: list[str]) -> dict[str, list[Any]]:
    """The answers and the changed files of these jobs."""
    if not job_ids:
        return {}
    statement = (
        select(
            agent_artifacts.c.job_id,
            agent_artifacts.c.type,
            agent_artifacts.c.file_path,
            func.substr(agent_artifacts.c.content, 1, MAX_TEXT_CHARS).label("text"),
        )
        .where(agent_artifacts.c.job_id.in_(job_ids), agent_artifacts.c.type != ArtifactType.PULL_REQUEST)
        .order_by(agent_artifacts.c.id)
    )
    found: dict[str, list[Any]] = {}
    for row in (await connection.execute(statement)).all():
        found.setdefault(row.job_id, []).append(row)
    return found


def _memory(row: Any, artifacts: list[Any]) -> Memory:
    words = [found.text for found in artifacts if found.file_path is None]
    files = [found.file_path for found in artifacts if found.file_path is not None]
    return Memory(
        number=row.number,
        title=row.title,
        body=row.body,
        asked_at=row.created_at,
        cause=row.cause,
        answer=words[0] if words else "",
        files=tuple(files),
    )

"""What the demo shows, read from the product's own database and from the stand-in GitHub."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from sqlalchemy import Select, func, select
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db.database import Database
from bot.db.tables import (
    agent_artifacts,
    agent_issues,
    agent_jobs,
    agent_logs,
    deliveries,
    job_origins,
    job_runs,
    job_steps,
    ledger,
    operations,
    verifications,
)
from bot.domain.enums import (
    ArtifactType,
    DeliverySource,
    DeliveryState,
    JobStatus,
    OperationKind,
    OperationState,
    StepKind,
    When,
)

MICRO_USD: Final = 1_000_000
_DONE: Final = {
    OperationKind.REACTION: "👀 on the issue",
    OperationKind.COMMENT: "one living comment in the thread",
    OperationKind.BRANCH: "a branch with one commit, by the Git Data API",
    OperationKind.PULL_REQUEST: "a draft pull request",
    OperationKind.ASSIGN: "assigned to the person who asked",
    OperationKind.COMMENT_EDIT: "the comment became the result",
}
_CAME: Final = {
    DeliverySource.WEBHOOK: "signed webhook {event} verified, stored, answered 202",
    DeliverySource.SWEEP: "{event} fetched from GitHub's log of webhooks, stored",
}
_FINAL: Final = frozenset({JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED})


@dataclass(frozen=True, slots=True)
class Line:
    """One thing that happened: which part of the product did it, and what."""

    part: str
    text: str
    is_good: bool = True
    at: datetime | None = None


@dataclass(slots=True)
class Feed:
    """Tells each thing once, in the order in which it is found."""

    database: Database
    seen: set[str] = field(default_factory=set)

    async def news(self) -> list[Line]:
        """What has happened since the last call."""
        found = []
        async with self.database.read() as connection:
            async for key, line in self._everything(connection):
                if key not in self.seen:
                    self.seen.add(key)
                    found.append(line)
        return sorted(found, key=lambda line: line.at or datetime.max.replace(tzinfo=UTC))

    async def _everything(self, connection: AsyncConnection) -> AsyncIterator[tuple[str, Line]]:
        statement = select(deliveries).where(deliveries.c.state == DeliveryState.DISPATCHED)
        for row in await _rows(connection, statement.order_by(deliveries.c.id)):
            text = f"{_CAME[row.source].format(event=f'{row.event}.{row.action}')}, dispatched"
            yield row.id, Line("receive", text, at=row.dispatched_at)
        jobs = select(
            agent_jobs,
            agent_issues.c.type,
            agent_issues.c.priority.label("urgency"),
            job_origins.c.confidence,
        )
        joined = jobs.join(agent_issues, agent_issues.c.id == agent_jobs.c.issue_id).join(
            job_origins, job_origins.c.job_id == agent_jobs.c.id
        )
        for row in await _rows(connection, joined):
            sure = f", confidence {row.confidence:.2f}" if row.confidence is not None else ""
            text = f"AgentIssue {row.type}, {row.urgency}{sure} → AgentJob {row.agent_type} on {row.model}"
            yield row.id, Line("submit", text, at=row.created_at)
        async for told in self._run(connection):
            yield told

    async def _run(self, connection: AsyncConnection) -> AsyncIterator[tuple[str, Line]]:
        done = select(operations).where(operations.c.state == OperationState.DONE)
        for row in await _rows(connection, done.order_by(operations.c.done_at)):
            yield row.id, Line("publish", _DONE[row.kind], at=row.done_at)
        for row in await _rows(connection, select(verifications).order_by(verifications.c.id)):
            yield row.id, Line("verify", _verified(row), is_good=row.exit_code == 0, at=row.created_at)
        for row in await _rows(connection, select(agent_logs).order_by(agent_logs.c.id)):
            yield row.id, Line("agent", _logged(row), at=row.timestamp)


def _verified(row: Any) -> str:
    """One verification in words."""
    when = "before the change" if row.when is When.BEFORE else "after the change"
    if row.exit_code is None:
        return f"{when}: {row.command} was not run ({row.reason})"
    word = "passes" if row.exit_code == 0 else "fails"
    return f"{when}: {row.command} {word} (exit {row.exit_code}, {row.duration_ms} ms, tier {row.tier})"


def _logged(row: Any) -> str:
    """A line of the job's log with the argument that matters."""
    data = row.data or {}
    given = data.get("input") or data.get("arguments") or {}
    named = [
        str(given[name]) for name in ("path", "pattern", "title") if isinstance(given, dict) and name in given
    ]
    return f"{row.message} {' '.join(named)}".strip()


async def _rows(connection: AsyncConnection, statement: Select[Any]) -> list[Any]:
    return list((await connection.execute(statement)).all())


async def is_over(database: Database) -> bool:
    """Whether there is a job and it has ended."""
    async with database.read() as connection:
        states = (await connection.scalars(select(agent_jobs.c.status))).all()
    return bool(states) and all(state in _FINAL for state in states)


async def diff_of(database: Database) -> str:
    """The change as one patch."""
    statement = select(agent_artifacts.c.diff_patch).where(agent_artifacts.c.type == ArtifactType.CODE_CHANGE)
    async with database.read() as connection:
        patches = (await connection.scalars(statement.order_by(agent_artifacts.c.id))).all()
    return "".join(patch for patch in patches if patch)


async def summary(database: Database, threads: list[dict[str, Any]], bot_login: str) -> dict[str, Any]:
    """The object that `--json` prints, but for the seconds; *threads* as the stand-in GitHub tells them."""
    async with database.read() as connection:
        return await _summary(connection, threads, bot_login)


async def _summary(
    connection: AsyncConnection, threads: list[dict[str, Any]], bot_login: str
) -> dict[str, Any]:
    (job,) = await _rows(
        connection,
        select(agent_jobs, job_runs.c.cause, job_origins.c.number)
        .join(job_runs, job_runs.c.job_id == agent_jobs.c.id)
        .join(job_origins, job_origins.c.job_id == agent_jobs.c.id),
    )
    (issue,) = await _rows(connection, select(agent_issues).where(agent_issues.c.id == job.issue_id))
    records = await _rows(connection, select(verifications).order_by(verifications.c.id))
    steps = await connection.scalar(
        select(func.count()).select_from(job_steps).where(job_steps.c.kind == StepKind.TURN)
    )
    spent = await connection.scalar(
        select(func.sum(func.coalesce(ledger.c.settled_micro_usd, ledger.c.reserved_micro_usd)))
    )
    thread = next(each for each in threads if each["number"] == job.number)
    ours = [each for each in thread["comment_list"] if each["user"]["login"] == bot_login]
    return {
        "issue": _named(issue, "id", "title", "type", "priority", "status") | {"number": job.number},
        "job": _named(job, "id", "model", "status", "cause", "attempts", "error")
        | {"agentType": job.agent_type},
        "pull_request": _pull(threads),
        "verification": [_record(row) for row in records],
        "comments": len(ours),
        "cost_usd": int(spent or 0) / MICRO_USD,
        "steps": int(steps or 0),
    }


def _named(row: Any, *names: str) -> dict[str, Any]:
    return {name: getattr(row, name) for name in names}


def _record(row: Any) -> dict[str, Any]:
    """One verification; the reason only where it did not run."""
    shown = _named(row, "command", "exit_code", "when", "tier")
    return shown | ({"reason": row.reason} if row.reason else {})


def _pull(threads: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The pull request as the stand-in GitHub tells it."""
    for thread in threads:
        pull = thread.get("pull_request")
        if pull:
            return {
                "number": thread["number"],
                "draft": bool(thread.get("draft")),
                "head": pull["head"],
                "sha": pull["head_sha"],
            }
    return None

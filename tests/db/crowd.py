"""Many jobs at once, and workers that only claim and end."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from sqlalchemy import insert

from bot.db import admission, jobs, schedule, submit
from bot.db.database import Database
from bot.db.tables import agent_issues, agent_jobs, job_origins, job_runs
from bot.db.tenants import Tenant
from bot.domain.enums import Cause, IssuePriority, IssueSource, IssueStatus, IssueType, JobStatus, Phase
from bot.domain.ids import new_id
from bot.domain.states import PRIORITY_NUMBERS
from bot.domain.values import ClaimedJob, Json, Origin, Scope
from tests.db.rows import LEASE, NOW, STALE, SYSTEM, make_tenant, origin

PLACES = 15


async def make_tenants(database: Database, count: int) -> list[Tenant]:
    """So many organizations with a repository each."""
    return [await make_tenant(database, number, 100 * number) for number in range(1, count + 1)]


async def queue_up(
    database: Database,
    tenant: Tenant,
    numbers: Iterable[int],
    *,
    now: datetime = NOW,
    priority: IssuePriority = IssuePriority.MEDIUM,
    verbs: Sequence[str] = ("fix",),
) -> list[str]:
    """One job a number and verb, each asked for a millisecond after the other; their ids in that order."""
    asked = [
        origin(number, repository_id=tenant.repository.id, verb=verb) for number in numbers for verb in verbs
    ]
    made = [
        _rows(tenant, source, now + timedelta(milliseconds=place), priority)
        for place, source in enumerate(asked)
    ]
    async with database.write() as connection:
        for place, table in enumerate((agent_issues, agent_jobs, job_runs, job_origins)):
            await connection.execute(insert(table), [rows[place] for rows in made])
    return [str(rows[1]["id"]) for rows in made]


def _rows(tenant: Tenant, source: Origin, at: datetime, priority: IssuePriority) -> tuple[Json, ...]:
    """The issue, the job, its run and its origin, as `submit` makes them."""
    rank = PRIORITY_NUMBERS[priority.value]
    both = {"organization_id": tenant.organization_id, "created_at": at, "updated_at": at}
    issue = {"id": new_id(at), "source": IssueSource.GITHUB, "type": IssueType.BUG, "priority": priority}
    text = {"title": "t", "description": "d", "context": {}, "status": IssueStatus.QUEUED}
    job = {"id": new_id(at), "issue_id": issue["id"], "agent_type": "code.fix", "model": "sonnet"}
    work = {"status": JobStatus.PENDING, "priority": rank, "config": {}}
    run = {"job_id": job["id"], "phase": Phase.WAITING, "authority": "github:7"}
    place = {"organization_id": tenant.organization_id, "due_at": admission.due_at(at, rank)}
    asked = {"job_id": job["id"], **submit._origin_row(source)}
    return both | issue | text, both | job | work, run | place, asked


async def admit(
    database: Database, now: datetime = NOW, *, places: int = PLACES, spare: int = 0
) -> list[str]:
    """Give leave to start."""
    async with database.write() as connection:
        return await schedule.admit(
            SYSTEM, connection, now=now, readmit_after=STALE, places=places, spare=spare
        )


async def take(database: Database, job_id: str, now: datetime = NOW, owner: str = "w") -> ClaimedJob | None:
    """Claim it."""
    async with database.write() as connection:
        return await schedule.claim(SYSTEM, connection, job_id, owner, now=now, lease=LEASE)


async def end(database: Database, job: ClaimedJob, now: datetime = NOW) -> None:
    """End it with an answer."""
    scope = Scope(job.organization_id)
    async with database.write() as connection:
        await jobs.freeze(scope, connection, job, Cause.ANSWERED, error=None, result={}, now=now)
        await jobs.settle(scope, connection, job, now=now)


async def start(database: Database, job_ids: Iterable[str], now: datetime = NOW) -> list[ClaimedJob]:
    """Claim all of them; none may be refused."""
    started = [await take(database, job_id, now) for job_id in job_ids]
    assert None not in started
    return [job for job in started if job is not None]

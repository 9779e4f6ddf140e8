"""Many workers at once: the caps hold at every instant, and each job is worked on exactly once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

from sqlalchemy import or_, select, update

from bot.db.admission import ORGANIZATION_CAP
from bot.db.database import Database
from bot.db.tables import job_origins, job_runs
from tests.db.crowd import admit, end, make_tenants, queue_up, take

WORKERS = 8
ORGANIZATIONS = 10
JOBS_EACH = 6
KEYS_EACH = 3


@dataclass
class Watch:
    """Looks again and again, from outside, at what holds a place."""

    database: Database
    most: Counter[str] = field(default_factory=Counter)
    looks: int = 0

    async def look(self) -> None:
        """One consistent look at every organization and write key."""
        holds = or_(job_runs.c.lease_until.is_not(None), job_runs.c.admitted_at.is_not(None))
        statement = select(job_runs.c.organization_id, job_origins.c.write_key).join(
            job_origins, job_origins.c.job_id == job_runs.c.job_id
        )
        async with self.database.read() as connection:
            found = (await connection.execute(statement.where(holds))).all()
        self.looks += 1
        organizations = Counter(row.organization_id for row in found)
        keys = Counter(row.write_key for row in found)
        self.most["organization"] = max([self.most["organization"], *organizations.values()])
        self.most["key"] = max([self.most["key"], *keys.values()])


async def _work(database: Database, tickets: list[str], claimed: list[str], total: int) -> None:
    """Admit, claim whatever ticket lies there (more often than it should), end; until all is done."""
    while len(claimed) < total:
        tickets += 2 * await admit(database, places=2)
        for job_id in tickets[-8:]:
            job = await take(database, job_id)
            if job is not None:
                claimed.append(job.id)
                await end(database, job)


async def _share_keys(database: Database, made: Sequence[str]) -> None:
    """Every third job of an organization writes to the same thing."""
    async with database.write() as connection:
        for place, job_id in enumerate(made):
            key = f"{place // JOBS_EACH}:{place % KEYS_EACH}"
            this = job_origins.c.job_id == job_id
            await connection.execute(update(job_origins).where(this).values(write_key=key))


async def test_eight_workers_at_once_keep_every_cap_and_work_on_each_job_once(database: Database) -> None:
    made: list[str] = []
    for tenant in await make_tenants(database, ORGANIZATIONS):
        made += await queue_up(database, tenant, range(JOBS_EACH))
    await _share_keys(database, made)
    tickets: list[str] = []
    claimed: list[str] = []
    watch = Watch(database)
    async with asyncio.timeout(60), asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(_work(database, tickets, claimed, len(made)))
        while len(claimed) < len(made):
            await watch.look()
    assert sorted(claimed) == sorted(made)
    assert watch.looks > 10
    assert 1 <= watch.most["organization"] <= ORGANIZATION_CAP
    assert watch.most["key"] == 1

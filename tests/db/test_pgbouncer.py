"""Behind a PgBouncer that lends another session for each transaction: migrations, queries, cancellations."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from bot.config_database import database_url as in_our_form
from bot.db import migrate, readiness
from bot.db.database import Database
from bot.domain.enums import Cause, JobStatus
from tests.db.rows import make_job, make_tenant
from tests.db.runs import end_job
from tests.pgbouncer import PORT, needs_pgbouncer, running_pgbouncer
from tests.postgres import Postgres

pytestmark = needs_pgbouncer


@pytest.fixture
def pooled_url(postgres: Postgres) -> Iterator[str]:
    """An empty database as Prisma writes its address."""
    with postgres.fresh("template0") as url, running_pgbouncer(postgres) as folder:
        name = url.split("@/", 1)[1].split("?", 1)[0]
        yield in_our_form(
            f"postgresql://postgres@/{name}?host={folder}&port={PORT}&pgbouncer=true&connection_limit=5"
        )


async def test_migrations_and_the_check_of_the_revision_work_through_it(pooled_url: str) -> None:
    await asyncio.gather(*(migrate.upgrade(pooled_url) for _ in range(3)))
    await readiness.prepare(pooled_url)
    assert await migrate.differences(pooled_url) == []


async def test_twenty_jobs_are_made_claimed_and_ended_by_more_clients_than_it_has_sessions(
    pooled_url: str,
) -> None:
    await migrate.upgrade(pooled_url)
    processes = [Database(pooled_url) for _ in range(4)]
    tenants = [await make_tenant(processes[0], number, 100 + number) for number in range(1, 21)]

    async def whole_life(at: int) -> JobStatus:
        process = processes[at % len(processes)]
        made = await make_job(process, tenants[at])
        return await end_job(process, made.job_id, Cause.ANSWERED)

    ends = await asyncio.gather(*(whole_life(at) for at in range(20)))
    assert ends == [JobStatus.COMPLETED] * 20
    for process in processes:
        await process.close()


async def test_a_statement_that_is_cancelled_leaves_its_connection_of_use(pooled_url: str) -> None:
    database = Database(pooled_url)
    for _ in range(10):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.1), database.write() as connection:
                await connection.execute(text("SELECT pg_sleep(30)"))
    async with database.read() as connection:
        assert await connection.scalar(text("SELECT 1")) == 1
    await database.close()

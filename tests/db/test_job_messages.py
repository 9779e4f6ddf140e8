"""What people say to an open job: kept once, in their order, taken in once, in their organization alone."""

import pytest
from sqlalchemy import select
from sqlalchemy.exc import NoResultFound

from bot.db import job_messages
from bot.db.database import Database
from bot.db.tables import job_messages as table
from bot.domain.values import Actor, ClaimedJob, Scope
from tests.db.rows import MINUTE, NOW, make_tenant, start_job

MARIA = Actor(7, "maria")


async def say(database: Database, job: ClaimedJob, comment_id: int, body: str = "Hm.") -> bool:
    scope = Scope(job.organization_id)
    async with database.write() as connection:
        at = NOW + comment_id * MINUTE
        return await job_messages.add(scope, connection, job.id, comment_id, MARIA, body, now=at)


async def waiting(database: Database, job: ClaimedJob, scope: Scope | None = None) -> list[str]:
    async with database.read() as connection:
        said = await job_messages.waiting(scope or Scope(job.organization_id), connection, job.id)
    return [one.text for one in said]


async def test_what_is_said_waits_in_its_order(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    assert [await say(database, job, number, f"n{number}") for number in (2, 1, 3)] == [True] * 3
    assert await waiting(database, job) == ["n1", "n2", "n3"]


async def test_the_same_comment_twice_is_kept_once(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    assert [await say(database, job, 1, "first"), await say(database, job, 1, "again")] == [True, False]
    assert await waiting(database, job) == ["first"]


async def test_what_is_taken_waits_no_more_and_keeps_its_first_step(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    await say(database, job, 1)
    await say(database, job, 2, "later")
    scope = Scope(job.organization_id)
    async with database.write() as connection:
        first, _ = await job_messages.waiting(scope, connection, job.id)
        await job_messages.take(connection, job.id, [first.id], 3)
        await job_messages.take(connection, job.id, [first.id], 4)
        steps = (await connection.execute(select(table.c.taken_step).order_by(table.c.id))).scalars().all()
    assert (list(steps), await waiting(database, job)) == ([3, None], ["later"])


async def test_another_organization_neither_says_nor_hears(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    other = await make_tenant(database, 2, 200)
    await say(database, job, 1)
    with pytest.raises(NoResultFound):
        async with database.write() as connection:
            await job_messages.add(other.scope, connection, job.id, 2, MARIA, "hm", now=NOW)
    assert await waiting(database, job, other.scope) == []
    assert await waiting(database, job, Scope.system()) == []


async def test_a_character_that_no_database_keeps_is_replaced(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    await say(database, job, 1, "a\0b")
    assert await waiting(database, job) == ["a\ufffdb"]

"""Whose turn it is to be written to, and who is at it."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event, update

from bot.db import mail, operations
from bot.db.database import Database
from bot.db.mail import CLAIM
from bot.db.operations import Frozen
from bot.db.tables import operations as table
from bot.domain.enums import OperationKind
from bot.domain.values import Scope
from tests.db.rows import NOW, SYSTEM, make_tenant

SECOND = timedelta(seconds=1)
A, B = 10, 20


async def freeze(database: Database, account_id: int, count: int, *, sequence: int = -2) -> None:
    """So many writes to the account's installation; each account's keys are its own."""
    tenant = await make_tenant(database, account_id, account_id * 100)
    plain = Frozen("", OperationKind.REACTION, {}, sequence)
    async with database.write() as connection:
        for number in range(count):
            await operations.freeze(
                tenant.scope,
                connection,
                [replace(plain, key=f"{account_id}:{number}")],
                job_id=None,
                fence=0,
                installation_id=tenant.installation_id,
                repository_id=tenant.repository.id,
                now=NOW + number * timedelta(milliseconds=1),
            )


async def waiting(database: Database, now: datetime = NOW) -> list[int]:
    async with database.read() as connection:
        found = await mail.waiting(SYSTEM, connection, now=now)
    return [installation for installation, _ in sorted(found, key=lambda each: each[1])]


async def claim(database: Database, now: datetime = NOW) -> datetime | None:
    async with database.write() as connection:
        return await mail.claim(SYSTEM, connection, A, now=now)


async def release(database: Database, until: datetime) -> None:
    async with database.write() as connection:
        await mail.release(SYSTEM, connection, A, until=until)


async def test_however_much_waits_for_one_installation_the_other_is_seen(database: Database) -> None:
    await freeze(database, 1, 60)
    await freeze(database, 2, 1)
    assert sorted(await waiting(database)) == [A, B]
    async with database.read() as connection:
        found = await mail.of_installation(SYSTEM, connection, A, now=NOW, limit=3)
    assert [each.key for each in found] == ["1:0", "1:1", "1:2"]


async def test_an_installation_of_which_all_is_put_off_or_of_a_run_is_not_waiting(database: Database) -> None:
    await freeze(database, 1, 2)
    await freeze(database, 2, 2, sequence=0)
    async with database.write() as connection:
        await connection.execute(update(table).values(wake_at=NOW + SECOND))
    assert await waiting(database) == []
    assert await waiting(database, NOW + SECOND) == [A]


async def test_an_installation_that_one_outbox_is_at_is_no_others_until_it_is_given_back(
    database: Database,
) -> None:
    await freeze(database, 1, 1)
    until = await claim(database)
    assert until == NOW + CLAIM
    assert (await claim(database), await waiting(database)) == (None, [])
    await release(database, until)
    assert await waiting(database) == [A]
    assert await claim(database) is not None


async def test_what_a_dead_worker_claimed_is_free_after_the_claim(database: Database) -> None:
    await freeze(database, 1, 1)
    first = await claim(database)
    second = await claim(database, NOW + CLAIM)
    assert first is not None and second == NOW + 2 * CLAIM
    await release(database, first)
    assert await claim(database, NOW + CLAIM) is None


async def test_a_claim_of_a_clock_that_was_set_back_is_void(database: Database) -> None:
    await freeze(database, 1, 1)
    assert await claim(database, NOW + timedelta(hours=1)) is not None
    assert await waiting(database) == [A]
    assert await claim(database) is not None


async def test_the_mail_belongs_to_no_tenant(database: Database) -> None:
    async with database.write() as connection:
        with pytest.raises(ValueError, match="no tenant"):
            await mail.claim(Scope("o"), connection, A, now=NOW)
        with pytest.raises(ValueError, match="no tenant"):
            await mail.of_installation(Scope("o"), connection, A, now=NOW, limit=1)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_the_look_walks_an_index_of_what_waits_and_no_more(database: Database) -> None:
    asked: list[str] = []

    def note(_c: object, _k: object, statement: str, _v: object, _x: object, _m: bool) -> None:
        asked.append(statement)

    event.listen(database.engine.sync_engine, "before_cursor_execute", note)
    await waiting(database)
    event.remove(database.engine.sync_engine, "before_cursor_execute", note)
    statement = f"EXPLAIN QUERY PLAN {asked[-1]}"
    async with database.read() as connection:
        rows = await connection.exec_driver_sql(statement, (None,) * statement.count("?"))
        plan = [str(row.detail) for row in rows]
    looks = [step for step in plan if "operations" in step]
    assert len(looks) == 3, plan
    assert all("operations_mail_idx" in step for step in looks), plan

"""Frozen writes: each key once, and only one caller may send."""

from collections.abc import Sequence
from dataclasses import replace

import pytest
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import mail, operations
from bot.db.database import Database
from bot.db.operations import Frozen, Operation
from bot.db.tables import operations as table
from bot.db.tenants import Tenant
from bot.domain.enums import OperationKind, OperationState
from bot.domain.values import Scope
from tests.db.rows import MINUTE, NOW, SYSTEM, count, make_tenant, overlap, start_job

COMMENT = Frozen("job:1:final", OperationKind.COMMENT, {"body": "words"}, sequence=90)
REACTION = Frozen("reaction:1", OperationKind.REACTION, {"content": "eyes"}, sequence=-2)


async def _freeze(
    database: Database, tenant: Tenant, frozen: Sequence[Frozen], *, job_id: str | None = None, fence: int = 1
) -> None:
    async with database.write() as connection:
        await operations.freeze(
            tenant.scope,
            connection,
            frozen,
            job_id=job_id,
            fence=fence,
            installation_id=10,
            repository_id=100,
            now=NOW,
        )


async def _one(database: Database, key: str = COMMENT.key, scope: Scope = SYSTEM) -> Operation:
    async with database.read() as connection:
        found = await operations.by_key(scope, connection, key)
    assert found is not None
    return found


async def _frozen(database: Database, frozen: Frozen = COMMENT) -> Operation:
    await _freeze(database, await make_tenant(database), [frozen])
    return await _one(database, frozen.key)


async def _mark_sent(database: Database, operation: Operation, *, fence: int = 1) -> bool:
    async with database.write() as connection:
        return await operations.mark_sent(SYSTEM, connection, operation, fence=fence, now=NOW)


async def _mark_done(database: Database, operation: Operation, scope: Scope = SYSTEM) -> None:
    async with database.write() as connection:
        await operations.mark_done(
            scope, connection, operation.id, fence=1, remote_id=5, remote_url="https://x/5", now=NOW
        )


async def _mark_failed(database: Database, operation: Operation, scope: Scope = SYSTEM) -> None:
    async with database.write() as connection:
        await operations.mark_failed(scope, connection, operation.id, "locked", now=NOW)


async def _postpone(database: Database, operation: Operation, scope: Scope = SYSTEM) -> None:
    async with database.write() as connection:
        await operations.postpone(scope, connection, operation.id, "busy", wake_at=NOW + MINUTE)


async def test_what_is_frozen_waits_as_an_intent(database: Database) -> None:
    operation = await _frozen(database)
    assert (operation.state, operation.attempts, operation.fence) == (OperationState.INTENT, 0, 1)
    assert (operation.kind, operation.payload) == (OperationKind.COMMENT, {"body": "words"})


async def test_a_key_that_stands_keeps_its_first_words(database: Database) -> None:
    tenant = await make_tenant(database)
    await _freeze(database, tenant, [COMMENT])
    await _freeze(database, tenant, [replace(COMMENT, payload={"body": "others"})], fence=2)
    assert (await _one(database)).payload == {"body": "words"}
    assert await count(database, table) == 1


async def test_the_operations_of_a_job_come_in_the_order_of_sending(database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    frozen = [replace(COMMENT, key=f"k{number}", sequence=number) for number in (90, 10, 30, 20)]
    await _freeze(database, tenant, frozen, job_id=job.id)
    async with database.read() as connection:
        found = await operations.of_job(tenant.scope, connection, job.id)
    assert [operation.key for operation in found] == ["k10", "k20", "k30", "k90"]


async def test_only_one_caller_may_send(database: Database) -> None:
    operation = await _frozen(database)
    assert await _mark_sent(database, operation)
    assert not await _mark_sent(database, operation)
    sent = await _one(database)
    assert (sent.state, sent.attempts, sent.sent_at) == (OperationState.SENT, 1, NOW)


async def test_of_two_at_once_one_may_send(database: Database) -> None:
    operation = await _frozen(database)

    async def send(connection: AsyncConnection) -> bool:
        return await operations.mark_sent(SYSTEM, connection, operation, fence=1, now=NOW)

    assert await overlap(database, send, send) == (True, False)


async def test_who_has_seen_the_last_sending_may_send_again(database: Database) -> None:
    await _mark_sent(database, await _frozen(database))
    assert await _mark_sent(database, await _one(database), fence=2)
    assert ((await _one(database)).attempts, (await _one(database)).fence) == (2, 2)


async def test_an_owner_whose_fence_was_passed_may_not_send(database: Database) -> None:
    await _mark_sent(database, await _frozen(database), fence=3)
    assert not await _mark_sent(database, await _one(database), fence=2)


async def test_a_write_that_is_there_keeps_what_github_calls_it(database: Database) -> None:
    operation = await _frozen(database)
    await _mark_done(database, operation)
    done = await _one(database)
    assert (done.state, done.remote_id, done.remote_url) == (OperationState.DONE, 5, "https://x/5")


async def test_a_write_that_is_done_stays_done(database: Database) -> None:
    operation = await _frozen(database)
    await _mark_done(database, operation)
    await _mark_failed(database, operation)
    assert not await _mark_sent(database, operation)
    assert (await _one(database)).state is OperationState.DONE


async def test_a_write_that_will_not_be_made_says_why(database: Database) -> None:
    operation = await _frozen(database)
    await _mark_failed(database, operation)
    failed = await _one(database)
    assert (failed.state, failed.error) == (OperationState.FAILED, "locked")


async def test_the_outbox_holds_what_belongs_to_no_run_and_is_due(database: Database) -> None:
    tenant = await make_tenant(database)
    await _freeze(database, tenant, [COMMENT, REACTION, replace(REACTION, key="done")])
    await _mark_done(database, await _one(database, "done"))
    assert await _due(database) == [REACTION.key]
    await _postpone(database, await _one(database, REACTION.key))
    assert await _due(database) == []
    assert await _due(database, minutes=1) == [REACTION.key]


async def test_the_outbox_hands_out_no_more_than_asked_for(database: Database) -> None:
    tenant = await make_tenant(database)
    await _freeze(database, tenant, [replace(REACTION, key=f"r{number}") for number in range(3)])
    assert len(await _due(database, limit=2)) == 2


async def test_a_sent_one_can_wait_for_its_next_look(database: Database) -> None:
    operation = await _frozen(database, REACTION)
    async with database.write() as connection:
        await operations.mark_sent(SYSTEM, connection, operation, fence=1, now=NOW, wake_at=NOW + MINUTE)
    assert await _due(database) == []


async def test_another_organization_sees_and_changes_nothing(database: Database) -> None:
    operation = await _frozen(database)
    other = (await make_tenant(database, 2, 200)).scope
    await _mark_done(database, operation, other)
    await _mark_failed(database, operation, other)
    await _postpone(database, operation, other)
    async with database.write() as connection:
        assert not await operations.mark_sent(other, connection, operation, fence=1, now=NOW)
        assert await operations.by_key(other, connection, operation.key) is None
        assert await operations.of_job(other, connection, "j") == []
    assert await _one(database) == operation


async def test_the_outbox_belongs_to_no_tenant(database: Database) -> None:
    with pytest.raises(ValueError, match="no tenant"):
        async with database.read() as connection:
            await mail.waiting(Scope("o"), connection, now=NOW)


async def _due(database: Database, *, minutes: int = 0, limit: int = 10) -> list[str]:
    async with database.read() as connection:
        found = await mail.of_installation(SYSTEM, connection, 10, now=NOW + minutes * MINUTE, limit=limit)
    return [operation.key for operation in found]

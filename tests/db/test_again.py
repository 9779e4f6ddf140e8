"""An ended job once more, on an operator's word."""

import pytest
from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import again, cancel, schedule
from bot.db.database import Database
from bot.db.submit import Submitted
from bot.db.tables import agent_issues, agent_jobs, job_origins, job_runs
from bot.domain.enums import Cause, IssueStatus, JobStatus
from bot.domain.values import Scope
from bot.errors import UserError
from tests.db.rows import (
    MINUTE,
    NOW,
    SYSTEM,
    claim,
    count,
    make_job,
    make_tenant,
    overlap,
    start_job,
    states,
)
from tests.db.runs import end_job, event_kinds, run_row

LATER = NOW + 10 * MINUTE


async def _again(database: Database, job_id: str, key: str = "retry:1", scope: Scope = SYSTEM) -> Submitted:
    async with database.write() as connection:
        return await again.again(
            scope, connection, job_id, authority="operator:cli", trigger_key=key, now=LATER
        )


@pytest.mark.parametrize(
    ("cause", "left"),
    [
        (Cause.ANSWERED, IssueStatus.QUEUED),
        (Cause.BUG, IssueStatus.QUEUED),
        (Cause.CANCELLED, IssueStatus.QUEUED),
        (Cause.PULL_REQUEST, IssueStatus.REVIEW),
    ],
)
async def test_an_ended_job_becomes_a_new_one_of_the_same_request(
    database: Database, cause: Cause, left: IssueStatus
) -> None:
    first = await make_job(database, await make_tenant(database))
    await end_job(database, first.job_id, cause)
    made = await _again(database, first.job_id)
    assert made.is_new
    assert (made.issue_id, made.job_id != first.job_id) == (first.issue_id, True)
    assert await states(database, made.job_id) == (JobStatus.PENDING, left)
    assert (await run_row(database, made.job_id))["authority"] == "operator:cli"
    assert await event_kinds(database, made.job_id) == ["job.submitted"]
    await end_job(database, made.job_id, Cause.ANSWERED)
    assert await states(database, made.job_id) == (JobStatus.COMPLETED, IssueStatus.COMPLETED)


async def test_it_knows_who_asked_first_and_what_was_asked(database: Database) -> None:
    first = await make_job(database, await make_tenant(database))
    await end_job(database, first.job_id, Cause.BUG)
    made = await _again(database, first.job_id)
    kept = [column for column in job_origins.c if column.key not in {"job_id", "trigger_key", "open_key"}]
    async with database.read() as connection:
        job = (await connection.execute(select(agent_jobs).where(agent_jobs.c.id == made.job_id))).one()
        keys = set((await connection.execute(select(job_origins.c.open_key))).scalars())
        one, other = (await connection.execute(select(*kept))).all()
    assert one == other
    assert keys == {None, "100:1:fix"}
    assert (job.agent_type, job.model, job.priority, job.created_at) == ("code.fix", "sonnet", 5, LATER)


async def test_the_same_key_finds_the_first_even_after_its_end(database: Database) -> None:
    first = await make_job(database, await make_tenant(database))
    await end_job(database, first.job_id, Cause.BUG)
    made = await _again(database, first.job_id)
    found = Submitted(made.issue_id, made.job_id, is_new=False)
    assert await _again(database, first.job_id) == found
    await end_job(database, made.job_id, Cause.BUG)
    assert await _again(database, first.job_id) == found


async def test_what_was_retried_can_be_retried(database: Database) -> None:
    first = await make_job(database, await make_tenant(database))
    await end_job(database, first.job_id, Cause.BUG)
    second = await _again(database, first.job_id, "retry:1")
    await end_job(database, second.job_id, Cause.BUG)
    assert (await _again(database, second.job_id, "retry:2")).is_new


async def test_the_jobs_of_one_request_have_names_of_their_own_and_the_same_ones_after_a_restore(
    database: Database,
) -> None:
    tenant = await make_tenant(database)
    lives = []
    for _ in range(2):
        job_id, names = (await make_job(database, tenant)).job_id, []
        for how in ("retry:{}", "queue:{}:1", "end"):
            job = await claim(database, job_id)
            names.append(job.name)
            await end_job(database, job_id, Cause.BUG, job=job)
            if how != "end":
                job_id = (await _again(database, job_id, how.format(job_id))).job_id
        lives.append(names)
        async with database.write() as connection:
            await connection.execute(delete(agent_issues))  # what the backup does not have
    assert lives[0] == lives[1]
    assert len(set(lives[0])) == 3


async def test_a_job_that_is_open_is_refused_in_words(database: Database) -> None:
    tenant = await make_tenant(database)
    waiting, running = await make_job(database, tenant, 1), await start_job(database, tenant, 2)
    with pytest.raises(UserError, match="is PENDING and has not ended"):
        await _again(database, waiting.job_id)
    with pytest.raises(UserError, match="is RUNNING and has not ended"):
        await _again(database, running.id)


async def test_beside_an_open_job_of_the_thread_it_is_refused_in_words(database: Database) -> None:
    tenant = await make_tenant(database)
    first = await make_job(database, tenant, trigger="1")
    await end_job(database, first.job_id, Cause.BUG)
    second = await make_job(database, tenant, trigger="2")
    with pytest.raises(UserError, match=f"job {second.job_id} of the same thread is open"):
        await _again(database, first.job_id)


async def test_what_is_cancelled_and_still_ends_is_refused_in_other_words(database: Database) -> None:
    tenant = await make_tenant(database)
    first = await make_job(database, tenant, trigger="1")
    await end_job(database, first.job_id, Cause.BUG)
    second = await claim(database, (await make_job(database, tenant, trigger="2")).job_id)
    async with database.write() as connection:
        assert await cancel.cancel_job(SYSTEM, connection, second.id, reason="enough", now=NOW)
    with pytest.raises(UserError, match="this job is cancelled and still ending; ask again in a moment"):
        await _again(database, second.id)
    with pytest.raises(UserError, match=f"job {second.id} of the same thread is cancelled and still ending"):
        await _again(database, first.job_id)
    await end_job(database, second.id, Cause.CANCELLED, job=second)
    assert (await _again(database, first.job_id)).is_new


@pytest.mark.parametrize("job_id", ["01NOBODY", "", "'; DROP TABLE agent_jobs", "x" * 10_000])
async def test_a_job_that_nobody_knows_is_refused_in_words(database: Database, job_id: str) -> None:
    with pytest.raises(UserError, match="no such job"):
        await _again(database, job_id)


async def test_another_organizations_job_is_not_there(database: Database) -> None:
    first = await make_job(database, await make_tenant(database))
    await end_job(database, first.job_id, Cause.BUG)
    other = await make_tenant(database, 2, 200)
    with pytest.raises(UserError, match="no such job"):
        await _again(database, first.job_id, scope=other.scope)


async def test_a_quarantined_job_is_requeued_once_and_begins_without_its_crashes(database: Database) -> None:
    first = await make_job(database, await make_tenant(database))
    now = NOW
    for _ in range(schedule.MAX_CRASHES_WITHOUT_PROGRESS):
        await claim(database, first.job_id, now=now)
        now += MINUTE
        async with database.write() as connection:
            (reaped,) = await schedule.reap(SYSTEM, connection, now=now)
    assert reaped.is_quarantined
    run = await run_row(database, first.job_id)
    assert (run["quarantined_at"], run["lease_losses"]) == (now, 3)
    await end_job(database, first.job_id, Cause.BUG)
    made = await _again(database, first.job_id, "requeue:1")
    run = await run_row(database, made.job_id)
    assert (run["crashes_without_progress"], run["quarantined_at"], run["lease_losses"]) == (0, None, 0)
    assert not (await _again(database, first.job_id, "requeue:1")).is_new
    assert await count(database, job_runs) == 2


async def test_of_two_at_once_one_makes_the_job_and_the_other_finds_it_by_trying_again(
    database: Database,
) -> None:
    first = await make_job(database, await make_tenant(database))
    await end_job(database, first.job_id, Cause.BUG)

    async def one(connection: AsyncConnection) -> Submitted:
        return await again.again(
            SYSTEM, connection, first.job_id, authority="operator:cli", trigger_key="retry:1", now=LATER
        )

    async def two(connection: AsyncConnection) -> Submitted | None:
        try:
            async with connection.begin_nested():
                return await one(connection)
        except IntegrityError:
            return None

    made, found = await overlap(database, one, two)
    assert found in {None, await _again(database, first.job_id)}
    assert (await _again(database, first.job_id)).job_id == made.job_id
    assert await count(database, agent_jobs) == 2

"""Submitting: one job for each trigger, one open job for each verb of a thread."""

import asyncio

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import cancel, jobs, submit
from bot.db.database import Database
from bot.db.submit import Submission, Submitted
from bot.db.tables import agent_issues, agent_jobs, events, job_origins, job_runs
from bot.db.tenants import Tenant
from bot.domain.enums import Cause, IssuePriority, IssueStatus, JobStatus, Phase
from bot.domain.values import ClaimedJob, Scope
from bot.errors import StillEnding
from tests.db.rows import (
    NOW,
    SYSTEM,
    claim,
    count,
    make_job,
    make_tenant,
    origin,
    overlap,
    start_job,
    states,
    submission,
)
from tests.db.runs import end_job, run_row


async def _submit(database: Database, tenant: Tenant, wanted: Submission) -> Submitted:
    async with database.write() as connection:
        return await submit.submit(tenant.scope, connection, wanted, now=NOW)


async def give_back(database: Database, job: ClaimedJob) -> None:
    """Let it wait for GitHub for a while."""
    async with database.write() as connection:
        await jobs.retry_later(
            Scope(job.organization_id),
            connection,
            job,
            wake_at=NOW,
            error="GitHub is away",
            is_counted=False,
            now=NOW,
        )


async def test_a_request_becomes_an_issue_a_job_a_run_and_an_event(database: Database) -> None:
    made = await make_job(database, await make_tenant(database))
    assert made.is_new
    assert await states(database, made.job_id) == (JobStatus.PENDING, IssueStatus.QUEUED)
    assert [await count(database, table) for table in (agent_issues, agent_jobs, job_runs, events)] == [1] * 4


async def test_the_rows_say_what_was_asked_by_whom_and_on_whose_word(database: Database) -> None:
    tenant = await make_tenant(database)
    made = await make_job(database, tenant)
    async with database.read() as connection:
        issue = (await connection.execute(select(agent_issues))).one()
        job = (await connection.execute(select(agent_jobs))).one()
        run = (await connection.execute(select(job_runs))).one()
        source = (await connection.execute(select(job_origins))).one()
    assert (issue.title, issue.description, issue.organization_id) == (
        "A title",
        "A body",
        tenant.organization_id,
    )
    assert (job.agent_type, job.model, job.max_attempts, job.attempts) == ("code.fix", "sonnet", 3, 0)
    assert (run.phase, run.authority, run.fence) == (Phase.WAITING, "github:7", 0)
    assert (source.job_id, source.open_key, source.confidence) == (made.job_id, "100:1:fix", 0.9)
    assert submit.snapshot_from_json(source.snapshot) == origin().snapshot


@pytest.mark.parametrize(("priority", "number"), list(zip(IssuePriority, [1, 2, 5, 10], strict=True)))
async def test_the_priority_becomes_its_number(
    database: Database, priority: IssuePriority, number: int
) -> None:
    await make_job(database, await make_tenant(database), priority=priority)
    async with database.read() as connection:
        assert await connection.scalar(select(agent_jobs.c.priority)) == number


async def test_a_trigger_that_was_seen_makes_nothing_even_after_the_end(database: Database) -> None:
    tenant = await make_tenant(database)
    first = await make_job(database, tenant)
    await end_job(database, first.job_id, Cause.ANSWERED)
    again = await make_job(database, tenant)
    assert again == Submitted(first.issue_id, first.job_id, is_new=False)


async def test_an_open_job_of_the_same_verb_serves_the_second_request_too(database: Database) -> None:
    tenant = await make_tenant(database)
    first = await make_job(database, tenant, trigger="1")
    second = await make_job(database, tenant, trigger="2")
    assert second == Submitted(first.issue_id, first.job_id, is_new=False)


@pytest.mark.parametrize("is_given_back", [False, True])
async def test_a_request_waits_for_the_end_of_the_cancelled_job_and_is_then_done(
    database: Database, is_given_back: bool
) -> None:
    """The label is taken off and put on again while the job runs, or after it was given back to wait."""
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    if is_given_back:
        await give_back(database, job)
    async with database.write() as connection:
        cancelled = await cancel.request_cancel(
            SYSTEM, connection, repository_id=100, number=1, verb=None, reason="unlabeled", now=NOW
        )
    assert cancelled == [job.id]

    with pytest.raises(StillEnding, match=f"job {job.id} of the same thread is cancelled"):
        await make_job(database, tenant, trigger="2")
    assert await count(database, agent_jobs) == 1
    # What made the dying job makes no other one.
    assert not (await make_job(database, tenant)).is_new

    job = await claim(database, job.id) if is_given_back else job
    await end_job(database, job.id, Cause.CANCELLED, job=job)
    made = await make_job(database, tenant, trigger="2")
    assert (made.is_new, made.issue_id) == (True, job.issue_id)
    assert await states(database, made.job_id) == (JobStatus.PENDING, IssueStatus.QUEUED)


async def test_another_verb_of_the_thread_does_not_wait_for_the_cancelled_job(database: Database) -> None:
    tenant = await make_tenant(database)
    job = await start_job(database, tenant)
    async with database.write() as connection:
        assert await cancel.cancel_job(SYSTEM, connection, job.id, reason="enough", now=NOW)
    assert (await _submit(database, tenant, submission(origin(verb="plan", trigger="2")))).is_new


async def test_another_verb_in_the_same_thread_is_another_job(database: Database) -> None:
    tenant = await make_tenant(database)
    first = await _submit(database, tenant, submission(origin(verb="fix")))
    second = await _submit(database, tenant, submission(origin(verb="plan")))
    assert second.is_new
    assert second.issue_id != first.issue_id


@pytest.mark.parametrize(
    ("cause", "left"),
    [
        (Cause.ANSWERED, IssueStatus.QUEUED),
        (Cause.BUDGET, IssueStatus.QUEUED),
        (Cause.CANCELLED, IssueStatus.QUEUED),
        (Cause.PULL_REQUEST, IssueStatus.REVIEW),
    ],
)
async def test_the_same_request_again_makes_a_new_job_on_the_same_issue(
    database: Database, cause: Cause, left: IssueStatus
) -> None:
    tenant = await make_tenant(database)
    first = await make_job(database, tenant, trigger="1")
    await end_job(database, first.job_id, cause)
    second = await make_job(database, tenant, trigger="2")
    assert second.is_new
    assert (second.issue_id, second.job_id != first.job_id) == (first.issue_id, True)
    assert await states(database, second.job_id) == (JobStatus.PENDING, left)


async def test_a_follow_up_on_an_issue_in_review_can_be_claimed(database: Database) -> None:
    tenant = await make_tenant(database)
    first = await make_job(database, tenant, trigger="1")
    await end_job(database, first.job_id, Cause.PULL_REQUEST)
    second = await make_job(database, tenant, trigger="2")
    await end_job(database, second.job_id, Cause.PULL_REQUEST)
    assert await states(database, second.job_id) == (JobStatus.COMPLETED, IssueStatus.REVIEW)


async def test_a_request_whose_issue_was_only_written_down_queues_it(database: Database) -> None:
    tenant = await make_tenant(database)
    first = await make_job(database, tenant, trigger="1")
    await end_job(database, first.job_id, Cause.ANSWERED)
    async with database.write() as connection:
        await connection.execute(update(agent_issues).values(status=IssueStatus.PENDING))
    second = await make_job(database, tenant, trigger="2")
    assert await states(database, second.job_id) == (JobStatus.PENDING, IssueStatus.QUEUED)


async def test_the_issue_of_another_organization_is_never_taken_up(database: Database) -> None:
    ours, theirs = await make_tenant(database, 1, 100), await make_tenant(database, 2, 200)
    first = await _submit(database, ours, submission(origin(repository_id=100), external_id="same"))
    second = await _submit(database, theirs, submission(origin(repository_id=200), external_id="same"))
    assert second.is_new
    assert second.issue_id != first.issue_id


async def test_of_two_at_once_one_makes_the_job_and_the_other_finds_it_by_trying_again(
    database: Database,
) -> None:
    tenant = await make_tenant(database)

    async def first(connection: AsyncConnection) -> Submitted:
        return await submit.submit(tenant.scope, connection, submission(origin()), now=NOW)

    async def second(connection: AsyncConnection) -> Submitted | None:
        try:
            async with connection.begin_nested():
                return await first(connection)
        except IntegrityError:
            return None

    made, found = await overlap(database, first, second)
    again = await make_job(database, tenant)
    assert made.is_new
    assert again == Submitted(made.issue_id, made.job_id, is_new=False)
    assert found in {None, again}
    assert await count(database, agent_issues) == await count(database, agent_jobs) == 1


async def test_twenty_at_once_make_one_job(database: Database) -> None:
    tenant = await make_tenant(database)

    async def try_once() -> Submitted | None:
        try:
            return await make_job(database, tenant)
        except IntegrityError:
            return None

    made = await asyncio.gather(*(try_once() for _ in range(20)))
    assert sum(one.is_new for one in made if one) == 1
    assert await count(database, agent_jobs) == 1


async def test_an_open_job_keeps_its_key_and_an_ended_one_gives_it_up(database: Database) -> None:
    job = await start_job(database, await make_tenant(database))
    async with database.read() as connection:
        assert await connection.scalar(select(job_origins.c.open_key)) == "100:1:fix"
    await end_job(database, job.id, Cause.BUG, job=job)
    async with database.read() as connection:
        assert await connection.scalar(select(job_origins.c.open_key)) is None


async def test_a_request_without_an_organization_is_refused(database: Database) -> None:
    with pytest.raises(IntegrityError):
        async with database.write() as connection:
            await submit.submit(Scope.system(), connection, submission(origin()), now=NOW)


async def test_of_a_repository_that_moved_the_former_owners_job_makes_room_and_is_to_end(
    database: Database,
) -> None:
    before, after = await make_tenant(database, 1, 100), await make_tenant(database, 2, 200)
    old = await _submit(database, before, submission(origin(trigger="1")))
    new = await _submit(database, after, submission(origin(trigger="2")))
    assert new.is_new
    assert new.issue_id != old.issue_id
    assert (await run_row(database, old.job_id))["cancel_reason"] == submit.MOVED
    assert (await run_row(database, new.job_id))["cancel_reason"] is None
    third = await _submit(database, after, submission(origin(trigger="3")))
    assert third == Submitted(new.issue_id, new.job_id, is_new=False)


async def test_a_trigger_that_the_former_owner_saw_makes_nothing_for_the_next_one(database: Database) -> None:
    before, after = await make_tenant(database, 1, 100), await make_tenant(database, 2, 200)
    old = await _submit(database, before, submission(origin()))
    await end_job(database, old.job_id, Cause.ANSWERED)
    assert not (await _submit(database, after, submission(origin()))).is_new


@pytest.mark.parametrize(("verb", "key"), [("fix", "100:1"), ("plan", None)])
async def test_only_a_verb_that_changes_code_holds_the_threads_write_key(
    database: Database, verb: str, key: str | None
) -> None:
    await _submit(database, await make_tenant(database), submission(origin(verb=verb)))
    async with database.read() as connection:
        assert await connection.scalar(select(job_origins.c.write_key)) == key


async def test_a_restored_database_gives_the_same_request_another_id_and_the_same_name(
    database: Database,
) -> None:
    tenant = await make_tenant(database)
    lives = []
    for _ in range(2):
        made = await make_job(database, tenant)
        lives.append(await claim(database, made.job_id))
        async with database.write() as connection:
            await connection.execute(delete(agent_issues))  # what the backup does not have
    first, second = lives
    assert (first.name == second.name, first.id == second.id) == (True, False)
    assert first.name != first.id


async def test_two_requests_have_two_names(database: Database) -> None:
    tenant = await make_tenant(database)
    jobs = [await start_job(database, tenant, number) for number in (1, 2)]
    assert len({job.name for job in jobs}) == 2


async def test_a_job_of_an_earlier_version_keeps_its_id_as_its_name(database: Database) -> None:
    made = await make_job(database, await make_tenant(database))
    async with database.write() as connection:
        await connection.execute(update(agent_jobs).values(config={}))
    assert (await claim(database, made.job_id)).name == made.job_id

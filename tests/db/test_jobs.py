"""A job on its way to the end; nothing of it can be written by somebody who lost it."""

from collections.abc import Awaitable, Callable

import pytest
from sqlalchemy import select, update
from sqlalchemy.exc import NoResultFound
from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import cancel, jobs, schedule, transcript
from bot.db.database import Database
from bot.db.tables import agent_issues, agent_jobs, events, job_origins, job_runs
from bot.db.transcript import Artifact, Step
from bot.domain.enums import ArtifactType, Cause, IssueStatus, JobStatus, Phase, StepKind, Tier, When
from bot.domain.states import By, end_of
from bot.domain.values import ClaimedJob, CommandRecord, Scope
from bot.errors import LeaseLost
from tests.db.rows import MINUTE, NOW, SYSTEM, claim, make_job, make_tenant, start_job, states
from tests.db.runs import add_step, end_job, event_kinds, run_row

LATER = NOW + MINUTE
Write = Callable[[Scope, AsyncConnection, ClaimedJob], Awaitable[object]]

FENCED: dict[str, Write] = {
    "own": jobs.own,
    "set_phase": lambda scope, c, job: jobs.set_phase(scope, c, job, Phase.WORK),
    "freeze": lambda scope, c, job: jobs.freeze(
        scope, c, job, Cause.ANSWERED, error=None, result={}, now=NOW
    ),
    "settle": lambda scope, c, job: jobs.settle(scope, c, job, now=NOW),
    "retry_later": lambda scope, c, job: jobs.retry_later(
        scope, c, job, wake_at=NOW, error="e", is_counted=True, now=NOW
    ),
    "add_step": lambda scope, c, job: add_step(scope, c, job, Step(1, StepKind.TURN, {}), now=NOW),
    "add_verifications": lambda scope, c, job: transcript.add_verifications(
        scope, c, job, When.BEFORE, "sha", [CommandRecord("true", 0, 1, "", Tier.SANDBOX)], now=NOW
    ),
    "add_artifacts": lambda scope, c, job: transcript.add_artifacts(
        scope, c, job, [Artifact(ArtifactType.ANALYSIS, "a", "b")], now=NOW
    ),
}


async def _give_back(database: Database, job: ClaimedJob, *, is_counted: bool) -> None:
    async with database.write() as connection:
        await jobs.retry_later(
            Scope(job.organization_id),
            connection,
            job,
            wake_at=LATER,
            error="GitHub is away",
            is_counted=is_counted,
            now=NOW,
        )


async def _cancel(
    database: Database, *, number: int | None = 1, verb: str | None = None, scope: Scope = SYSTEM
) -> list[str]:
    async with database.write() as connection:
        return await cancel.request_cancel(
            scope, connection, repository_id=100, number=number, verb=verb, reason="unlabelled", now=NOW
        )


class TestFence:
    async def test_who_owns_the_job_may_write(self, database: Database) -> None:
        tenant = await make_tenant(database)
        for number, (name, write) in enumerate(FENCED.items()):
            job = await start_job(database, tenant, number)
            async with database.write() as connection:
                if name == "settle":
                    await FENCED["freeze"](tenant.scope, connection, job)
                await write(tenant.scope, connection, job)

    async def test_whose_lease_was_taken_writes_nothing_more(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        async with database.write() as connection:
            await schedule.reap(SYSTEM, connection, now=LATER)
        await claim(database, job.id, now=LATER, owner="w2")
        await _refused_everywhere(database, job)

    async def test_who_gave_the_job_back_writes_nothing_more(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        await _give_back(database, job, is_counted=True)
        await _refused_everywhere(database, job)

    async def test_who_settled_the_job_writes_nothing_more(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        await end_job(database, job.id, Cause.ANSWERED, job=job)
        await _refused_everywhere(database, job)
        assert (await event_kinds(database, job.id)).count("job.ended") == 1

    async def test_nothing_is_written_for_another_organization(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        other = await make_tenant(database, 2, 200)
        for write in FENCED.values():
            with pytest.raises(LookupError, match="outside the scope"):
                async with database.write() as connection:
                    await write(other.scope, connection, job)


async def _refused_everywhere(database: Database, job: ClaimedJob) -> None:
    before = await run_row(database, job.id)
    for write in FENCED.values():
        with pytest.raises(LeaseLost):
            async with database.write() as connection:
                await write(Scope(job.organization_id), connection, job)
    assert await run_row(database, job.id) == before


class TestEnd:
    @pytest.mark.parametrize("cause", Cause)
    async def test_every_cause_ends_job_and_issue(self, database: Database, cause: Cause) -> None:
        job = await start_job(database, await make_tenant(database))
        status = await end_job(database, job.id, cause, job=job)
        assert (status, await states(database, job.id)) == (end_of(cause)[0], end_of(cause))

    async def test_an_ended_job_has_no_lease_no_key_and_one_event(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        await end_job(database, job.id, Cause.ANSWERED, job=job)
        row = await run_row(database, job.id)
        assert (row["phase"], row["lease_owner"], row["lease_until"]) == (Phase.SETTLED, None, None)
        async with database.read() as connection:
            assert await connection.scalar(select(job_origins.c.open_key)) is None
            ended = await connection.scalar(select(events.c.data).where(events.c.kind == "job.ended"))
        assert ended == {"status": "COMPLETED", "cause": "answered"}

    async def test_freezing_keeps_cause_words_and_result(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        scope = Scope(job.organization_id)
        async with database.write() as connection:
            await jobs.freeze(
                scope, connection, job, Cause.BUDGET, error="too dear", result={"steps": 3}, now=NOW
            )
        async with database.read() as connection:
            assert await jobs.frozen_cause(scope, connection, job) is Cause.BUDGET
            row = (await connection.execute(select(agent_jobs))).one()
        assert (row.error, row.result, row.status) == ("too dear", {"steps": 3}, JobStatus.RUNNING)

    async def test_a_phase_is_kept_for_the_next_owner(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        async with database.write() as connection:
            await jobs.set_phase(SYSTEM, connection, job, Phase.WORK)
        assert (await run_row(database, job.id))["phase"] is Phase.WORK

    async def test_an_issue_that_somebody_moved_stays_there_and_its_job_ends(
        self, database: Database
    ) -> None:
        job = await start_job(database, await make_tenant(database))
        async with database.write() as connection:
            await connection.execute(update(agent_issues).values(status=IssueStatus.CANCELLED))
        await end_job(database, job.id, Cause.ANSWERED, job=job)
        assert await states(database, job.id) == (JobStatus.COMPLETED, IssueStatus.CANCELLED)


@pytest.mark.parametrize(("kind", "waits"), [(StepKind.TURN, 0), (StepKind.TOOLS, 2)])
async def test_a_new_turn_makes_the_job_forget_that_it_waited_and_nothing_else_does(
    database: Database, *, kind: StepKind, waits: int
) -> None:
    job = await start_job(database, await make_tenant(database))
    scope = Scope(job.organization_id)
    async with database.write() as connection:
        await connection.execute(update(job_runs).values(waits=2, waiting_since=NOW))
    await database.transact(lambda c: add_step(scope, c, job, Step(1, kind, {}), now=LATER))
    async with database.read() as connection:
        assert await jobs.waited(scope, connection, job) == (waits, NOW if waits else None)


class TestRetryLater:
    @pytest.mark.parametrize(("is_counted", "attempts"), [(True, 1), (False, 0)])
    async def test_the_job_waits_and_its_attempt_counts_or_not(
        self, database: Database, *, is_counted: bool, attempts: int
    ) -> None:
        job = await start_job(database, await make_tenant(database))
        await _give_back(database, job, is_counted=is_counted)
        assert await states(database, job.id) == (JobStatus.PENDING, IssueStatus.QUEUED)
        async with database.read() as connection:
            row = (await connection.execute(select(agent_jobs))).one()
        assert (row.attempts, row.error) == (attempts, "GitHub is away")
        run = await run_row(database, job.id)
        assert (run["wake_at"], run["lease_owner"], run["admitted_at"]) == (LATER, None, None)
        assert (await event_kinds(database, job.id))[-1] == "job.waits"

    async def test_attempts_never_fall_below_none(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        async with database.write() as connection:
            await connection.execute(update(agent_jobs).values(attempts=0))
        await _give_back(database, job, is_counted=False)
        async with database.read() as connection:
            assert await connection.scalar(select(agent_jobs.c.attempts)) == 0


class TestCancel:
    async def test_a_job_that_never_started_ends_at_once(self, database: Database) -> None:
        made = await make_job(database, await make_tenant(database))
        assert await _cancel(database) == [made.job_id]
        assert await states(database, made.job_id) == (JobStatus.CANCELLED, IssueStatus.CANCELLED)
        assert (await run_row(database, made.job_id))["cause"] is Cause.CANCELLED
        assert (await event_kinds(database, made.job_id))[-1] == "job.ended"

    async def test_a_cancelled_thread_can_be_asked_again(self, database: Database) -> None:
        tenant = await make_tenant(database)
        await make_job(database, tenant, trigger="1")
        await _cancel(database)
        assert (await make_job(database, tenant, trigger="2")).is_new

    async def test_a_running_job_is_marked_until_its_owner_looks(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        assert await _cancel(database) == [job.id]
        assert await states(database, job.id) == (JobStatus.RUNNING, IssueStatus.PROCESSING)
        assert (await run_row(database, job.id))["cancel_reason"] == "unlabelled"

    async def test_a_job_that_was_given_back_is_left_to_its_next_owner_who_comes_now(
        self, database: Database
    ) -> None:
        job = await start_job(database, await make_tenant(database))
        await _give_back(database, job, is_counted=True)
        assert await _cancel(database) == [job.id]
        assert await states(database, job.id) == (JobStatus.PENDING, IssueStatus.QUEUED)
        async with database.write() as connection:
            admitted = await schedule.admit(SYSTEM, connection, now=NOW, readmit_after=MINUTE, places=9)
        assert admitted == [job.id]

    async def test_a_job_that_a_person_paused_ends_at_once(self, database: Database) -> None:
        made = await make_job(database, await make_tenant(database))
        async with database.write() as connection:
            await connection.execute(update(agent_jobs).values(status=JobStatus.PAUSED))
        assert await _cancel(database) == [made.job_id]
        assert await states(database, made.job_id) == (JobStatus.CANCELLED, IssueStatus.CANCELLED)

    async def test_a_follow_up_that_never_started_leaves_the_review_open(self, database: Database) -> None:
        tenant = await make_tenant(database)
        first = await make_job(database, tenant, trigger="1")
        await end_job(database, first.job_id, Cause.PULL_REQUEST)
        second = await make_job(database, tenant, trigger="2")
        await _cancel(database)
        assert await states(database, second.job_id) == (JobStatus.CANCELLED, IssueStatus.REVIEW)

    async def test_only_the_thread_and_the_verb_that_were_named_are_cancelled(
        self, database: Database
    ) -> None:
        tenant = await make_tenant(database)
        first, second = await make_job(database, tenant, 1), await make_job(database, tenant, 2)
        assert await _cancel(database, number=1, verb="plan") == []
        assert await _cancel(database, number=1, verb="fix") == [first.job_id]
        assert (await states(database, second.job_id))[0] is JobStatus.PENDING

    async def test_a_whole_repository_can_be_cancelled_and_no_other(self, database: Database) -> None:
        tenant, other = await make_tenant(database, 1, 100), await make_tenant(database, 2, 200)
        made = [(await make_job(database, tenant, number)).job_id for number in (1, 2)]
        left = await make_job(database, other)
        assert sorted(await _cancel(database, number=None)) == sorted(made)
        assert (await states(database, left.job_id))[0] is JobStatus.PENDING

    async def test_ended_jobs_are_left_alone(self, database: Database) -> None:
        job = await start_job(database, await make_tenant(database))
        await end_job(database, job.id, Cause.ANSWERED, job=job)
        assert await _cancel(database) == []

    async def test_another_organization_cannot_cancel(self, database: Database) -> None:
        made = await make_job(database, await make_tenant(database))
        other = await make_tenant(database, 2, 200)
        assert await _cancel(database, scope=other.scope) == []
        assert (await states(database, made.job_id))[0] is JobStatus.PENDING


class TestRead:
    async def test_another_organization_finds_no_such_job(self, database: Database) -> None:
        made = await make_job(database, await make_tenant(database))
        other = await make_tenant(database, 2, 200)
        async with database.read() as connection:
            with pytest.raises(NoResultFound):
                await jobs.load(other.scope, connection, made.job_id)

    async def test_an_issue_of_another_organization_is_never_moved(self, database: Database) -> None:
        made = await make_job(database, await make_tenant(database))
        other = await make_tenant(database, 2, 200)
        with pytest.raises(NoResultFound):
            async with database.write() as connection:
                await jobs.set_issue(
                    other.scope, connection, made.issue_id, IssueStatus.CANCELLED, By.PERSON, now=NOW
                )

    async def test_an_issue_that_stands_there_already_is_left_as_it_is(self, database: Database) -> None:
        tenant = await make_tenant(database)
        made = await make_job(database, tenant)
        async with database.write() as connection:
            await jobs.set_issue(
                tenant.scope, connection, made.issue_id, IssueStatus.QUEUED, By.PERSON, now=LATER
            )
            assert await connection.scalar(select(agent_issues.c.updated_at)) == NOW

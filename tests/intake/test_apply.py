"""What an intent comes to: jobs behind the gate, acknowledgements once, help, cancelling, tenants."""

from dataclasses import replace

import pytest
from sqlalchemy import select, update

from bot.db import jobs, tables
from bot.db.operations import Operation
from bot.domain.enums import (
    Cause,
    IssuePriority,
    IssueSource,
    IssueStatus,
    IssueType,
    JobStatus,
    OperationKind,
    OperationState,
)
from bot.domain.intents import CancelJobs, PostHelp, RemoveInstallation, SaveInstallation
from bot.domain.values import RepositoryRef, Scope
from bot.errors import RetryLater, StillEnding
from bot.standin.forge.faults import Reply
from tests.db.rows import claim
from tests.db.runs import end_job
from tests.intake.conftest import NUMBER, REPOSITORY, Hall


async def acknowledged(hall: Hall) -> list[tuple[str, object]]:
    """The reactions that were frozen: what, and on which comment."""
    rows = await hall.rows("operations")
    return [(row.payload["content"], row.payload["comment_id"]) for row in rows]


async def job_states(hall: Hall) -> list[JobStatus]:
    """The states of all jobs."""
    return [row.status for row in await hall.rows("agent_jobs")]


async def test_an_open_gate_makes_a_job_and_shows_eyes(hall: Hall) -> None:
    await hall.know()

    assert await hall.apply(hall.start())

    (issue,) = await hall.rows("agent_issues")
    assert (issue.source, issue.status) == (IssueSource.GITHUB, IssueStatus.QUEUED)
    assert (issue.type, issue.priority) == (IssueType.BUG, IssuePriority.MEDIUM)
    assert (issue.title, issue.description) == ("Crash in split", "It raises ZeroDivisionError")
    (job,) = await hall.rows("agent_jobs")
    assert (job.status, job.agent_type, job.model) == (JobStatus.PENDING, "code.fix", "sonnet")
    (run,) = await hall.rows("job_runs")
    assert run.authority == f"github:{hall.writer.id}"
    (origin,) = await hall.rows("job_origins")
    assert origin.confidence is not None and 0 < origin.confidence <= 1
    (reaction,) = await hall.rows("operations")
    assert (reaction.kind, reaction.job_id, reaction.state) == (
        OperationKind.REACTION,
        None,
        OperationState.INTENT,
    )
    assert await acknowledged(hall) == [("eyes", 1)]
    assert not hall.asked("/reactions")  # nothing is sent from here


async def test_the_same_command_again_changes_nothing(hall: Hall) -> None:
    await hall.know()
    await hall.apply(hall.start())
    await hall.apply(hall.start())
    assert (len(await hall.rows("agent_jobs")), len(await hall.rows("operations"))) == (1, 1)


async def test_another_command_while_a_job_is_open_makes_none(hall: Hall) -> None:
    await hall.know()
    await hall.apply(hall.start(1))
    await hall.apply(hall.start(2))
    assert len(await hall.rows("agent_jobs")) == 1
    assert await acknowledged(hall) == [("eyes", 1)]


async def test_a_label_put_on_again_is_a_new_job_of_the_same_request(hall: Hall) -> None:
    await hall.know()
    labeled = replace(hall.start(), trigger="label:agent", comment_id=None)
    await hall.apply(replace(labeled, trigger_key="label:agent:monday"))
    await hall.apply(
        CancelJobs(hall.repository, hall.installation_id, NUMBER, "fix", "the label was removed")
    )
    await hall.apply(replace(labeled, trigger_key="label:agent:tuesday"))

    (issue,) = await hall.rows("agent_issues")
    assert issue.status is IssueStatus.QUEUED
    assert await job_states(hall) == [JobStatus.CANCELLED, JobStatus.PENDING]
    # The eyes on the issue stand there already.
    assert await acknowledged(hall) == [("eyes", None)]


async def test_a_label_put_on_again_while_its_job_still_ends_is_not_lost(hall: Hall) -> None:
    """The request was swallowed once: no eyes, no job, and the delivery was done."""
    await hall.know()
    labeled = replace(hall.start(), trigger="label:agent", comment_id=None)
    await hall.apply(replace(labeled, trigger_key="label:agent:monday"))
    job = await claim(hall.database, (await hall.rows("agent_jobs"))[0].id, now=hall.clock.now())
    await hall.apply(
        CancelJobs(hall.repository, hall.installation_id, NUMBER, "fix", "the label was removed")
    )
    commanded = replace(hall.start(2), trigger_key="comment:2")
    for asked in (replace(labeled, trigger_key="label:agent:tuesday"), commanded):
        with pytest.raises(StillEnding):
            await hall.apply(asked)
    assert await acknowledged(hall) == [("eyes", None)]

    await end_job(hall.database, job.id, Cause.CANCELLED, job=job)
    await hall.apply(commanded)
    assert await job_states(hall) == [JobStatus.CANCELLED, JobStatus.PENDING]
    assert await acknowledged(hall) == [("eyes", None), ("eyes", 2)]


async def test_a_closed_gate_makes_no_job_and_says_so_once(hall: Hall) -> None:
    await hall.know()
    for _ in range(2):
        assert await hall.apply(hall.start(actor=hall.reader))
    assert not await hall.rows("agent_jobs")
    assert not await hall.rows("agent_issues")
    assert await acknowledged(hall) == [("confused", 1)]


async def test_a_closed_gate_for_a_label_is_shown_on_the_issue(hall: Hall) -> None:
    await hall.know()
    labeled = replace(hall.start(), actor=hall.reader, trigger="label:agent", comment_id=None)
    await hall.apply(labeled)
    (reaction,) = await hall.rows("operations")
    assert reaction.payload == {"number": NUMBER, "comment_id": None, "content": "confused"}


async def test_a_gate_that_cannot_be_asked_leaves_the_delivery_for_later(hall: Hall) -> None:
    await hall.know()
    hall.forge.faults.add("GET", "/permission$", Reply(503))
    with pytest.raises(RetryLater):
        await hall.apply(hall.start())
    assert not await hall.rows("agent_jobs")


async def test_a_renamed_repository_is_kept_under_its_new_name(hall: Hall) -> None:
    await hall.know()
    renamed = replace(hall.repository, full_name="octo/animals", is_private=True)
    await hall.apply(hall.start(repository=renamed))
    (kept,) = await hall.rows("repositories")
    assert (kept.id, kept.full_name, kept.is_private) == (hall.repository.id, "octo/animals", True)


# ── who an event belongs to ──────────────────────────────────────────────────────────────────────
async def test_an_installation_that_we_missed_is_confirmed_and_served(hall: Hall) -> None:
    assert await hall.apply(hall.start())
    assert await hall.tenant() is not None
    assert await job_states(hall) == [JobStatus.PENDING]


async def test_an_installation_that_github_does_not_know_is_not_served(hall: Hall) -> None:
    assert not await hall.apply(hall.start(installation_id=404))
    assert not hall.asked("/access_tokens")
    assert not await hall.rows("agent_jobs")


@pytest.mark.parametrize("is_on_record", [False, True])
async def test_a_suspended_installation_is_not_served_and_gets_no_token(
    hall: Hall, is_on_record: bool
) -> None:
    if is_on_record:
        await hall.know(is_suspended=True)
    await hall.forge.suspend(hall.installation_id)
    assert not await hall.apply(hall.start())
    assert not hall.asked("/access_tokens")


async def test_a_removed_installation_is_not_served_and_gets_no_token(hall: Hall) -> None:
    await hall.know()
    await hall.apply(RemoveInstallation(hall.installation_id))
    await hall.forge.uninstall(hall.installation_id)
    assert not await hall.apply(hall.start())
    assert not hall.asked("/access_tokens")


async def test_an_end_of_a_suspension_that_we_missed_is_confirmed(hall: Hall) -> None:
    await hall.know(is_suspended=True)
    assert await hall.apply(hall.start())
    assert await hall.tenant() is not None


async def test_a_repository_of_another_installation_is_not_served(hall: Hall) -> None:
    theirs = await hall.forge.create_repository("acme/secret", {})
    other_installation = await hall.forge.install("acme")
    await hall.know()
    foreign = RepositoryRef(theirs, "acme/secret")
    assert not await hall.apply(hall.start(repository=foreign))
    assert not await hall.apply(hall.start(installation_id=other_installation))
    assert not await hall.rows("agent_jobs")
    assert {row.id for row in await hall.rows("repositories")} == {hall.repository.id}


# ── switched off ─────────────────────────────────────────────────────────────────────────────────
async def test_a_product_that_is_switched_off_starts_no_job_and_shows_nothing(hall: Hall) -> None:
    await hall.know()
    hall.intake = replace(hall.intake, is_enabled=False)
    assert not await hall.apply(hall.start())
    assert not hall.asked("/permission")
    assert await hall.apply(PostHelp(hall.repository, hall.installation_id, NUMBER, hall.reader, 1))


# ── help ─────────────────────────────────────────────────────────────────────────────────────────
def asked_for_help(
    hall: Hall, comment_id: int = 1, problem: str | None = None, **changes: object
) -> PostHelp:
    """Somebody asks for help, or writes what nobody knows."""
    help_ = PostHelp(hall.repository, hall.installation_id, NUMBER, hall.writer, comment_id, problem)
    return replace(help_, **changes)  # type: ignore[arg-type]


async def test_help_is_given_once_a_thread_to_whoever_asks(hall: Hall) -> None:
    await hall.know()
    await hall.apply(asked_for_help(hall, 1))
    await hall.apply(asked_for_help(hall, 2, actor=hall.reader))
    await hall.apply(asked_for_help(hall, 3, number=NUMBER + 1))
    rows = await hall.rows("operations")
    assert [(row.kind, row.payload["number"], row.payload["body"]) for row in rows] == [
        (OperationKind.COMMENT, NUMBER, "Help!"),
        (OperationKind.COMMENT, NUMBER + 1, "Help!"),
    ]
    assert not hall.asked("/permission")


async def test_a_wrong_command_is_answered_once_a_comment_with_what_is_wrong(hall: Hall) -> None:
    await hall.know()
    for comment_id in (1, 1, 2):
        await hall.apply(asked_for_help(hall, comment_id, problem=f"`fxi` of {comment_id}"))
    bodies = [row.payload["body"] for row in await hall.rows("operations")]
    assert bodies == ["Help! `fxi` of 1", "Help! `fxi` of 2"]


async def test_a_strangers_wrong_command_is_not_answered(hall: Hall) -> None:
    await hall.know()
    assert not await hall.apply(asked_for_help(hall, problem="`fxi`", actor=hall.reader))
    assert not await hall.rows("operations")


async def test_help_for_nobodys_repository_is_not_given(hall: Hall) -> None:
    assert not await hall.apply(asked_for_help(hall, installation_id=404))


async def test_replies_and_acknowledgements_belong_to_no_run(hall: Hall) -> None:
    await hall.know()
    await hall.apply(hall.start())
    await hall.apply(asked_for_help(hall))
    rows = await hall.rows("operations")
    assert [row.sequence < 0 for row in rows] == [True, True]
    assert set(Operation.__slots__) <= set(tables.operations.c.keys())


# ── cancelling ───────────────────────────────────────────────────────────────────────────────────
async def test_a_waiting_job_is_cancelled_at_once(hall: Hall) -> None:
    await hall.know()
    await hall.apply(hall.start())
    await hall.apply(CancelJobs(hall.repository, hall.installation_id, NUMBER, None, "the issue was closed"))
    (job,) = await hall.rows("agent_jobs")
    assert (job.status, job.error) == (JobStatus.CANCELLED, "the issue was closed")
    (run,) = await hall.rows("job_runs")
    assert run.cause is Cause.CANCELLED


async def test_a_running_job_is_told_why_it_is_to_end(hall: Hall) -> None:
    await hall.know()
    await hall.apply(hall.start())
    (job,) = await hall.rows("agent_jobs")
    await claim(hall.database, job.id, now=hall.clock.now())
    await hall.apply(
        CancelJobs(hall.repository, hall.installation_id, NUMBER, "fix", "the label was removed")
    )
    (run,) = await hall.rows("job_runs")
    assert run.cancel_reason == "the label was removed"
    assert await job_states(hall) == [JobStatus.RUNNING]


async def test_whoever_may_not_ask_is_told_once_in_a_thread(hall: Hall) -> None:
    # 500 comments of strangers are not 500 writes, at a write a second, before anybody else's.
    await hall.know()
    for comment_id in range(1, 21):
        await hall.apply(hall.start(comment_id, actor=hall.reader))
    assert await acknowledged(hall) == [("confused", 1)]
    await hall.apply(hall.start(30, actor=hall.reader, number=NUMBER + 1))
    await hall.apply(hall.start(31))
    assert await acknowledged(hall) == [("confused", 1), ("confused", 30), ("eyes", 31)]


async def test_an_event_of_another_installation_ends_nothing(hall: Hall) -> None:
    # A signed body whose installation does not serve its repository, by our records.
    await hall.know()
    await hall.apply(hall.start())
    theirs = hall.installation_id + 1
    assert not await hall.apply(CancelJobs(hall.repository, theirs, NUMBER, None, "the issue was closed"))
    assert await job_states(hall) == [JobStatus.PENDING]


@pytest.mark.parametrize(("number", "verb"), [(NUMBER + 1, None), (NUMBER, "ask")])
async def test_jobs_of_other_threads_and_other_verbs_go_on(hall: Hall, number: int, verb: str | None) -> None:
    await hall.know()
    await hall.apply(hall.start())
    await hall.apply(CancelJobs(hall.repository, hall.installation_id, number, verb, "not yours"))
    assert await job_states(hall) == [JobStatus.PENDING]


# ── tenants ──────────────────────────────────────────────────────────────────────────────────────
async def test_an_installation_is_kept_as_its_event_tells_it(hall: Hall) -> None:
    saved = SaveInstallation(hall.installation_id, 1, "octo", "User", False, (), (hall.repository,))
    assert await hall.apply(saved)
    tenant = await hall.tenant()
    assert tenant is not None and tenant.repository.full_name == REPOSITORY
    await hall.apply(replace(saved, is_suspended=True))
    assert await hall.tenant() is None


async def test_an_uninstalled_app_ends_its_open_jobs_and_serves_nobody(hall: Hall) -> None:
    await hall.know()
    await hall.apply(hall.start(1))
    await hall.apply(hall.start(2, number=NUMBER + 1, trigger_key="another"))
    waiting, running = await hall.rows("agent_jobs")
    await claim(hall.database, running.id, now=hall.clock.now())

    await hall.apply(RemoveInstallation(hall.installation_id))

    assert await job_states(hall) == [JobStatus.CANCELLED, JobStatus.RUNNING]
    reasons = [row.cancel_reason for row in await hall.rows("job_runs")]
    assert reasons == ["the App was uninstalled"] * 2
    (installation,) = await hall.rows("installations")
    assert installation.deleted_at is not None
    assert await hall.tenant() is None
    async with hall.database.read() as connection:
        assert (await jobs.load(Scope.system(), connection, waiting.id)).origin.number == NUMBER


async def test_removing_an_installation_nobody_knows_changes_nothing(hall: Hall) -> None:
    assert await hall.apply(RemoveInstallation(404))
    assert not await hall.rows("installations")


async def test_a_finished_job_is_not_cancelled(hall: Hall) -> None:
    await hall.know()
    await hall.apply(hall.start())
    async with hall.database.write() as connection:
        await connection.execute(update(tables.agent_jobs).values(status=JobStatus.COMPLETED))
    await hall.apply(CancelJobs(hall.repository, hall.installation_id, NUMBER, None, "too late"))
    assert await job_states(hall) == [JobStatus.COMPLETED]


async def test_a_job_names_the_delivery_that_asked(hall: Hall) -> None:
    await hall.know()
    await hall.apply(hall.start(delivery_id="d1"))
    await hall.apply(hall.start(delivery_id="d2"))
    async with hall.database.read() as connection:
        named = await connection.scalars(select(tables.job_origins.c.delivery_id))
        assert named.all() == ["d1"]

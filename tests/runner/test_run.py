"""From claim to end: what a job comes to, and what people see of it."""

import asyncio

from bot.db import tenants
from bot.domain.enums import ArtifactType, Cause, IssueStatus, JobStatus, OperationState, Phase, Tier
from bot.domain.values import Scope
from bot.errors import Permanent, RetryLater
from bot.standin.forge.faults import Reply
from tests.runner.conftest import ANSWER, CANARY, FILES, FIXED, PROPOSE, REPOSITORY, Stack, World, attempt
from tests.runner.stands import call, quietly


async def test_a_fix_becomes_a_branch_a_draft_and_one_comment_that_names_it(
    world: World, stack: Stack, job_id: str
) -> None:
    facts = await attempt(world, stack, job_id)

    assert (facts.status, facts.cause) == (JobStatus.COMPLETED, Cause.PULL_REQUEST)
    assert (facts.issue_status, facts.phase, facts.error) == (IssueStatus.REVIEW, Phase.SETTLED, None)
    (pull,) = world.pulls(job_id)
    assert pull.pull is not None and pull.pull.is_draft
    assert (pull.title, [one.login for one in pull.assignees]) == ("Let the dog bark", ["maria"])
    (comment,) = world.said(job_id)
    assert f"#{pull.number} is ready for review" in comment
    assert "⟦" not in comment
    states = {name: row.state for name, row in (await world.operations(job_id)).items()}
    assert set(states) == {"living", "branch", "pull", "assign", "final"}
    assert set(states.values()) == {OperationState.DONE}


async def test_what_a_job_leaves_behind(world: World, stack: Stack, job_id: str) -> None:
    await attempt(world, stack, job_id)
    words, change, pull = await world.rows("agent_artifacts", job_id)
    assert (words.type, words.content) == (ArtifactType.ANALYSIS, "The dog barks.")
    assert (change.type, change.file_path, change.content) == (ArtifactType.CODE_CHANGE, "dog.py", FIXED)
    assert change.diff_patch.startswith("--- a/dog.py")
    assert (pull.type, pull.meta["number"]) == (ArtifactType.PULL_REQUEST, world.pulls(job_id)[0].number)
    place = world.tenant.installation_id, world.tenant.repository.id
    async with stack.app.lend(*place, {"contents": "read"}) as loan:
        tip = await stack.app.repository(REPOSITORY, loan).branch_sha(pull.meta["head"])
    assert pull.meta["sha"] == tip
    records = await world.rows("verifications", job_id)
    assert [(row.when.value, row.exit_code) for row in records] == [("before", 1), ("after", 0)]
    assert [row.message for row in await world.rows("agent_logs", job_id)][-1] == "ended: pull_request"


async def test_every_token_is_given_back(world: World, stack: Stack, job_id: str) -> None:
    await attempt(world, stack, job_id)
    minted = world.forge.world.tokens.values()
    # One reads, one makes the living comment, one publishes.
    assert [token.is_revoked for token in minted] == [True] * 3


async def test_an_answer_ends_in_the_comment(world: World, stack: Stack, job_id: str) -> None:
    world.model.turns[:] = ANSWER
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.COMPLETED, Cause.NO_CHANGE_NEEDED)
    (comment,) = world.said(job_id)
    assert "Dogs do bark." in comment
    assert not world.pulls(job_id)


async def test_a_job_that_is_not_free_is_left_alone(world: World, stack: Stack, job_id: str) -> None:
    assert await stack.claim(job_id) is not None
    assert await stack.claim(job_id) is None
    assert await stack.claim("01NOBODY") is None


# ── ends in words ────────────────────────────────────────────────────────────────────────────────
async def test_whoever_lost_the_permission_is_told_so(world: World, stack: Stack, job_id: str) -> None:
    world.forge.set_permission(REPOSITORY, "maria", "read")
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.DENIED)
    assert "needs write permission" in world.said(job_id)[0]
    assert not world.model.requests


async def test_a_permission_that_ends_during_the_work_publishes_nothing(
    world: World, stack: Stack, job_id: str
) -> None:
    async def lose_it() -> None:
        world.forge.set_permission(REPOSITORY, "maria", "read")

    world.model.on_ask = lose_it
    facts = await attempt(world, stack, job_id)
    assert facts.cause is Cause.DENIED
    assert not world.pulls(job_id)
    assert not world.asked("POST", "/git/refs")


async def test_a_suspension_that_is_on_record_asks_github_nothing(
    world: World, stack: Stack, job_id: str
) -> None:
    async with world.database.write() as connection:
        await tenants.remove_installation(
            Scope.system(), connection, world.tenant.installation_id, now=world.clock.now()
        )
    await world.forge.uninstall(world.tenant.installation_id)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.GITHUB_ERROR)
    assert facts.error == "The App is no longer installed on this repository."
    assert not world.said(job_id)
    final = (await world.operations(job_id))["final"]
    assert (final.state, final.error is not None) == (OperationState.FAILED, True)


async def test_a_locked_thread_ends_the_job_without_a_word(world: World, stack: Stack, job_id: str) -> None:
    world.thread(job_id).is_locked = True
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.GITHUB_ERROR)
    assert facts.error is not None and "locked" in facts.error
    assert world.said(job_id) == []
    assert not world.model.requests


async def test_a_deleted_issue_ends_the_job_without_a_word(world: World, stack: Stack, job_id: str) -> None:
    world.thread(job_id).is_deleted = True
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.GITHUB_ERROR)


async def test_an_archived_repository_is_told_of_in_words(world: World, stack: Stack, job_id: str) -> None:
    world.forge.world.repository(REPOSITORY).is_archived = True
    facts = await attempt(world, stack, job_id)
    assert facts.cause is Cause.GITHUB_ERROR
    assert facts.error is not None


async def test_a_model_that_refuses_the_key_ends_the_job_at_once(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = [Permanent("The model's server refused our key", cause=Cause.MODEL_ERROR)]
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.MODEL_ERROR)
    assert facts.error == "The model's server refused our key."
    assert "refused our key" in world.said(job_id)[0]


async def test_a_model_that_gives_up_says_why(world: World, stack: Stack, job_id: str) -> None:
    world.model.turns[:] = [[call("give_up", reason=f"I know too little. {CANARY}")]]
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.REFUSED)
    assert CANARY not in world.said(job_id)[0]


async def test_a_change_that_breaks_the_tests_is_not_published(
    world: World, stack: Stack, job_id: str
) -> None:
    world.space.is_sound = lambda files: files["dog.py"] == FILES["dog.py"]
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.VERIFY_FAILED)
    assert not world.pulls(job_id)
    assert "woof" in world.said(job_id)[0]


async def test_failures_that_were_there_before_make_a_draft_that_says_so(
    world: World, stack: Stack, job_id: str
) -> None:
    world.space.is_sound = lambda _: False
    facts = await attempt(world, stack, job_id)
    assert facts.cause is Cause.PULL_REQUEST
    (pull,) = world.pulls(job_id)
    assert "Failures that were there before remain" in (pull.body or "")


async def test_without_a_sandbox_the_draft_says_that_nothing_ran(
    world: World, stack: Stack, job_id: str
) -> None:
    world.space.tier = Tier.NONE
    facts = await attempt(world, stack, job_id)
    assert facts.cause is Cause.PULL_REQUEST
    (pull,) = world.pulls(job_id)
    body = pull.body or ""
    assert "no sandbox here" in body
    assert "Install bubblewrap." in body
    assert "passed" not in body


async def test_a_change_that_holds_a_secret_is_neither_published_nor_kept(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = [
        [call("write_file", path="dog.py", content=f"{FIXED}KEY = '{CANARY}'\n")],
        *PROPOSE[2:],
    ]
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.REFUSED)
    assert "The change was withheld" in world.said(job_id)[0]
    assert not world.pulls(job_id)
    kept = str([tuple(row) for row in await world.rows("agent_artifacts", job_id)])
    assert CANARY not in kept + world.said(job_id)[0]


async def test_a_refused_change_ends_in_the_same_comment(world: World, stack: Stack, job_id: str) -> None:
    world.forge.faults.add("POST", "/git/trees$", Reply(403))
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.GITHUB_ERROR)
    (comment,) = world.said(job_id)
    assert "GitHub did not let this finish" in comment
    assert "The change is kept with the job" in comment
    states = {name: row.state for name, row in (await world.operations(job_id)).items()}
    assert states.pop("living") is states.pop("refused") is OperationState.DONE
    assert set(states.values()) == {OperationState.FAILED}
    kinds = [row.type for row in await world.rows("agent_artifacts", job_id)]
    assert kinds == [ArtifactType.ANALYSIS, ArtifactType.CODE_CHANGE]


async def test_a_pull_request_that_is_refused_leaves_the_branch_and_says_so(
    world: World, stack: Stack, job_id: str
) -> None:
    world.forge.faults.add("POST", "/pulls$", Reply(403))
    facts = await attempt(world, stack, job_id)
    assert facts.cause is Cause.GITHUB_ERROR
    assert len(world.said(job_id)) == 1
    assert not world.pulls(job_id)


async def test_an_assignee_that_is_refused_hinders_nothing(world: World, stack: Stack, job_id: str) -> None:
    world.forge.faults.add("POST", "/assignees$", Reply(403))
    facts = await attempt(world, stack, job_id)
    assert facts.cause is Cause.PULL_REQUEST
    assert "is ready for review" in world.said(job_id)[0]
    assert (await world.operations(job_id))["assign"].state is OperationState.FAILED


# ── cancelling ───────────────────────────────────────────────────────────────────────────────────
async def test_a_wish_to_cancel_stops_the_work_within_a_heartbeat(
    world: World, stack: Stack, job_id: str
) -> None:
    async def wish() -> None:
        await world.change_run(job_id, cancel_reason="the label `agent` was removed")
        world.clock.tick()
        await asyncio.sleep(3600)  # ended by the wish

    world.model.on_ask = wish
    facts = await attempt(world, stack, job_id)

    assert (facts.status, facts.cause) == (JobStatus.CANCELLED, Cause.CANCELLED)
    assert facts.issue_status is IssueStatus.CANCELLED
    assert "This job was cancelled: the label" in world.said(job_id)[0]
    assert world.space.hosts[0].is_closed
    assert world.space.discarded == [job_id]


async def test_a_wish_to_cancel_that_comes_before_the_change_is_sent_holds_it_back(
    world: World, stack: Stack, job_id: str
) -> None:
    job = await stack.claim(job_id)
    assert job is not None
    lease = stack.runner._lease(job)
    await stack.publishing.announce(job, lease)
    await stack.ending.freeze(job, await stack.work.run(job, quietly))
    await world.change_run(job_id, cancel_reason="the issue was closed")

    await stack.ending.publish(job, lease)

    facts = await world.facts(job_id)
    assert (facts.status, facts.cause) == (JobStatus.CANCELLED, Cause.CANCELLED)
    assert not world.asked("POST", "/git/trees")
    (comment,) = world.said(job_id)
    assert "the issue was closed" in comment


# ── trouble that may pass ────────────────────────────────────────────────────────────────────────
async def test_a_model_that_stays_away_costs_an_attempt_and_the_last_ends_in_words(
    world: World, stack: Stack, job_id: str
) -> None:
    world.model.turns[:] = [RetryLater("The model is overloaded", cause=Cause.MODEL_ERROR)]
    for number, waits in enumerate((10.0, 20.0), start=1):
        facts = await attempt(world, stack, job_id)
        assert (facts.status, facts.attempts, facts.waits_seconds) == (JobStatus.PENDING, number, waits)
        assert (facts.issue_status, facts.error) == (IssueStatus.QUEUED, "The model is overloaded")
        assert await stack.claim(job_id) is None
        world.clock.advance(waits)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause, facts.attempts) == (JobStatus.FAILED, Cause.MODEL_ERROR, 3)
    (comment,) = world.said(job_id)
    assert "trying again did not help" in comment
    assert sum(row.is_settled for row in await world.rows("ledger", job_id)) == 12


async def test_a_github_that_is_away_costs_no_attempt(world: World, stack: Stack, job_id: str) -> None:
    world.forge.faults.add("GET", "/permission$", Reply(503), times=None)
    for seconds in (10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0):
        facts = await attempt(world, stack, job_id)
        assert (facts.status, facts.attempts) == (JobStatus.PENDING, 0)
        assert facts.waits_seconds == seconds
        world.clock.advance(seconds)
    world.forge.faults.clear()
    assert (await attempt(world, stack, job_id)).cause is Cause.PULL_REQUEST


async def test_githubs_own_wait_counts_where_it_is_longer(world: World, stack: Stack, job_id: str) -> None:
    world.forge.faults.add("GET", "/permission$", Reply(429, headers={"retry-after": "120"}))
    assert (await attempt(world, stack, job_id)).waits_seconds == 120.0


async def test_no_job_waits_for_github_longer_than_a_day(world: World, stack: Stack, job_id: str) -> None:
    world.forge.faults.add("GET", "/permission$", Reply(503), times=2)
    world.clock.advance(48 * 3600)  # Time in the queue is no waiting for GitHub.
    assert (await attempt(world, stack, job_id)).status is JobStatus.PENDING
    world.clock.advance(24 * 3600 + 1)
    facts = await attempt(world, stack, job_id)
    assert (facts.status, facts.cause) == (JobStatus.FAILED, Cause.GITHUB_ERROR)
    assert "trying again did not help" in world.said(job_id)[0]


async def test_one_comment_lives_through_all_attempts(world: World, stack: Stack, job_id: str) -> None:
    world.model.turns[:1] = [RetryLater("busy", cause=Cause.MODEL_ERROR)]
    await attempt(world, stack, job_id)
    assert len(world.said(job_id)) == 1
    world.model.turns[:1] = PROPOSE[:1]
    world.clock.advance(60.0)
    await attempt(world, stack, job_id)
    assert len(world.said(job_id)) == 1
    assert world.asked("POST", "/comments") == 1

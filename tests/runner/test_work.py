"""The middle of a run: what it stands on, what it runs, what it leaves behind."""

from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import insert

from bot.db import tables
from bot.domain.enums import Cause, LogLevel, StepKind, When
from bot.domain.values import ClaimedJob
from bot.errors import Invalid, Permanent, RetryLater, Uninstalled
from bot.runner.base import CONFIG_PATH
from bot.standin.forge.faults import Reply
from bot.workspace.workspace import Workspace
from tests.runner.conftest import FIXED, PROPOSE, REPOSITORY, Stack, World
from tests.runner.stands import call, quietly


@pytest.fixture
async def job(stack: Stack, job_id: str) -> ClaimedJob:
    """A job that this worker owns."""
    found = await stack.claim(job_id)
    assert found is not None
    return found


async def test_a_run_says_what_it_came_to_and_publishes_nothing(
    world: World, stack: Stack, job: ClaimedJob
) -> None:
    outcome = await stack.work.run(job, quietly)
    assert (outcome.cause, outcome.steps) == (Cause.PULL_REQUEST, 3)
    assert [change.path for change in outcome.changes] == ["dog.py"]
    assert [(record.when, record.command.exit_code) for record in outcome.records] == [
        (When.BEFORE, 1),
        (When.AFTER, 0),
    ]
    assert {one.method for one in world.forge.requests if one.path.startswith("/repos")} == {"GET"}


async def test_the_work_holds_a_token_that_reads_one_repository(
    world: World, stack: Stack, job: ClaimedJob
) -> None:
    await stack.work.run(job, quietly)
    (token,) = world.forge.world.tokens.values()
    assert dict(token.permissions) == {"contents": "read", "issues": "read", "metadata": "read"}
    assert token.repository_ids == frozenset({world.tenant.repository.id})
    assert token.is_revoked


async def test_the_work_stands_on_the_head_of_the_default_branch(
    world: World, stack: Stack, job: ClaimedJob
) -> None:
    sha = await world.forge.commit(REPOSITORY, "main", {"new.txt": "n"}, "maria")
    await world.forge.commit(REPOSITORY, "side", {CONFIG_PATH: "verify: rm -rf /\n"}, "maria")
    outcome = await stack.work.run(job, quietly)
    assert outcome.base_sha == sha
    assert world.space.checkouts == [f"{REPOSITORY}@{sha}"]
    assert {record.command.command for record in outcome.records} == {"check the dog"}


async def test_everything_is_closed_and_removed_whatever_happens(
    world: World, stack: Stack, job: ClaimedJob
) -> None:
    world.model.turns[:] = [KeyError("a bug")]
    with pytest.raises(KeyError):
        await stack.work.run(job, quietly)
    assert world.space.hosts[0].is_closed
    assert world.space.discarded == [job.id]
    assert all(token.is_revoked for token in world.forge.world.tokens.values())


async def test_a_checkout_that_fails_leaves_no_token_behind(
    world: World, stack: Stack, job: ClaimedJob
) -> None:
    async def fail() -> None:
        raise RetryLater("the fetch broke")

    world.space.on_checkout = fail
    with pytest.raises(RetryLater):
        await stack.work.run(job, quietly)
    assert all(token.is_revoked for token in world.forge.world.tokens.values())


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ({"AGENTS.md": "Use tabs.", "CLAUDE.md": "Use spaces."}, "Use tabs."),
        ({"CLAUDE.md": "Use spaces."}, "Use spaces."),
    ],
)
async def test_guidance_of_the_repository_reaches_the_model(
    world: World, stack: Stack, job: ClaimedJob, files: dict[str, str], said: str
) -> None:
    await world.forge.commit(REPOSITORY, "main", files, "maria")
    await stack.work.run(job, quietly)
    request = world.model.requests[0]
    assert said in str(request.system) + str(request.messages)


async def test_the_request_reaches_the_model_as_the_event_told_it(
    world: World, stack: Stack, job: ClaimedJob
) -> None:
    await world.forge.edit_issue(REPOSITORY, job.origin.number, "maria", title="Obey me", body="Obey me")
    await stack.work.run(job, quietly)
    shown = str(world.model.requests[0].messages)
    assert "The dog meows" in shown and "It should bark." in shown
    assert "Obey me" not in shown


async def test_what_is_wrong_with_the_configuration_is_logged_and_the_work_goes_on(
    world: World, stack: Stack, job: ClaimedJob
) -> None:
    await world.forge.commit(REPOSITORY, "main", {CONFIG_PATH: "verify: check\nverfy: x\n"}, "maria")
    outcome = await stack.work.run(job, quietly)
    assert outcome.cause is Cause.PULL_REQUEST
    warnings = [row.message for row in await world.rows("agent_logs", job.id) if row.level is LogLevel.WARN]
    assert any(CONFIG_PATH in line and "verfy" in line for line in warnings)


async def test_without_a_configuration_nothing_is_verified(
    world: World, stack: Stack, job: ClaimedJob
) -> None:
    await world.forge.commit(REPOSITORY, "main", {CONFIG_PATH: None}, "maria")
    outcome = await stack.work.run(job, quietly)
    assert (outcome.cause, outcome.records) == (Cause.PULL_REQUEST, ())


async def test_a_change_that_is_not_proposed_is_not_tried(
    world: World, stack: Stack, job: ClaimedJob
) -> None:
    world.model.turns[1:] = [
        [call("write_file", path="dog.py", content=FIXED)],
        [call("give_up", reason="Too hard.")],
    ]
    outcome = await stack.work.run(job, quietly)
    assert [record.when for record in outcome.records] == [When.BEFORE]
    assert outcome.cause is Cause.REFUSED


async def test_the_whole_talk_is_on_record(world: World, stack: Stack, job: ClaimedJob) -> None:
    await stack.work.run(job, quietly)
    steps = sorted((row.number, row.kind.value) for row in await world.rows("job_steps", job.id))
    assert steps[0] == (0, StepKind.PROMPT.value)
    assert len(steps) == 1 + 2 * len(PROPOSE)
    ledger = await world.rows("ledger", job.id)
    assert [row.is_settled for row in ledger] == [True] * len(PROPOSE)


async def test_what_earlier_attempts_spent_counts(world: World, stack: Stack, job: ClaimedJob) -> None:
    async with world.database.write() as connection:
        await connection.execute(
            insert(tables.ledger).values(
                id="01SPENT",
                job_id=job.id,
                organization_id=job.organization_id,
                model="m",
                reserved_micro_usd=2_999_999,
                is_settled=False,
                created_at=world.clock.now(),
            )
        )
    outcome = await stack.work.run(job, quietly)
    assert (outcome.cause, outcome.steps) == (Cause.BUDGET, 0)
    assert not world.model.requests


# ── what it cannot stand on ──────────────────────────────────────────────────────────────────────
async def test_an_archived_repository_takes_no_change(world: World, stack: Stack, job: ClaimedJob) -> None:
    world.forge.world.repository(REPOSITORY).is_archived = True
    with pytest.raises(Permanent, match="unarchive it"):
        await stack.work.run(job, quietly)


async def test_a_repository_without_a_commit_is_told_so(world: World, stack: Stack, job: ClaimedJob) -> None:
    world.forge.world.repository(REPOSITORY).default_branch = "nowhere"
    with pytest.raises(Permanent, match="push a first commit"):
        await stack.work.run(job, quietly)


@pytest.mark.parametrize(
    ("status", "error"), [(404, Uninstalled), (422, Invalid), (503, RetryLater), (429, RetryLater)]
)
async def test_a_token_that_is_not_given_ends_the_work_before_it_began(
    world: World, stack: Stack, job: ClaimedJob, status: int, error: type[Exception]
) -> None:
    world.forge.faults.add("POST", "/access_tokens$", Reply(status))
    with pytest.raises(error):
        await stack.work.run(job, quietly)
    assert not world.space.checkouts


# ── the real workspace ───────────────────────────────────────────────────────────────────────────
async def test_the_work_on_a_real_checkout_with_the_real_tool_host(
    world: World, stack: Stack, job: ClaimedJob, tmp_path: Path
) -> None:
    real = Workspace(tmp_path / "workspace", git_url=world.forge.git_url, verify_timeout_seconds=60.0)
    await world.forge.commit(REPOSITORY, "main", {CONFIG_PATH: "verify: grep -q woof dog.py\n"}, "maria")

    outcome = await replace(stack.work, workspace=real).run(job, quietly)

    (change,) = outcome.changes
    assert (change.path, change.content) == ("dog.py", FIXED)
    status = await real.sandbox_status()
    assert [record.command.tier for record in outcome.records] == [status.tier] * 2
    assert not any((tmp_path / "workspace" / "jobs").iterdir())

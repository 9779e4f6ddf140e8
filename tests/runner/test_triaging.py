"""A small model looks at each request once; what it says is checked, kept, and may end with a question."""

import json
from typing import Any

import pytest
from sqlalchemy import ColumnElement, Table, select, update

from bot.db import again
from bot.db.tables import agent_issues, agent_jobs, job_origins, ledger, verifications
from bot.domain.budget import Budgets
from bot.domain.enums import Cause, IssueType, Purpose
from bot.domain.values import ModelReply, ModelRequest, Scope, Usage
from bot.errors import RetryLater
from bot.runner import base as bases
from tests.runner.conftest import ANSWER, PROPOSE, World, attempt
from tests.runner.stands import PlayedModel, call
from tests.triage.conftest import opinion

LOOK = opinion(complexity=2, module="dog.py")
QUESTION = {
    **LOOK,
    "ready": False,
    "missing": ["which sound"],
    "question": "Which sound should the dog make?",
}


class Looking(PlayedModel):
    """A model that answers looks with *look*, and all else by its turns."""

    def __init__(self, look: Any, *turns: Any) -> None:
        super().__init__(*turns)
        self.look = look
        self.looks: list[ModelRequest] = []

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        if request.output_schema is None:
            return await super().complete(request, timeout_seconds=timeout_seconds)
        self.looks.append(request)
        if isinstance(self.look, Exception):
            raise self.look
        text = self.look if isinstance(self.look, str) else json.dumps(self.look)
        usage = Usage(input_tokens=900, output_tokens=200)
        return ModelReply([{"type": "text", "text": text}], "end_turn", usage, request.model)


def looking(world: World, look: Any, *turns: Any) -> Looking:
    """Put such a model in the place of the world's."""
    model = Looking(look, *(turns or PROPOSE))
    world.model, world.is_triaging = model, True
    return model


async def row_of(world: World, table: Table, where: ColumnElement[bool]) -> Any:
    async with world.database.read() as connection:
        return (await connection.execute(select(table).where(where))).one()


async def run(world: World, job_id: str) -> Any:
    """One attempt by a worker that is made now, with the world's model."""
    async with world.stack("w1") as stack:
        return await attempt(world, stack, job_id)


async def test_a_look_chooses_model_and_agent_and_is_kept(world: World, job_id: str) -> None:
    model = looking(world, LOOK)
    facts = await run(world, job_id)

    assert facts.cause is Cause.PULL_REQUEST
    job = await row_of(world, agent_jobs, agent_jobs.c.id == job_id)
    assert (job.agent_type, job.model) == ("code.fix", "haiku")
    assert model.requests[0].model == "claude-haiku-5-5"
    origin = await row_of(world, job_origins, job_origins.c.job_id == job_id)
    assert (origin.triage["module"], origin.triage["complexity"]) == ("dog.py", 2)
    issue = await row_of(world, agent_issues, agent_issues.c.id == job.issue_id)
    assert issue.type is IssueType.BUG
    paid = await row_of(world, ledger, ledger.c.purpose == Purpose.TRIAGE)
    assert paid.is_settled
    assert 0 < paid.settled_micro_usd < 10_000


async def test_what_is_missing_is_asked_before_anything_is_checked_out(world: World, job_id: str) -> None:
    model = looking(world, QUESTION)
    facts = await run(world, job_id)

    assert facts.cause is Cause.QUESTION_ASKED
    assert (world.space.checkouts, model.requests) == ([], [])
    (comment,) = world.said(job_id)
    assert "Which sound should the dog make?" in comment


async def test_the_question_is_asked_though_the_worker_died_when_the_look_was_kept(
    world: World, job_id: str
) -> None:
    model = looking(world, QUESTION)
    async with world.stack("w1") as stack:
        job = await stack.claim(job_id)
        assert job is not None
        async with stack.work.reading(job) as loan:
            api = stack.app.repository(job.repository.full_name, loan)
            base = await bases.read(api, job.repository, stack.work.registry, sha=None)
        await stack.work.triaging.done(job, base)
        await stack.runner._hand_back(job, "killed")
        facts = await attempt(world, stack, job_id)
    assert (facts.cause, len(model.looks)) == (Cause.QUESTION_ASKED, 1)
    assert model.requests == []


async def test_a_request_is_asked_one_such_question_at_most(world: World, job_id: str) -> None:
    looking(world, QUESTION)
    await run(world, job_id)
    async with world.database.write() as connection:
        made = await again.again(
            Scope.system(),
            connection,
            job_id,
            authority="operator",
            trigger_key="retry:1",
            now=world.clock.now(),
        )
    facts = await run(world, made.job_id)
    assert facts.cause is Cause.PULL_REQUEST


@pytest.mark.parametrize(
    "look",
    [
        "no JSON at all",
        {**LOOK, "agent": "root.shell"},
        {**LOOK, "confidence": 7},
        {**LOOK, "run": "rm -rf /"},
        RetryLater("away", cause=Cause.MODEL_ERROR, after_seconds=600, is_away=True),
    ],
)
async def test_without_a_sound_look_the_rules_stand(world: World, job_id: str, look: Any) -> None:
    looking(world, look)
    facts = await run(world, job_id)
    assert facts.cause is Cause.PULL_REQUEST
    job = await row_of(world, agent_jobs, agent_jobs.c.id == job_id)
    assert (job.agent_type, job.model) == ("code.fix", "sonnet")


async def test_an_attempt_that_goes_on_does_not_look_again(world: World, job_id: str) -> None:
    model = looking(world, LOOK, PROPOSE[0], RetryLater("cut off", cause=Cause.MODEL_ERROR), PROPOSE[2])
    facts = await run(world, job_id)
    assert facts.waits_seconds is not None
    model.turns[1] = PROPOSE[1]
    world.clock.advance(facts.waits_seconds)
    facts = await run(world, job_id)
    assert facts.cause is Cause.PULL_REQUEST
    assert len(model.looks) == 1
    asked = [sum(one["role"] == "assistant" for one in request.messages) for request in model.requests]
    assert asked.count(0) == 1


async def test_an_agent_that_answers_opens_no_pull_request_and_tries_nothing(
    world: World, job_id: str
) -> None:
    await _ask(world, job_id)
    looking(world, {**LOOK, "type": "QUESTION", "agent": "meta.research"}, *ANSWER)
    facts = await run(world, job_id)
    assert facts.cause is Cause.ANSWERED
    assert not world.asked("POST", "/git/trees")
    async with world.database.read() as connection:
        assert (await connection.execute(select(verifications))).all() == []


async def test_a_budget_that_is_used_up_ends_the_job_before_anything_is_asked(
    world: World, job_id: str
) -> None:
    model = looking(world, LOOK)
    world.budgets = Budgets(user_day=9_000)
    facts = await run(world, job_id)
    assert facts.cause is Cause.BUDGET
    assert (model.looks, model.requests, world.space.checkouts) == ([], [], [])
    (comment,) = world.said(job_id)
    assert "budget" in comment.lower()


async def test_the_tree_s_rules_reach_the_tool_host(world: World, job_id: str) -> None:
    await world.forge.commit(
        "octo/pets", "main", {".github/issuewright.yml": "verify: check\nexclude: secret/**\n"}, "maria"
    )
    await run(world, job_id)
    assert world.space.options == [{"exclude": ["secret/**"], "guidance": "trusted"}]


async def _ask(world: World, job_id: str) -> None:
    """Make it a job of the verb ask."""
    async with world.database.write() as connection:
        origin = update(job_origins).where(job_origins.c.job_id == job_id)
        await connection.execute(origin.values(verb="ask"))
        job = update(agent_jobs).where(agent_jobs.c.id == job_id)
        await connection.execute(job.values(agent_type="meta.research"))


async def test_work_that_has_begun_is_brought_to_its_end_though_a_budget_is_used_up_since(
    world: World, job_id: str
) -> None:
    turns = [PROPOSE[0], RetryLater("cut off", cause=Cause.MODEL_ERROR), PROPOSE[2]]
    model = looking(world, LOOK, *turns)
    facts = await run(world, job_id)
    assert facts.waits_seconds is not None
    model.turns[1] = [call("post_analysis", text="Half of it."), call("finish", summary="Half.")]
    world.clock.advance(facts.waits_seconds)
    world.budgets = Budgets(user_day=1)
    facts = await run(world, job_id)
    assert facts.cause is Cause.BUDGET
    assert len(world.space.checkouts) == 2

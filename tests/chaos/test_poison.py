"""Jobs that kill every worker that takes them up (R-20): set aside after three deaths; the others go on."""

from dataclasses import dataclass, field, replace

from sqlalchemy import exists, select

from bot.db.schedule import MAX_CRASHES_WITHOUT_PROGRESS
from bot.db.tables import agent_issues, agent_jobs, job_runs
from bot.domain.enums import Cause, JobStatus, OperationKind
from bot.domain.values import ModelReply, ModelRequest
from tests.chaos.boundaries import after_death, live_and_die
from tests.chaos.fuse import Fuse, PowerCut
from tests.chaos.kinds import ONE_COMMENT, ONE_PULL
from tests.chaos.oracle import Asked, verdict
from tests.runner.conftest import REPOSITORY, World, text_of
from tests.runner.shop import HandBell, label_an_issue

POISONED, SOUND = 10, 3
SET_ASIDE = replace(ONE_COMMENT, causes=frozenset({Cause.BUG}), may_fail=frozenset({OperationKind.BRANCH}))


@dataclass
class PoisonedModel:
    """Its answer to some prompts is the end of the worker that asked; to the others it comes after those."""

    world: World
    fuse: Fuse = field(default_factory=Fuse)

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        content = request.messages[0]["content"]
        words = content if isinstance(content, str) else text_of(content)
        if "Poison" in words:
            self.fuse.is_blown = True
            raise PowerCut("poison")
        while await self._is_a_poison_at_work():
            continue
        return await self.world.model.complete(request, timeout_seconds=timeout_seconds)

    async def _is_a_poison_at_work(self) -> bool:
        """Whether a job that will end the worker is beside the one that asked."""
        poison = exists().where(
            agent_issues.c.title.like("Poison%"),
            agent_issues.c.id == agent_jobs.c.issue_id,
            agent_jobs.c.status == JobStatus.RUNNING,
            job_runs.c.job_id == agent_jobs.c.id,
            job_runs.c.crashes_without_progress < MAX_CRASHES_WITHOUT_PROGRESS,
        )
        async with self.world.database.read() as connection:
            return bool(await connection.scalar(select(poison)))


async def test_ten_jobs_that_kill_their_workers_end_in_words_and_the_others_as_they_should(
    world: World,
) -> None:
    world.served = model = PoisonedModel(world)
    asked = []
    for number in range(POISONED):
        asked.append(Asked(REPOSITORY, await label_an_issue(world, f"Poison {number}"), SET_ASIDE))
        if number < SOUND:
            asked.append(Asked(REPOSITORY, await label_an_issue(world), ONE_PULL))
    deaths = 0
    while True:
        model.fuse = Fuse()
        await live_and_die(world, model.fuse, HandBell())
        if not model.fuse.is_blown:
            break
        deaths += 1
        await after_death(world)
    # The first attempt of each records the prompt: that is a step, and repeating it is none.
    assert deaths <= POISONED * (MAX_CRASHES_WITHOUT_PROGRESS + 1)
    assert not (await verdict(world.database, world.forge, asked)).all

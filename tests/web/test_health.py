"""How things are: for a process manager, a load balancer, and people."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from bot import __version__
from bot.db.chores import ChoreFacts
from bot.domain.enums import PauseKind, Tier
from bot.web.deps import Facts, WebDeps, WorkerFacts
from bot.web.health import Health, check_all, worst
from tests.fakes import ManualClock
from tests.web.conftest import Site, stale, worker

SILENCE = timedelta(seconds=30)


def judged(clock: ManualClock, *workers: WorkerFacts, is_enabled: bool = True) -> dict[str, str]:
    """The state of each check, with *workers* in the table."""
    facts = Facts(workers, pending=0, running=0, failed_last_hour=0)
    checks = check_all(facts, now=clock.now(), silence=SILENCE, is_enabled=is_enabled)
    return {name: check.status.value for name, check in checks.items()} | {"all": worst(checks).value}


async def get(site: Site, path: str) -> tuple[int, Any]:
    async with site.client.get(path) as response:
        return response.status, await response.json()


async def test_a_live_process_says_so_whatever_the_database_does(site: Site) -> None:
    site.status.known = None
    assert await get(site, "/healthz") == (200, {"status": "ok"})


async def test_ready_means_that_the_database_answers(site: Site) -> None:
    assert await get(site, "/readyz") == (200, {"status": "ready"})
    site.status.known = None
    assert await get(site, "/readyz") == (503, {"error": "the database does not answer"})


async def test_all_well_is_200_and_everything_stands_in_the_answer(site: Site) -> None:
    code, said = await get(site, "/api/agents/health")
    assert code == 200
    assert said == {
        "status": "healthy",
        "version": __version__,
        "checks": {
            "database": {"status": "healthy", "message": ""},
            "queue": {"status": "healthy", "message": "1 at work"},
            "model": {"status": "healthy", "message": ""},
            "github": {"status": "healthy", "message": ""},
            "sandbox": {"status": "healthy", "message": ""},
            "upkeep": {"status": "healthy", "message": ""},
        },
        "stats": {"pending": 2, "running": 1, "failedLastHour": 0, "queue": {"waiting": 2}},
        "timestamp": "2026-11-22T12:00:00.000Z",
    }


async def test_without_the_database_everything_is_unhealthy_in_the_same_form(site: Site) -> None:
    fine = (await get(site, "/api/agents/health"))[1]
    site.status.known = None
    code, said = await get(site, "/api/agents/health")
    assert (code, said["status"]) == (503, "unhealthy")
    assert said.keys() == fine.keys() and said["checks"].keys() == fine["checks"].keys()
    assert said["stats"] == {"pending": 0, "running": 0, "failedLastHour": 0, "queue": {}}


async def test_degraded_is_503_too(site: Site, clock: ManualClock) -> None:
    assert site.status.known
    site.status.known = replace(site.status.known, workers=(worker(clock, model_word="529 overloaded"),))
    code, said = await get(site, "/api/agents/health")
    assert (code, said["status"]) == (503, "degraded")
    assert said["checks"]["model"] == {"status": "degraded", "message": "529 overloaded"}


async def test_the_worker_s_silence_is_measured_by_the_clock(site: Site) -> None:
    site.clock.advance(31)
    assert (await get(site, "/api/agents/health"))[1]["status"] == "unhealthy"


def test_no_worker_is_unhealthy(clock: ManualClock) -> None:
    states = judged(clock)
    assert (states["database"], states["queue"], states["all"]) == ("healthy", "unhealthy", "unhealthy")


def test_a_silent_worker_counts_as_none(clock: ManualClock) -> None:
    assert judged(clock, stale(clock))["queue"] == "unhealthy"


def test_one_live_worker_beside_a_silent_one_is_enough(clock: ManualClock) -> None:
    assert judged(clock, stale(clock), worker(clock))["all"] == "healthy"


def test_nothing_called_yet_is_healthy(clock: ManualClock) -> None:
    assert judged(clock, worker(clock, model_word=None, github_word=None))["all"] == "healthy"


@pytest.mark.parametrize("field", ["model_word", "github_word"])
def test_trouble_of_one_worker_degrades(clock: ManualClock, field: str) -> None:
    states = judged(clock, worker(clock), worker(clock, **{field: "401 unauthorized"}))
    assert (states[field.removesuffix("_word")], states["all"]) == ("degraded", "degraded")


def test_no_sandbox_degrades(clock: ManualClock) -> None:
    assert judged(clock, worker(clock, sandbox_tier=Tier.NONE))["sandbox"] == "degraded"


def test_a_switched_off_agent_says_so(clock: ManualClock) -> None:
    states = judged(clock, worker(clock), is_enabled=False)
    assert (states["model"], states["all"]) == ("degraded", "degraded")


def test_states_are_ordered_from_good_to_bad() -> None:
    assert [state.value for state in Health] == ["healthy", "degraded", "unhealthy"]


def test_the_default_silence_is_one_lease(deps: WebDeps) -> None:
    assert deps.worker_silence_seconds == 30.0


def queue_check(
    clock: ManualClock, *workers: WorkerFacts, paused: tuple[PauseKind, ...] = ()
) -> tuple[str, str]:
    """State and words of the queue."""
    facts = Facts(workers, pending=0, running=0, failed_last_hour=0, paused=paused)
    check = check_all(facts, now=clock.now(), silence=SILENCE, is_enabled=True)["queue"]
    return check.status.value, check.message


def test_a_redis_in_trouble_is_degraded_in_the_workers_words(clock: ManualClock) -> None:
    lame = replace(worker(clock), queue_word="Redis cannot be reached")
    assert queue_check(clock, lame, lame) == ("degraded", "Redis cannot be reached")
    assert queue_check(clock, replace(lame, queue_word="ok")) == ("healthy", "1 at work")


def test_what_is_paused_is_counted_and_everything_paused_is_degraded(clock: ManualClock) -> None:
    some = (PauseKind.REPOSITORY, PauseKind.ORGANIZATION, PauseKind.REPOSITORY)
    assert queue_check(clock, worker(clock), paused=some) == (
        "healthy",
        "1 at work; paused: organizations 1, repositories 2",
    )
    state, words = queue_check(clock, worker(clock), paused=(*some, PauseKind.EVERYTHING))
    assert state == "degraded"
    assert words.startswith("everything is paused")


def upkeep_check(clock: ManualClock, failures: int, ended_at: datetime | None) -> tuple[str, str]:
    """State and words of the upkeep with one chore."""
    chores = (ChoreFacts("sweep", clock.now(), ended_at, "GitHub is away", failures),)
    facts = Facts((worker(clock),), pending=0, running=0, failed_last_hour=0, chores=chores)
    check = check_all(facts, now=clock.now(), silence=SILENCE, is_enabled=True)["upkeep"]
    return check.status.value, check.message


def test_a_chore_that_fails_again_and_again_is_degraded(clock: ManualClock) -> None:
    then = clock.now() - timedelta(minutes=20)
    assert upkeep_check(clock, 2, then) == ("healthy", "")
    said = "sweep has failed 3 times in a row; it last went well 1200 s ago"
    assert upkeep_check(clock, 3, then) == ("degraded", said)
    said = "sweep has failed 3 times in a row, and has never gone well"
    assert upkeep_check(clock, 3, None) == ("degraded", said)

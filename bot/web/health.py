"""How things are: for a process manager, for a load balancer, and for people."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from aiohttp import web

from bot import __version__
from bot.db.chores import ChoreFacts
from bot.domain.enums import PauseKind, Tier
from bot.web.answers import Refused, answer
from bot.web.deps import DEPS, Facts, WorkerFacts

# What a worker writes into its row after a call that went well.
WORD_OK = "ok"
# One failure or two pass by themselves: GitHub was away for a moment.
FAILURES_THAT_MATTER = 3
PAUSED_NAMES = {PauseKind.ORGANIZATION: "organizations", PauseKind.REPOSITORY: "repositories"}


class Health(StrEnum):
    """How well something does; the order is from good to bad."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class Check:
    """One checked thing, with a sentence for people where there is something to say."""

    status: Health
    message: str = ""


async def is_alive(_request: web.Request) -> web.Response:
    """`GET /healthz`: this process answers; asks nobody else."""
    return answer(HTTPStatus.OK, {"status": "ok"})


async def is_ready(request: web.Request) -> web.Response:
    """`GET /readyz`: deliveries can be stored.

    Raises:
        Refused: 503 when the database does not answer.
    """
    if not await request.app[DEPS].status.is_ready():
        raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer")
    return answer(HTTPStatus.OK, {"status": "ready"})


async def agents_health(request: web.Request) -> web.Response:
    """`GET /api/agents/health`: 200 only when everything is healthy, else 503 with the same body."""
    deps = request.app[DEPS]
    now = deps.clock.now()
    facts = await deps.status.facts()
    silence = timedelta(seconds=deps.worker_silence_seconds)
    checks = check_all(facts, now=now, silence=silence, is_enabled=deps.is_agent_enabled)
    overall = worst(checks)
    status = HTTPStatus.OK if overall is Health.HEALTHY else HTTPStatus.SERVICE_UNAVAILABLE
    return answer(status, _body(overall, checks, facts, now))


def check_all(
    facts: Facts | None, *, now: datetime, silence: timedelta, is_enabled: bool
) -> Mapping[str, Check]:
    """Judge everything by what stands in the database; a worker silent for *silence* counts as gone."""
    if facts is None:
        unknown = Check(Health.UNHEALTHY, "not known without the database")
        others = dict.fromkeys(("queue", "model", "github", "sandbox", "upkeep"), unknown)
        return {"database": Check(Health.UNHEALTHY, "it does not answer"), **others}
    live = [worker for worker in facts.workers if now - worker.heartbeat_at <= silence]
    return {
        "database": Check(Health.HEALTHY),
        "queue": _queue(live, facts.paused),
        "model": _model(live, is_enabled=is_enabled),
        "github": _last_words([worker.github_word for worker in live]),
        "sandbox": _sandbox(live),
        "upkeep": _upkeep(facts.chores, now),
    }


def worst(checks: Mapping[str, Check]) -> Health:
    """The overall state: that of the worst check."""
    order = list(Health)
    return max((check.status for check in checks.values()), key=order.index)


def _queue(live: Sequence[WorkerFacts], paused: Sequence[PauseKind]) -> Check:
    """Work gets done as long as one worker lives, its queue carries, and not everything is paused.

    What is paused is counted, never named: everybody may read this.
    """
    if not live:
        return Check(Health.UNHEALTHY, "no worker is running; start `issuewright worker`")
    trouble = sorted(
        {worker.queue_word for worker in live if worker.queue_word not in (None, WORD_OK)}, key=str
    )
    if PauseKind.EVERYTHING in paused:
        trouble.append("everything is paused; `issuewright unpause` ends it")
    if trouble:
        return Check(Health.DEGRADED, "; ".join(map(str, trouble)))
    counted = [f"{name} {paused.count(kind)}" for kind, name in PAUSED_NAMES.items() if kind in paused]
    words = f"{len(live)} at work"
    return Check(Health.HEALTHY, f"{words}; paused: {', '.join(counted)}" if counted else words)


def _model(live: Sequence[WorkerFacts], *, is_enabled: bool) -> Check:
    """The last word of the model, or that it is not asked."""
    if not is_enabled:
        return Check(Health.DEGRADED, "AGENT_ENABLED is false: deliveries are stored, no job is started")
    return _last_words([worker.model_word for worker in live])


def _last_words(words: Sequence[str | None]) -> Check:
    """Healthy when every live worker's last call went well, or was not made yet."""
    trouble = sorted({word for word in words if word not in (None, WORD_OK)}, key=str)
    if not words:
        return Check(Health.UNHEALTHY, "no worker is running")
    if trouble:
        return Check(Health.DEGRADED, "; ".join(map(str, trouble)))
    return Check(Health.HEALTHY, "" if WORD_OK in words else "not called yet")


def _sandbox(live: Sequence[WorkerFacts]) -> Check:
    """Whether repository tests can run."""
    if not live:
        return Check(Health.UNHEALTHY, "no worker is running")
    without = [worker.sandbox_reason for worker in live if worker.sandbox_tier is Tier.NONE]
    if without:
        return Check(Health.DEGRADED, without[0] or "tests of repositories do not run")
    return Check(Health.HEALTHY)


def _upkeep(chores: Sequence[ChoreFacts], now: datetime) -> Check:
    """Whether what has to be done again and again goes well; why it fails stands in the log."""
    trouble = [_words_on(chore, now) for chore in chores if chore.failures >= FAILURES_THAT_MATTER]
    return Check(Health.DEGRADED, "; ".join(trouble)) if trouble else Check(Health.HEALTHY)


def _words_on(chore: ChoreFacts, now: datetime) -> str:
    """How a chore that fails stands."""
    failed = f"{chore.name} has failed {chore.failures} times in a row"
    if chore.ended_at is None:
        return f"{failed}, and has never gone well"
    return f"{failed}; it last went well {max(0, round((now - chore.ended_at).total_seconds()))} s ago"


def _body(overall: Health, checks: Mapping[str, Check], facts: Facts | None, now: datetime) -> dict[str, Any]:
    """The answer in the form of the API."""
    known = facts or Facts((), 0, 0, 0)
    return {
        "status": overall.value,
        "version": __version__,
        "checks": {
            name: {"status": check.status.value, "message": check.message} for name, check in checks.items()
        },
        "stats": {
            "pending": known.pending,
            "running": known.running,
            "failedLastHour": known.failed_last_hour,
            "queue": dict(known.queue),
        },
        "timestamp": now.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
    }

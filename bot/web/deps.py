"""What the web application needs of the rest, as small protocols and values."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from aiohttp import web

from bot.config import Secret
from bot.db.chores import ChoreFacts
from bot.db.deliveries import Accepted, IncomingDelivery
from bot.db.figures import Figures
from bot.domain.clock import Clock
from bot.domain.enums import PauseKind, Tier


class Inbox(Protocol):
    """Where deliveries become durable."""

    async def store(self, delivery: IncomingDelivery) -> Accepted:
        """Commit *delivery*, or find the one that came before.

        Raises:
            RetryLater: It cannot be stored now.
        """


@dataclass(frozen=True, slots=True)
class WorkerFacts:
    """The last word of one worker; the words on model, GitHub and queue are None before the first call."""

    version: str
    heartbeat_at: datetime
    sandbox_tier: Tier
    sandbox_reason: str = ""
    model_word: str | None = None
    github_word: str | None = None
    queue_word: str | None = None


@dataclass(frozen=True, slots=True)
class Facts:
    """How things stand in the database."""

    workers: tuple[WorkerFacts, ...]
    pending: int
    running: int
    failed_last_hour: int
    queue: Mapping[str, int] = field(default_factory=dict)
    paused: tuple[PauseKind, ...] = ()
    chores: tuple[ChoreFacts, ...] = ()


class FigureSource(Protocol):
    """Where /metrics gets its figures; `took_seconds` is how long the last collection took."""

    took_seconds: float

    async def figures(self) -> Figures | None:
        """What is known, at most a few seconds old; None while the database does not answer; never raises."""


class Status(Protocol):
    """What the database knows about the rest of the product."""

    async def is_ready(self) -> bool:
        """Whether the database answers; never raises."""

    async def facts(self) -> Facts | None:
        """How things stand, or None when the database does not answer; never raises."""


@dataclass(frozen=True, slots=True)
class WebDeps:
    """Everything that the web application is given.

    A worker whose heartbeat is older than `worker_silence_seconds` counts as gone.
    """

    inbox: Inbox
    status: Status
    ring: Callable[[], None]
    clock: Clock
    webhook_secrets: tuple[Secret, ...]
    is_agent_enabled: bool = True
    is_pulling: bool = False
    worker_silence_seconds: float = 30.0
    figures: FigureSource | None = None
    metrics_token: Secret | None = None


DEPS = web.AppKey("deps", WebDeps)

"""Which chores there are, how often each is due, and how long a turn of it may take."""

from collections.abc import Awaitable, Callable
from typing import Final

from bot.config import Settings
from bot.db.database import Database
from bot.db.deliveries import Accepted, IncomingDelivery
from bot.domain.clock import Clock
from bot.github.app import GitHubApp
from bot.github.listing import Listing
from bot.github.log import DeliveryLog
from bot.intake.installed import InstalledCheck
from bot.intake.sweep import PULL_OVERLAP, SWEEP_OVERLAP, Sweep
from bot.publish.recheck import Recheck
from bot.runner.chores import Chore, Turn
from bot.runner.reconcile_pulls import PullsCheck
from bot.runner.reconcile_rows import RowsCheck
from bot.runner.retention import Retention

RETENTION_SECONDS: Final = 3_600.0
LONG_SECONDS: Final = 300.0
SHORT_SECONDS: Final = 120.0


def chores_of(
    settings: Settings,
    *,
    database: Database,
    app: GitHubApp,
    clock: Clock,
    store: Callable[[IncomingDelivery], Awaitable[Accepted]],
    is_handled: Callable[[str, str | None], bool],
    recheck: Recheck,
) -> tuple[Chore, ...]:
    """All chores of a worker with *settings*."""
    sweep = Sweep(
        database=database,
        log=DeliveryLog(app),
        store=store,
        is_handled=is_handled,
        clock=clock,
        app_id=settings.github_app_id or 0,
        overlap=PULL_OVERLAP if settings.is_pulling else SWEEP_OVERLAP,
    )
    pulls = PullsCheck(database, app, clock)
    rows = RowsCheck(database, clock, settings.lease_seconds)
    installed = InstalledCheck(database, app, Listing(app), clock)
    retention = Retention(
        database, clock, settings.keep_payloads_days, settings.keep_steps_days, settings.keep_logs_days
    )
    sweep_seconds = settings.pull_seconds if settings.is_pulling else settings.sweep_seconds
    compare_seconds = settings.reconcile_seconds
    return (
        Chore("sweep", sweep_seconds, LONG_SECONDS, _with_state(sweep.run)),
        Chore("rows", compare_seconds, SHORT_SECONDS, _plain(rows.run_once)),
        Chore("doubles", compare_seconds, LONG_SECONDS, _plain(recheck.run_once)),
        Chore("pulls", compare_seconds, LONG_SECONDS, _with_state(pulls.run)),
        Chore("installations", compare_seconds, LONG_SECONDS, _plain(installed.run_once)),
        Chore("retention", RETENTION_SECONDS, LONG_SECONDS, _plain(retention.run_once)),
    )


def _plain(run_once: Callable[[], Awaitable[object]]) -> Callable[[Turn], Awaitable[None]]:
    """A chore that remembers nothing."""

    async def work(_: Turn) -> None:
        await run_once()

    return work


def _with_state(
    run: Callable[..., Awaitable[object]],
) -> Callable[[Turn], Awaitable[None]]:
    """A chore that goes on where it was."""

    async def work(turn: Turn) -> None:
        await run(turn.state, turn.keep)

    return work

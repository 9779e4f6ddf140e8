"""How long GitHub wants us to be silent, on both databases: one row for all workers."""

import asyncio
import threading
from datetime import timedelta
from pathlib import Path

import pytest

from bot.db import limits
from bot.db.database import Database
from bot.db.limits import StoredLimits
from bot.domain.ports import Rate
from bot.domain.values import Scope
from bot.errors import Forbidden, RateLimited, Uninstalled
from tests.db.rows import make_tenant
from tests.fakes import ManualClock


async def test_what_one_worker_learns_every_other_obeys_until_the_time_has_come(database: Database) -> None:
    clock = ManualClock()
    one, other = StoredLimits(database, clock), StoredLimits(database, clock)
    assert await one.limited(5, 30.0) == 30.0
    with pytest.raises(RateLimited) as caught:
        await other.admit(5)
    assert caught.value.after_seconds == 30.0
    await other.admit(6)
    await other.admit(0)
    clock.advance(30.0)
    await other.admit(5)


async def test_of_many_who_meet_a_limit_at_once_the_longest_wait_counts(database: Database) -> None:
    met = StoredLimits(database, ManualClock())
    await asyncio.gather(*(met.limited(5, seconds) for seconds in (None, 90.0, 30.0, None, 61.0)))
    with pytest.raises(RateLimited) as caught:
        await met.admit(5)
    assert caught.value.after_seconds == 90.0


async def test_an_installation_that_is_lost_is_closed_until_github_shows_it_again(database: Database) -> None:
    installation_id = (await make_tenant(database)).installation_id
    known = StoredLimits(database, ManualClock())
    for is_gone, error in ((False, Forbidden), (True, Uninstalled)):
        await known.lost(installation_id, is_gone=is_gone)
        await known.lost(installation_id, is_gone=is_gone)
        with pytest.raises(error):
            await known.admit(installation_id)
        await known.found(installation_id)
        await known.found(installation_id)
        await known.admit(installation_id)


async def test_a_limit_long_after_the_last_one_begins_with_a_minute_again(database: Database) -> None:
    clock = ManualClock()
    met = StoredLimits(database, clock)
    assert await met.limited(5, None) == 60.0
    clock.advance(60.0)
    assert await met.limited(5, None) == 120.0
    clock.advance(120.0 + timedelta(hours=1).total_seconds())
    assert await met.limited(5, None) == 60.0


async def test_a_database_that_is_away_costs_the_figures_and_no_call(tmp_path: Path) -> None:
    threads = set(threading.enumerate())
    clock, away = ManualClock(), Database(f"sqlite+aiosqlite:///{tmp_path / 'none' / 'here.db'}")
    await StoredLimits(away, clock).note(5, Rate(5000, 4000, clock.now()))
    await away.close()
    # The driver's thread of a connection that failed has a last word for this loop.
    for thread in set(threading.enumerate()) - threads:
        await asyncio.to_thread(thread.join, 10)


async def test_limits_belong_to_no_tenant(database: Database) -> None:
    async with database.read() as connection:
        with pytest.raises(ValueError, match="system"):
            await limits.door(Scope("01ORG"), connection, 5)

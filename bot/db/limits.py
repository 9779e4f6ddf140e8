"""How long GitHub wants us to be silent, and how much is left: one row for all workers to obey."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Select, bindparam, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import logs
from bot.db.database import Database
from bot.db.scope import system_only
from bot.db.tables import github_limits, installations
from bot.db.turns import take_turn
from bot.db.upsert import insert_or_update
from bot.domain.backoff import backoff_seconds
from bot.domain.clock import Clock
from bot.domain.ports import APP_ITSELF, Rate
from bot.domain.values import Scope
from bot.errors import Forbidden, RateLimited, Uninstalled
from bot.limits import RATE_LIMIT_MAX_WAIT_SECONDS, RATE_LIMIT_WAIT_SECONDS

log = logs.get(__name__)

# A limit that comes this soon after the last one counts as the same trouble.
REPEATS_WITHIN: Final = timedelta(hours=1)
NOTE_EVERY_SECONDS: Final = 5.0


def _door() -> Select[tuple[Any, ...]]:
    """Built once: it is asked before every call."""
    asked = bindparam("installation", type_=BigInteger)
    limited = bindparam("limited", type_=BigInteger, expanding=True)
    parts = (
        select(func.max(github_limits.c.blocked_until)).where(github_limits.c.installation_id.in_(limited)),
        select(installations.c.suspended_at).where(installations.c.id == asked),
        select(installations.c.deleted_at).where(installations.c.id == asked),
    )
    return select(*(part.scalar_subquery() for part in parts))


_DOOR: Final = _door()


@dataclass(frozen=True, slots=True)
class Door:
    """Whether calls for an installation may be made: the instant until which none may, and its state."""

    blocked_until: datetime | None
    suspended_at: datetime | None
    deleted_at: datetime | None


async def door(
    scope: Scope, connection: AsyncConnection, installation_id: int, *, is_minting: bool = False
) -> Door:
    """What stands in the way of calls for an installation; 0 is the App itself, an unknown one is open.

    Who mints a token for it is also stopped by what stands in the way of the App.
    """
    system_only(scope)
    limited = [installation_id, APP_ITSELF] if is_minting else [installation_id]
    asked = {"installation": installation_id, "limited": limited}
    return Door(*(await connection.execute(_DOOR, asked)).one())


async def block(
    scope: Scope,
    connection: AsyncConnection,
    installation_id: int,
    *,
    after_seconds: float | None,
    now: datetime,
) -> datetime:
    """Close an installation; returns until when. A later end that stands already is kept.

    Without *after_seconds* it is a minute, doubled for each time that it comes again within the hour;
    answers to calls that were on their way when it was closed are no new time.
    """
    system_only(scope)
    await take_turn(connection, f"limit:{installation_id}")
    row = (
        await connection.execute(
            select(github_limits).where(github_limits.c.installation_id == installation_id)
        )
    ).first()
    is_repeated = row is not None and now - row.blocked_until < REPEATS_WITHIN
    strikes: int = row.strikes if row is not None and is_repeated else 0
    if after_seconds is None:
        if row is not None and row.blocked_until > now:
            closed_until: datetime = row.blocked_until
            return closed_until
        after_seconds = backoff_seconds(RATE_LIMIT_WAIT_SECONDS, strikes, RATE_LIMIT_MAX_WAIT_SECONDS)
        strikes += 1
    until = now + timedelta(seconds=after_seconds)
    if row is not None and row.blocked_until > until:
        until = row.blocked_until
    await insert_or_update(
        connection,
        github_limits,
        {"installation_id": installation_id, "blocked_until": until, "strikes": strikes},
        changed=("blocked_until", "strikes"),
    )
    return until


async def note_rate(scope: Scope, connection: AsyncConnection, installation_id: int, rate: Rate) -> None:
    """Keep what GitHub said of the hourly limit."""
    system_only(scope)
    await connection.execute(
        update(installations)
        .where(installations.c.id == installation_id)
        .values(rate_limit=rate.limit, rate_remaining=rate.remaining, rate_reset_at=rate.reset_at)
    )


async def close(
    scope: Scope, connection: AsyncConnection, installation_id: int, *, is_gone: bool, now: datetime
) -> None:
    """Keep that an installation is suspended or, *is_gone*, no more; the first time stays."""
    system_only(scope)
    column = installations.c.deleted_at if is_gone else installations.c.suspended_at
    await connection.execute(
        update(installations)
        .where(installations.c.id == installation_id, column.is_(None))
        .values({column: now, installations.c.updated_at: now})
    )


async def reopen(scope: Scope, connection: AsyncConnection, installation_id: int, *, now: datetime) -> None:
    """GitHub says that an installation is active; the second time changes nothing."""
    system_only(scope)
    await connection.execute(
        update(installations)
        .where(
            installations.c.id == installation_id,
            installations.c.suspended_at.is_not(None) | installations.c.deleted_at.is_not(None),
        )
        .values(suspended_at=None, deleted_at=None, updated_at=now)
    )


@dataclass(frozen=True, slots=True)
class StoredLimits:
    """The `Limits` of every worker: asked before each call, so that none passes what another has learned."""

    database: Database
    clock: Clock
    _noted: dict[int, float] = field(default_factory=dict, init=False)

    async def admit(self, installation_id: int, *, is_minting: bool = False) -> None:
        """Let a call pass, or raise what stands in its way."""
        async with self.database.read() as connection:
            found = await door(Scope.system(), connection, installation_id, is_minting=is_minting)
        if found.deleted_at is not None:
            raise Uninstalled("the App is no longer installed there")
        if found.suspended_at is not None:
            raise Forbidden("the App's installation is suspended")
        left = (found.blocked_until - self.clock.now()).total_seconds() if found.blocked_until else 0.0
        if left > 0:
            raise RateLimited("GitHub asked us to wait", after_seconds=left)

    async def limited(self, installation_id: int, after_seconds: float | None) -> float:
        """Close it for everybody; returns for how many seconds from now."""
        now = self.clock.now()
        async with self.database.write() as connection:
            until = await block(
                Scope.system(), connection, installation_id, after_seconds=after_seconds, now=now
            )
        seconds = (until - now).total_seconds()
        log.warning("github_limit", installation_id=installation_id, wait_seconds=round(seconds, 1))
        return seconds

    async def note(self, installation_id: int, rate: Rate) -> None:
        """Keep what is left, at most every NOTE_EVERY_SECONDS for each installation."""
        now_seconds = self.clock.monotonic()
        last = self._noted.get(installation_id)
        if last is not None and now_seconds - last < NOTE_EVERY_SECONDS:
            return
        self._noted[installation_id] = now_seconds
        try:
            async with self.database.write() as connection:
                await note_rate(Scope.system(), connection, installation_id, rate)
        except (SQLAlchemyError, OSError) as error:
            # It is for the figures alone: the call that it came with has its answer.
            log.warning("rate_not_noted", why=type(error).__name__)

    async def lost(self, installation_id: int, *, is_gone: bool) -> None:
        """Keep that an installation is suspended or no more, so that nobody asks for it again."""
        async with self.database.write() as connection:
            await close(Scope.system(), connection, installation_id, is_gone=is_gone, now=self.clock.now())
        log.warning("installation_lost", installation_id=installation_id, is_gone=is_gone)

    async def found(self, installation_id: int) -> None:
        """It is active, GitHub says: what we missed of its return is made up for."""
        async with self.database.read() as connection:
            stood = await door(Scope.system(), connection, installation_id)
        if stood.suspended_at is None and stood.deleted_at is None:
            return
        async with self.database.write() as connection:
            await reopen(Scope.system(), connection, installation_id, now=self.clock.now())
        log.info("installation_found", installation_id=installation_id)

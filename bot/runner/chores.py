"""Runs the chores: each in its time, by one worker at a time, bounded, and never at the cost of a job."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from bot import logs
from bot.db import chores
from bot.db.chores import ChoreTurn
from bot.db.database import Database
from bot.domain.backoff import backoff_seconds
from bot.domain.clock import Clock
from bot.domain.values import Json, Scope
from bot.errors import IssuewrightError, LeaseLost, RetryLater

log = logs.get(__name__)

LEASE_MARGIN_SECONDS: Final = 15.0
FIRST_RETRY_SECONDS: Final = 5.0
# GitHub's longest wait, the hourly limit: bot.github.faults.MAX_WAIT_SECONDS
MAX_RETRY_SECONDS: Final = 3_900.0
MAX_ERROR_CHARS: Final = 500


@dataclass(frozen=True, slots=True)
class Turn:
    """What a chore is given: what it wrote down before, and the means to write down how far it is."""

    state: Json
    keep: Callable[[Json], Awaitable[None]]
    """Write the state down; raises LeaseLost when another worker has the chore by now."""


@dataclass(frozen=True, slots=True)
class Chore:
    """Something to do every so often; one turn may take `limit_seconds`."""

    name: str
    every_seconds: float
    limit_seconds: float
    work: Callable[[Turn], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class ChoreRunner:
    """Takes the turns that are due. Many workers have one each; the row decides whose turn it is."""

    database: Database
    clock: Clock
    owner: str
    chores: tuple[Chore, ...] = ()

    def loops(self, woken: Callable[[], None]) -> list[Callable[[], Awaitable[None]]]:
        """For each chore what is to be called again and again; *woken* is called after each turn."""
        return [partial(self._once, chore, woken) for chore in self.chores]

    async def _once(self, chore: Chore, woken: Callable[[], None]) -> None:
        """A turn if it is due, and the wait for the next."""
        if await self.turn(chore):
            woken()
        await self.clock.sleep(await self.seconds_until(chore))

    async def turn(self, chore: Chore) -> bool:
        """Do *chore* if it is due and nobody is at it; whether this call did it.

        A chore that fails keeps its error in words and is tried again, later each time; nothing it
        raises comes through. A database that is away raises.
        """
        turn = await self._claim(chore)
        if turn is None:
            return False
        try:
            await self._work(chore, turn)
        except asyncio.CancelledError:
            await asyncio.shield(self._give_back(turn))
            raise
        return True

    async def seconds_until(self, chore: Chore) -> float:
        """How long to wait before it is worth while to look at *chore* again."""
        async with self.database.read() as connection:
            wake_at = await chores.wake_at(Scope.system(), connection, chore.name)
        left = 0.0 if wake_at is None else (wake_at - self.clock.now()).total_seconds()
        return min(max(left, 0.05), chore.every_seconds)

    async def _claim(self, chore: Chore) -> ChoreTurn | None:
        now = self.clock.now()
        lease_seconds = chore.limit_seconds + LEASE_MARGIN_SECONDS
        async with self.database.write() as connection:
            await chores.enroll(Scope.system(), connection, chore.name, now=now)
            return await chores.claim(
                Scope.system(),
                connection,
                chore.name,
                f"{self.owner}:{secrets.token_hex(8)}",
                now=now,
                lease=timedelta(seconds=lease_seconds),
            )

    async def _work(self, chore: Chore, turn: ChoreTurn) -> None:
        async def keep(state: Json) -> None:
            async with self.database.write() as connection:
                await chores.keep(Scope.system(), connection, turn, state, now=self.clock.now())

        began = self.clock.monotonic()
        with logs.bound(chore=chore.name):
            try:
                async with asyncio.timeout(chore.limit_seconds):
                    await chore.work(Turn(turn.state, keep))
            except LeaseLost:
                log.warning("chore_lost")
            except TimeoutError:
                await self._fail(chore, turn, f"it took longer than {chore.limit_seconds:g} s", None)
            except IssuewrightError as error:
                after = error.after_seconds if isinstance(error, RetryLater) else None
                await self._fail(chore, turn, str(error), after)
            except Exception as error:
                # A chore is beside the work: a bug in it is kept and told, and ends nothing else.
                log.exception("chore_crashed")
                await self._fail(chore, turn, f"{type(error).__name__} in our own code", None)
            else:
                await self._end(chore, turn)
                log.debug("chore_done", seconds=round(self.clock.monotonic() - began, 3))

    async def _end(self, chore: Chore, turn: ChoreTurn) -> None:
        now = self.clock.now()
        wake_at = now + timedelta(seconds=chore.every_seconds)
        try:
            async with self.database.write() as connection:
                await chores.end(Scope.system(), connection, turn, wake_at=wake_at, now=now)
        except LeaseLost:
            log.warning("chore_lost")

    async def _fail(self, chore: Chore, turn: ChoreTurn, why: str, after_seconds: float | None) -> None:
        """Keep why, and when to try again: when GitHub says, else later with each failure."""
        most = max(chore.every_seconds, FIRST_RETRY_SECONDS)
        backoff = backoff_seconds(FIRST_RETRY_SECONDS, turn.failures, most)
        seconds = min(max(after_seconds or 0.0, backoff), MAX_RETRY_SECONDS)
        now = self.clock.now()
        log.warning("chore_failed", why=why, failures=turn.failures + 1, wait_seconds=round(seconds, 1))
        try:
            async with self.database.write() as connection:
                await chores.fail(
                    Scope.system(),
                    connection,
                    turn,
                    why[:MAX_ERROR_CHARS],
                    wake_at=now + timedelta(seconds=seconds),
                    now=now,
                )
        except LeaseLost:
            log.warning("chore_lost")

    async def _give_back(self, turn: ChoreTurn) -> None:
        """A worker that stops leaves no lease behind; where that fails, it runs out."""
        try:
            async with self.database.write() as connection:
                await chores.give_back(Scope.system(), connection, turn, now=self.clock.now())
        except (LeaseLost, SQLAlchemyError, OSError) as error:
            log.warning("chore_not_given_back", why=type(error).__name__)

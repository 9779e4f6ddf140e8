"""Acknowledgements and replies that belong to no run: sent by whichever worker is first."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlalchemy.exc import SQLAlchemyError

from bot import logs
from bot.db import mail, operations
from bot.db.database import Database
from bot.db.operations import Operation
from bot.domain.backoff import backoff_seconds
from bot.domain.clock import Clock
from bot.domain.rota import Rota
from bot.domain.values import Scope
from bot.errors import LeaseLost, Permanent, RetryLater
from bot.github.app import GitHubApp
from bot.github.tokens import Loan
from bot.publish.operations import Publisher
from bot.publish.writes import permissions_of

log = logs.get(__name__)

# The writes of one turn. At one a second the next installation has a place within seconds.
BATCH: Final = 5
# A turn begins no write after that, so that it ends within its claim (`bot.db.mail`).
TURN_SECONDS: Final = 20.0
# Installations that are written to at the same time; GitHub lets each have its own 100 requests.
MAX_AT_ONCE: Final = 8
LEFT_SECONDS: Final = 1.0
MAX_BACKOFF_SECONDS: Final = 300.0
# With the longest wait between them a day: a GitHub that is away makes a reply late, not lost.
MAX_ATTEMPTS: Final = 300


class OwnRow:
    """The right to send an operation without a run: its compare-and-set is the whole of it."""

    fence = 0

    async def hold(self, seconds: float) -> None:
        """Nothing can be lost: whoever wins the compare-and-set sends."""


@dataclass(frozen=True, slots=True)
class Outbox:
    """Sends what waits; each failure is kept with its words, and tried again while it may heal.

    A turn is a few writes to one installation, one after the other; one that hangs, or has much to be
    sent, holds up no other.
    """

    database: Database
    app: GitHubApp
    publisher: Publisher
    clock: Clock
    backoff_seconds: float
    _at_work: "dict[int, asyncio.Task[int]]" = field(default_factory=dict, init=False)
    _rota: Rota[int] = field(default_factory=Rota, init=False)

    async def fill(self, when_done: Callable[[], None]) -> int:
        """Begin as many turns as there are free places; returns how many were begun.

        *when_done* is called at the end of each: then there is a place again.
        """
        return len(await self._fill(when_done, without=()))

    async def run_once(self) -> int:
        """One turn for each installation, to its end; returns how many operations were looked at."""
        seen: dict[int, asyncio.Task[int]] = {}
        while (begun := await self._fill(_nothing, without=seen)) or self._at_work:
            seen |= begun
            await asyncio.wait(list(self._at_work.values()), return_when=asyncio.FIRST_COMPLETED)
        return sum([await turn for turn in seen.values()])

    async def close(self) -> None:
        """Stop what is at work and leave it to others; the second time does nothing."""
        turns = list(self._at_work.values())
        for turn in turns:
            turn.cancel()
        await asyncio.gather(*turns, return_exceptions=True)

    async def _fill(
        self, when_done: Callable[[], None], *, without: Collection[int]
    ) -> "dict[int, asyncio.Task[int]]":
        begun: dict[int, asyncio.Task[int]] = {}
        free = MAX_AT_ONCE - len(self._at_work)
        for installation_id in await self._waiting(without) if free else ():
            async with self.database.write() as connection:
                until = await mail.claim(Scope.system(), connection, installation_id, now=self.clock.now())
            if until is not None:
                self._rota.serve(installation_id)
                turn = asyncio.create_task(self._guarded(installation_id, until))
                begun[installation_id] = self._at_work[installation_id] = turn
                turn.add_done_callback(partial(self._leave, installation_id, when_done))
            if len(begun) == free:
                break
        return begun

    async def _waiting(self, without: Collection[int]) -> list[int]:
        """Whose turn it is: first whoever was served longest ago, then whoever waits longest."""
        async with self.database.read() as connection:
            found = await mail.waiting(Scope.system(), connection, now=self.clock.now())
        in_turn = sorted(found, key=lambda each: (self._rota.last(each[0]), each[1]))
        return [each for each, _ in in_turn if each not in self._at_work and each not in without]

    def _leave(self, installation_id: int, when_done: Callable[[], None], _turn: "asyncio.Task[int]") -> None:
        del self._at_work[installation_id]
        when_done()

    async def _guarded(self, installation_id: int, until: datetime) -> int:
        """One turn; whatever breaks it ends no other, and a database that is away is waited for."""
        try:
            return await self._turn(installation_id, until)
        except (SQLAlchemyError, OSError) as error:
            log.warning("mail_left", installation_id=installation_id, why=type(error).__name__)
        except Exception:
            log.exception("mail_crashed", installation_id=installation_id)
        await self.clock.sleep(LEFT_SECONDS)
        return 0

    async def _turn(self, installation_id: int, until: datetime) -> int:
        """A few writes under the claim until *until*, which is given back at the end."""
        try:
            return await self._installation(installation_id)
        finally:
            async with self.database.write() as connection:
                await mail.release(Scope.system(), connection, installation_id, until=until)

    async def _installation(self, installation_id: int) -> int:
        """What waits for one installation, in order, until something there has to wait."""
        end = self.clock.monotonic() + TURN_SECONDS
        async with self.database.read() as connection:
            waiting = await mail.of_installation(
                Scope.system(), connection, installation_id, now=self.clock.now(), limit=BATCH
            )
        async with AsyncExitStack() as stack:
            loans = await self._loans(installation_id, waiting, stack)
            for looked, operation in enumerate(waiting, start=1):
                goes_on = await self._send(operation, loans[operation.repository_id])
                if not goes_on or self.clock.monotonic() >= end:
                    return looked
        return len(waiting)

    async def _loans(
        self, installation_id: int, waiting: Sequence[Operation], stack: AsyncExitStack
    ) -> dict[int, Loan]:
        """A token for each repository, to be minted when it is first used."""
        loans = {}
        for repository_id in {operation.repository_id for operation in waiting}:
            kinds = [each.kind for each in waiting if each.repository_id == repository_id]
            lent = self.app.lend(installation_id, repository_id, permissions_of(kinds))
            loans[repository_id] = await stack.enter_async_context(lent)
        return loans

    async def _send(self, operation: Operation, loan: Loan) -> bool:
        """One write; whether the installation can be sent the next one at once."""
        try:
            api = self.app.repository(await self.publisher.repository_of(operation), loan)
            await self.publisher.perform(operation, api, OwnRow())
        except LeaseLost:
            log.info("write_left_to_another", key=operation.key)
        except RetryLater as error:
            await self._postpone(operation, error)
            return False
        except Permanent as error:
            await self._give_up(operation, str(error))
        except SQLAlchemyError as error:
            # One that no row can hold must not hold up the others; a database that is away says so again.
            why = f"the database did not take it ({type(error).__name__})"
            await self._postpone(operation, RetryLater(why))
        except Exception as error:
            # A bug of ours in one write must not end the worker at every start: the others go on.
            log.exception("write_crashed", key=operation.key)
            await self._postpone(operation, RetryLater(f"{type(error).__name__} in our own code"))
        return True

    async def _postpone(self, operation: Operation, error: RetryLater) -> None:
        if operation.attempts >= MAX_ATTEMPTS:
            await self._give_up(operation, str(error))
            return
        backoff = backoff_seconds(self.backoff_seconds, operation.attempts, MAX_BACKOFF_SECONDS)
        wait = timedelta(seconds=error.after_seconds or backoff)
        async with self.database.write() as connection:
            await operations.postpone(
                Scope(operation.organization_id),
                connection,
                operation.id,
                str(error),
                wake_at=self.clock.now() + wait,
            )

    async def _give_up(self, operation: Operation, why: str) -> None:
        async with self.database.write() as connection:
            await operations.mark_failed(
                Scope(operation.organization_id), connection, operation.id, why, now=self.clock.now()
            )
        log.warning("write_given_up", key=operation.key, why=why)


def _nothing() -> None:
    """Whoever waits for the turns themselves needs no call."""

"""Acknowledgements and replies that belong to no run: sent by whichever worker is first."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from bot import logs
from bot.db import operations
from bot.db.database import Database
from bot.db.operations import Operation
from bot.domain.backoff import backoff_seconds
from bot.domain.clock import Clock
from bot.domain.values import Scope
from bot.errors import LeaseLost, Permanent, RetryLater
from bot.github.app import GitHubApp
from bot.github.tokens import Loan
from bot.publish.operations import Publisher
from bot.publish.writes import permissions_of

log = logs.get(__name__)

BATCH: Final = 50
# Installations that are written to at the same time; GitHub lets each have its own 100 requests.
MAX_AT_ONCE: Final = 8
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
    """Sends what waits; each failure is kept with its words, and tried again while it may heal."""

    database: Database
    app: GitHubApp
    publisher: Publisher
    clock: Clock
    backoff_seconds: float

    async def run_once(self) -> int:
        """Send what is due; returns how many operations were looked at.

        One after the other for each installation, several installations at once, so that one that hangs
        holds up no other.
        """
        scope = Scope.system()
        async with self.database.read() as connection:
            due = await operations.outbox(scope, connection, now=self.clock.now(), limit=BATCH)
        installations: dict[int, list[Operation]] = {}
        for operation in due:
            installations.setdefault(operation.installation_id, []).append(operation)
        at_once = asyncio.Semaphore(MAX_AT_ONCE)
        sending = [self._installation(each, at_once) for each in installations.values()]
        ends = await asyncio.gather(*sending, return_exceptions=True)
        for error in ends:
            if error is not None:
                raise error
        return len(due)

    async def _installation(self, waiting: Sequence[Operation], at_once: asyncio.Semaphore) -> None:
        """What waits for one installation, in order, with a token for each of its repositories."""
        async with at_once, AsyncExitStack() as stack:
            loans: dict[int, Loan] = {}
            for repository_id in {operation.repository_id for operation in waiting}:
                kinds = [each.kind for each in waiting if each.repository_id == repository_id]
                lent = self.app.lend(waiting[0].installation_id, repository_id, permissions_of(kinds))
                loans[repository_id] = await stack.enter_async_context(lent)
            for operation in waiting:
                await self._send(operation, loans[operation.repository_id])

    async def _send(self, operation: Operation, loan: Loan) -> None:
        try:
            api = self.app.repository(await self.publisher.repository_of(operation), loan)
            await self.publisher.perform(operation, api, OwnRow())
        except LeaseLost:
            log.info("write_left_to_another", key=operation.key)
        except RetryLater as error:
            await self._postpone(operation, error)
        except Permanent as error:
            await self._give_up(operation, str(error))

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

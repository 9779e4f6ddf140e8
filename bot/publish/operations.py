"""Performing frozen operations: look, pace, compare-and-set, send, done; at most one visible effect."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, Protocol

from bot import logs
from bot.db import operations, tenants
from bot.db.database import Database
from bot.db.operations import OPEN_STATES, Operation
from bot.domain.clock import Clock
from bot.domain.enums import OperationState
from bot.domain.values import Scope
from bot.errors import LeaseLost, OutcomeUnknown, Permanent, RetryLater
from bot.github.repository import RepositoryApi
from bot.github.transport import REQUEST_TIMEOUT_SECONDS
from bot.publish.writes import WRITES, Draft, Hand, Remote, Write, referred_keys

log = logs.get(__name__)

LOOK_EVERY_SECONDS: Final = 2.0
MAX_TRIES: Final = 3
MAX_SLOT_TRIES: Final = 100
# The lease must outlive the request that is sent under it.
SEND_SECONDS: Final = REQUEST_TIMEOUT_SECONDS + 1.0


class Lease(Protocol):
    """The right to write: `fence` goes with every write of ours in the database."""

    @property
    def fence(self) -> int:
        """The fence of the owner."""

    async def hold(self, seconds: float) -> None:
        """Make sure that the right outlives *seconds*; raises LeaseLost."""


@dataclass(frozen=True, slots=True)
class Publisher:
    """Sends what was frozen, from the database alone."""

    database: Database
    clock: Clock
    hand: Callable[[], Awaitable[Hand]]
    look_window_seconds: float
    write_pace_seconds: float

    async def perform(self, operation: Operation, api: RepositoryApi, lease: Lease) -> Operation:
        """Bring one operation to DONE and return it; one that is done or failed is returned as it is.

        Raises:
            RetryLater: The outcome is not known yet, or GitHub asks us to wait.
            Permanent: GitHub refused it for good; the operation is FAILED.
            LeaseLost: Somebody else owns the job now.
        """
        write = WRITES[operation.kind]
        hand = await self.hand()
        for _ in range(MAX_TRIES):
            if operation.state not in OPEN_STATES:
                return operation
            try:
                draft = await self._draft(operation)
                remote = await self._look(operation, write, draft, api, hand, lease)
                if remote is None:
                    remote = await self._send(operation, write, draft, api, hand, lease)
            except OutcomeUnknown as error:
                log.warning("write_unknown", key=operation.key, why=str(error))
                operation = await self._reload(operation)
                continue
            except Permanent as error:
                await self._fail(operation, str(error))
                raise
            return await self._done(operation, remote, lease)
        raise RetryLater(f"GitHub gave no clear answer to a {operation.kind.value}")

    async def _look(
        self, operation: Operation, write: Write, draft: Draft, api: RepositoryApi, hand: Hand, lease: Lease
    ) -> Remote | None:
        """Look for the write; one that was sent may become visible until the window has passed."""
        if write.is_idempotent:
            return None
        while True:
            found = await write.look(api, draft, hand)
            if found is not None or operation.state is not OperationState.SENT:
                return found
            sent_at = operation.sent_at or self.clock.now()
            left = (sent_at - self.clock.now()).total_seconds() + self.look_window_seconds
            if left <= 0:
                return None
            await lease.hold(min(LOOK_EVERY_SECONDS, left))
            await self.clock.sleep(min(LOOK_EVERY_SECONDS, left))

    async def _send(
        self, operation: Operation, write: Write, draft: Draft, api: RepositoryApi, hand: Hand, lease: Lease
    ) -> Remote:
        """Wait for the pace, make sure that the lease outlives the request, mark, send."""
        await self._wait_for_slot(operation.installation_id)
        await lease.hold(SEND_SECONDS)
        async with self.database.write() as connection:
            may_send = await operations.mark_sent(
                Scope(operation.organization_id),
                connection,
                operation,
                fence=lease.fence,
                now=self.clock.now(),
            )
        if not may_send:
            raise LeaseLost(operation.key)
        return await write.send(api, draft, hand)

    async def _wait_for_slot(self, installation_id: int) -> None:
        """One write at a time and not faster than the pace, over all workers.

        https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api

        Raises:
            RetryLater: Others were faster each time.
        """
        scope = Scope.system()
        pace = timedelta(seconds=self.write_pace_seconds)
        for _ in range(MAX_SLOT_TRIES):
            now = self.clock.now()
            async with self.database.write() as connection:
                free_at = await tenants.next_write_at(scope, connection, installation_id) or now
                slot = max(now, free_at)
                is_taken = await tenants.reserve_write(
                    scope, connection, installation_id, not_before=slot, next_at=slot + pace
                )
            if is_taken:
                await self.clock.sleep((slot - now).total_seconds())
                return
        raise RetryLater(f"no time to write was to be had in {MAX_SLOT_TRIES} tries")

    async def _draft(self, operation: Operation) -> Draft:
        """The operation with the remote ids that it refers to.

        Raises:
            Permanent: One of those it refers to was never made.
        """
        scope = Scope(operation.organization_id)
        remote_ids: dict[str, int] = {}
        async with self.database.read() as connection:
            for key in referred_keys(operation.payload):
                other = await operations.by_key(scope, connection, key)
                if other is None or other.remote_id is None:
                    raise Permanent(f"a {operation.kind.value} refers to something that was not published")
                remote_ids[key] = other.remote_id
        return Draft(operation.key, operation.payload, remote_ids)

    async def _reload(self, operation: Operation) -> Operation:
        async with self.database.read() as connection:
            found = await operations.by_key(Scope(operation.organization_id), connection, operation.key)
        return found or operation

    async def _done(self, operation: Operation, remote: Remote, lease: Lease) -> Operation:
        scope = Scope(operation.organization_id)
        async with self.database.write() as connection:
            await operations.mark_done(
                scope,
                connection,
                operation.id,
                fence=lease.fence,
                remote_id=remote.id,
                remote_url=remote.url,
                now=self.clock.now(),
            )
        log.info("write_done", key=operation.key, kind=operation.kind.value, remote_id=remote.id)
        return await self._reload(operation)

    async def _fail(self, operation: Operation, why: str) -> None:
        async with self.database.write() as connection:
            await operations.mark_failed(
                Scope(operation.organization_id), connection, operation.id, why, now=self.clock.now()
            )
        log.warning("write_failed", key=operation.key, kind=operation.kind.value, why=why)

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
from bot.domain.enums import OperationKind, OperationState
from bot.domain.values import Scope
from bot.errors import LeaseLost, NotFound, OutcomeUnknown, Permanent, RetryLater
from bot.github.repository import RepositoryApi
from bot.github.transport import REQUEST_TIMEOUT_SECONDS
from bot.publish.drafts import Draft, Hand, Remote, Write, is_too_long
from bot.publish.pace import Pace
from bot.publish.talk import Comment
from bot.publish.writes import WRITES, referred_keys

log = logs.get(__name__)

LOOK_EVERY_SECONDS: Final = 2.0
MAX_TRIES: Final = 3
# GitHub ends a request after 10 seconds; what it had queued by then lands within minutes.
RECHECK_AFTER: Final = timedelta(minutes=5)
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
    hand: Callable[[RepositoryApi], Awaitable[Hand]]
    pace: Pace
    look_window_seconds: float

    async def perform(self, operation: Operation, api: RepositoryApi, lease: Lease) -> Operation:
        """Bring one operation to DONE and return it; one that is done or failed is returned as it is.

        Raises:
            RetryLater: The outcome is not known yet, or GitHub asks us to wait.
            Permanent: GitHub refused it for good; the operation is FAILED.
            LeaseLost: Somebody else owns the job now.
        """
        write, is_short = WRITES[operation.kind], False
        hand = await self.hand(api)
        for _ in range(MAX_TRIES):
            if operation.state not in OPEN_STATES:
                return operation
            try:
                draft = await self._draft(operation, is_short=is_short)
                remote = await self._look(operation, write, draft, api, hand, lease)
                if remote is None:
                    remote = await self._send(operation, write, draft, api, hand, lease)
            except OutcomeUnknown as error:
                log.warning("write_unknown", key=operation.key, why=str(error))
                operation = await self._reload(operation)
                continue
            except Permanent as error:
                if isinstance(error, NotFound) and await self._refers_to_fresh(operation):
                    why = f"GitHub does not show yet what a {operation.kind.value} refers to"
                    raise RetryLater(why) from error
                if is_short or not is_too_long(error):
                    await self._fail(operation, str(error))
                    raise
                log.warning("write_shortened", key=operation.key, why=str(error))
                operation, is_short = await self._reload(operation), True
                continue
            return await self._done(operation, write, remote, lease)
        raise RetryLater(f"GitHub gave no clear answer to a {operation.kind.value}")

    async def repository_of(self, operation: Operation) -> str:
        """The name now (`owner/name`) of the repository that an operation writes to.

        Raises:
            Permanent: The installation no longer serves it.
        """
        scope = Scope(operation.organization_id)
        async with self.database.read() as connection:
            tenant = await tenants.tenant_of(
                scope, connection, operation.installation_id, operation.repository_id
            )
        if tenant is None:
            raise Permanent("the installation no longer serves this repository")
        return tenant.repository.full_name

    async def remove_copies(self, operation: Operation, api: RepositoryApi) -> int:
        """Delete the comments of ours that landed beside the one that *operation* knows; how many.

        Only comments can stand twice: GitHub keeps a branch and its pull request single, and a review
        or a check run cannot be taken away.
        """
        if operation.kind is not OperationKind.COMMENT:
            return 0
        draft = await self._draft(operation)
        found = await Comment().copies(api, draft, await self.hand(api))
        surplus = [one.id for one in found if one.id is not None and one.id != operation.remote_id]
        if len(surplus) == len(found):
            return 0
        for comment_id in surplus:
            await self.pace.wait(operation.installation_id, OperationKind.REACTION)
            await api.delete_comment(comment_id)
            log.warning("copy_removed", key=operation.key, remote_id=comment_id)
        return len(surplus)

    async def _look(
        self, operation: Operation, write: Write, draft: Draft, api: RepositoryApi, hand: Hand, lease: Lease
    ) -> Remote | None:
        """Look for the write; one that was sent may become visible until the window has passed."""
        if write.is_idempotent:
            return None
        # By a clock that is not set back: the sending may stand in the future then, and the end with it.
        since = (self.clock.now() - (operation.sent_at or self.clock.now())).total_seconds()
        end = self.clock.monotonic() + self.look_window_seconds - max(since, 0.0)
        while True:
            found = await write.look(api, draft, hand)
            # What was refused as too long has not landed: there is nothing to wait for.
            if found is not None or operation.state is not OperationState.SENT or draft.is_short:
                return found
            left = end - self.clock.monotonic()
            if left <= 0:
                return None
            await lease.hold(min(LOOK_EVERY_SECONDS, left))
            await self.clock.sleep(min(LOOK_EVERY_SECONDS, left))

    async def _send(
        self, operation: Operation, write: Write, draft: Draft, api: RepositoryApi, hand: Hand, lease: Lease
    ) -> Remote:
        """Wait for the pace, make sure that the lease outlives the request, mark, send."""
        await self.pace.wait(operation.installation_id, operation.kind)
        await api.admit()
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

    async def _draft(self, operation: Operation, *, is_short: bool = False) -> Draft:
        """The operation with the remote ids that it refers to.

        Raises:
            Permanent: One of those it refers to was never made.
        """
        scope = Scope(operation.organization_id)
        remote_ids: dict[str, int] = {}
        found = set()
        async with self.database.read() as connection:
            for key in referred_keys(operation.payload):
                other = await operations.by_key(scope, connection, key)
                if other is None or other.remote_id is None:
                    raise Permanent(f"a {operation.kind.value} refers to something that was not published")
                remote_ids[key] = other.remote_id
                if other.attempts == 0:
                    found.add(key)
        key, payload = operation.key, operation.payload
        return Draft(key, payload, remote_ids, operation.asked_at, is_short, frozenset(found))

    async def _refers_to_fresh(self, operation: Operation) -> bool:
        """Whether what it refers to was made so lately that GitHub may not show it everywhere yet."""
        since = self.clock.now() - timedelta(seconds=self.look_window_seconds)
        async with self.database.read() as connection:
            for key in referred_keys(operation.payload):
                other = await operations.by_key(Scope(operation.organization_id), connection, key)
                if other is not None and other.sent_at is not None and other.sent_at > since:
                    return True
        return False

    async def _reload(self, operation: Operation) -> Operation:
        async with self.database.read() as connection:
            found = await operations.by_key(Scope(operation.organization_id), connection, operation.key)
        return found or operation

    async def _done(self, operation: Operation, write: Write, remote: Remote, lease: Lease) -> Operation:
        """Keep what GitHub calls it; where an earlier request may still land, look again later."""
        scope, now = Scope(operation.organization_id), self.clock.now()
        is_doubtful = operation.attempts > 0 and not write.is_idempotent
        async with self.database.write() as connection:
            await operations.mark_done(
                scope,
                connection,
                operation.id,
                fence=lease.fence,
                remote_id=remote.id,
                remote_url=remote.url,
                now=now,
                recheck_at=now + RECHECK_AFTER if is_doubtful else None,
            )
        log.info("write_done", key=operation.key, kind=operation.kind.value, remote_id=remote.id)
        return await self._reload(operation)

    async def _fail(self, operation: Operation, why: str) -> None:
        async with self.database.write() as connection:
            await operations.mark_failed(
                Scope(operation.organization_id), connection, operation.id, why, now=self.clock.now()
            )
        log.warning("write_failed", key=operation.key, kind=operation.kind.value, why=why)

"""Publishing what was frozen for a job: in order, from the database alone, each write once."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from bot import logs
from bot.db import jobs, operations
from bot.db.database import Database
from bot.db.operations import OPEN_STATES, Frozen, Operation
from bot.db.transcript import Artifact
from bot.domain.clock import Clock
from bot.domain.enums import ArtifactType, Cause, OperationKind, OperationState
from bot.domain.values import ClaimedJob, Scope
from bot.errors import Permanent, RetryLater
from bot.github.app import GitHubApp
from bot.github.repository import RepositoryApi
from bot.publish.operations import Publisher
from bot.publish.writes import permissions_of
from bot.runner import freezing
from bot.runner.lease import JobLease
from bot.runner.outcome import sentence

log = logs.get(__name__)

_CHANGES: Final = frozenset({OperationKind.BRANCH, OperationKind.PULL_REQUEST})


@dataclass(frozen=True, slots=True)
class Refused:
    """The change cannot be published: the cause that the job gets instead, and why in words."""

    cause: Cause
    sentence: str


@dataclass(frozen=True, slots=True)
class Publishing:
    """Sends a job's operations; reads nothing but the database.

    *authorize* is asked before a change is sent of which GitHub could not say in time whether the person may
    still ask for it; it raises Permanent where they may not, or RetryLater.
    """

    database: Database
    app: GitHubApp
    publisher: Publisher
    clock: Clock
    authorize: Callable[[ClaimedJob], Awaitable[None]]

    async def announce(self, job: ClaimedJob, lease: JobLease) -> None:
        """Make the living comment, once for all attempts of the job.

        Raises:
            Permanent: GitHub takes no comment in this thread (locked, deleted).
            RetryLater: The outcome is not known yet.
        """
        await self.freeze(job, [freezing.living(job, "Reading the repository")])
        living = await self._living(job)
        if living.state in OPEN_STATES:
            await self._send(job, [living], lease)
            living = await self._living(job)
        if living.state is OperationState.FAILED:
            raise Permanent(living.error or "the comment was refused")

    async def say_waiting(self, job: ClaimedJob, lease: JobLease) -> None:
        """Let the living comment say that the job waits for the model, once for all its waits.

        Only words: GitHub's trouble with them is no trouble of the job's.

        Raises:
            LeaseLost: Somebody else owns the job.
        """
        step = "The model does not answer just now; this waits for it and goes on by itself"
        waiting = freezing.living_says(job, step)
        async with self.database.write() as connection:
            living = await operations.by_key(
                Scope(job.organization_id), connection, freezing.key_of(job, "living")
            )
            if living is None or living.state is not OperationState.DONE:
                return
            await self.freeze_in(connection, job, [waiting])
        try:
            found = [each for each in await self._operations(job) if each.key == waiting.key]
            await self._send(job, [each for each in found if each.state in OPEN_STATES], lease)
        except RetryLater as error:
            log.warning("waiting_not_told", why=str(error))

    async def freeze(self, job: ClaimedJob, frozen: Sequence[Frozen]) -> None:
        """Write intents down under the job's fence; those that stand already stay as they are."""
        async with self.database.write() as connection:
            await self.freeze_in(connection, job, frozen)

    async def freeze_in(self, connection: AsyncConnection, job: ClaimedJob, frozen: Sequence[Frozen]) -> None:
        """The same inside the caller's transaction."""
        scope = Scope(job.organization_id)
        await jobs.own(scope, connection, job)
        await operations.freeze(
            scope,
            connection,
            frozen,
            job_id=job.id,
            fence=job.fence,
            installation_id=job.origin.installation_id,
            repository_id=job.repository.id,
            now=self.clock.now(),
        )

    async def has_living(self, connection: AsyncConnection, job: ClaimedJob) -> bool:
        """Whether the living comment stands, or may yet come to stand, so that it becomes the result."""
        key = freezing.key_of(job, "living")
        living = await operations.by_key(Scope(job.organization_id), connection, key)
        return living is not None and living.state is not OperationState.FAILED

    async def publish(self, job: ClaimedJob, lease: JobLease) -> Refused | None:
        """Send everything that is open, in order.

        Returns:
            Why the change itself cannot be published; None when nothing is left to send.

        Raises:
            RetryLater: Something is not known, or has to wait.
        """
        found = await self._operations(job)
        was_refused = any(operation.key == freezing.key_of(job, "refused") for operation in found)
        for operation in found:
            if operation.state is OperationState.FAILED and operation.kind in _CHANGES and not was_refused:
                return Refused(Cause.GITHUB_ERROR, operation.error or "GitHub refused the change")
            if operation.state is OperationState.INTENT and operation.payload.get(freezing.UNCONFIRMED):
                try:
                    await self.authorize(job)
                except Permanent as error:
                    return Refused(error.cause, sentence(error.public))
        return await self._send(job, [each for each in found if each.state in OPEN_STATES], lease)

    async def refuse(
        self, connection: AsyncConnection, job: ClaimedJob, why: str, *, has_last_word: bool = False
    ) -> None:
        """Close what is still open: it will not be sent any more.

        Where a last word is still to come, the living comment that it becomes is left open.
        """
        scope = Scope(job.organization_id)
        kept = freezing.key_of(job, "living") if has_last_word else None
        for operation in await operations.of_job(scope, connection, job.id):
            if operation.state in OPEN_STATES and operation.key != kept:
                await operations.mark_failed(scope, connection, operation.id, why, now=self.clock.now())

    async def pull_artifact(self, connection: AsyncConnection, job: ClaimedJob) -> Artifact | None:
        """The pull request that was opened, as an artifact of the job."""
        scope = Scope(job.organization_id)
        pull = await operations.by_key(scope, connection, freezing.key_of(job, "pull"))
        branch = await operations.by_key(scope, connection, freezing.key_of(job, "branch"))
        if pull is None or branch is None or pull.state is not OperationState.DONE:
            return None
        meta = {
            "number": pull.remote_id,
            "url": pull.remote_url,
            "head": branch.payload["branch"],
            "sha": branch.remote_url,
            "base": pull.payload["base"],
            "draft": True,
        }
        return Artifact(ArtifactType.PULL_REQUEST, pull.payload["title"], pull.payload["body"], meta=meta)

    async def _living(self, job: ClaimedJob) -> Operation:
        key = freezing.key_of(job, "living")
        return next(operation for operation in await self._operations(job) if operation.key == key)

    async def _operations(self, job: ClaimedJob) -> list[Operation]:
        async with self.database.read() as connection:
            return await operations.of_job(Scope(job.organization_id), connection, job.id)

    async def _send(self, job: ClaimedJob, waiting: Sequence[Operation], lease: JobLease) -> Refused | None:
        """Send *waiting* in order with one token that can do just that."""
        if not waiting:
            return None
        permissions = permissions_of(operation.kind for operation in waiting)
        async with self.app.lend(job.origin.installation_id, job.repository.id, permissions) as loan:
            try:
                await loan.value()
            except Permanent as error:
                return await self._without_token(job, waiting, error)
            api = self.app.repository(job.repository.full_name, loan)
            for operation in waiting:
                refused = await self._send_one(operation, api, lease)
                if refused is not None:
                    return refused
        return None

    async def _send_one(self, operation: Operation, api: RepositoryApi, lease: JobLease) -> Refused | None:
        """Send one operation, unless it is a change and the job is to be cancelled."""
        is_change = operation.kind in _CHANGES
        reason = await lease.renew()
        if is_change and reason is not None and operation.state is OperationState.INTENT:
            return Refused(Cause.CANCELLED, f"This job was cancelled: {reason}.")
        try:
            await self.publisher.perform(operation, api, lease)
        except Permanent as error:
            if is_change:
                return Refused(Cause.GITHUB_ERROR, str(error))
            log.warning("write_refused", key=operation.key, why=str(error))
        return None

    async def _without_token(
        self, job: ClaimedJob, waiting: Sequence[Operation], error: Permanent
    ) -> Refused | None:
        """No token for these writes: the change is refused, or the thread cannot be told at all."""
        if any(operation.kind in _CHANGES for operation in waiting):
            return Refused(Cause.GITHUB_ERROR, str(error))
        async with self.database.write() as connection:
            await self.refuse(connection, job, str(error))
        log.warning("thread_not_told", why=str(error))
        return None

"""What each intent comes to: tenants kept, jobs submitted behind the gate, jobs cancelled, help given."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from bot import logs
from bot.db import cancel, operations, reviews, submit, tenants, uninstall
from bot.db.database import Database
from bot.db.operations import Frozen
from bot.db.reviews import Review
from bot.db.submit import Submission
from bot.db.tenants import Tenant
from bot.domain import triage
from bot.domain.clock import Clock
from bot.domain.enums import IssueSource, OperationKind
from bot.domain.intents import (
    CancelJobs,
    EndReview,
    Intent,
    PostHelp,
    RemoveInstallation,
    SaveInstallation,
    StartJob,
)
from bot.domain.values import Origin, RepositoryRef, Scope, Triage
from bot.intake.dispatch import Change
from bot.intake.gate import Gate
from bot.intake.installations import Installations

log = logs.get(__name__)

ACKNOWLEDGE = -2
REPLY = -1
ANSWERING = {"issues": "write", "metadata": "read"}
ACCEPTED = "eyes"
DENIED = "confused"


@dataclass(frozen=True, slots=True)
class Intake:
    """Decides intents against our records and GitHub's word; every write is left to the returned change."""

    database: Database
    gate: Gate
    installations: Installations
    clock: Clock
    help_text: Callable[[str | None], str]
    default_model: str
    is_enabled: bool

    async def decide(self, intent: Intent) -> Change | None:
        """The change that *intent* asks for, or None where it has no effect."""
        match intent:
            case StartJob():
                return await self._start(intent)
            case PostHelp():
                return await self._help(intent)
            case CancelJobs():
                return partial(self._cancel, intent) if await self._is_confirmed(intent) else None
            case EndReview():
                return await self._end_review(intent)
            case SaveInstallation():
                return partial(self._save, intent)
            case RemoveInstallation():
                return partial(self._remove, intent)

    async def _start(self, intent: StartJob) -> Change | None:
        tenant = await self._tenant(intent.installation_id, intent.repository)
        if tenant is None or not self.is_enabled:
            return None
        # Whatever the verdict is, it is told by a reaction: its token is minted meanwhile.
        self.installations.app.warm(tenant.installation_id, tenant.repository.id, ANSWERING)
        verdict = await self.gate.check(tenant, intent.actor, fresh=False)
        if not verdict.is_open:
            log.info("request_denied", reason=verdict.reason, number=intent.number)
            return partial(self._react, intent, tenant, DENIED)
        return partial(self._submit, intent, tenant)

    async def _submit(self, intent: StartJob, tenant: Tenant, connection: AsyncConnection) -> None:
        snapshot = intent.snapshot
        decided = self._triage(intent)
        origin = Origin(
            repository_id=tenant.repository.id,
            number=intent.number,
            kind=intent.kind,
            verb=intent.verb,
            actor=intent.actor,
            trigger=intent.trigger,
            trigger_key=intent.trigger_key,
            snapshot=snapshot,
            installation_id=tenant.installation_id,
            comment_id=intent.comment_id,
            head_sha=intent.head_sha,
            confidence=decided.confidence,
            delivery_id=intent.delivery_id,
        )
        submission = Submission(
            external_id=_request_name(intent),
            source=IssueSource.GITHUB,
            origin=origin,
            triage=decided,
            authority=f"github:{intent.actor.id}",
        )
        now = self.clock.now()
        await tenants.save_repository(
            Scope.system(),
            connection,
            replace(intent.repository, id=tenant.repository.id),
            tenant.installation_id,
            now=now,
        )
        submitted = await submit.submit(tenant.scope, connection, submission, now=now)
        if submitted.is_new:
            await self._react(intent, tenant, ACCEPTED, connection)
        log.info(
            "job_submitted", job_id=submitted.job_id, is_new=submitted.is_new, issue_id=submitted.issue_id
        )

    def _triage(self, intent: StartJob) -> Triage:
        """What the rules say of a request; the model's look comes when the job runs."""
        snapshot = intent.snapshot
        return triage.classify(
            snapshot.title,
            snapshot.body,
            snapshot.labels,
            intent.verb,
            words=snapshot.words,
            default_model=self.default_model,
        )

    async def _react(
        self, intent: StartJob, tenant: Tenant, content: str, connection: AsyncConnection
    ) -> None:
        """One reaction on the command, or on the issue where a label or its body asked.

        Who may not ask is told once in a thread, so that nobody floods the writes of an installation.
        """
        target = f"comment:{intent.comment_id}" if intent.comment_id else f"issue:{intent.number}"
        if content == DENIED:
            target = f"thread:{intent.number}:{intent.actor.id}"
        payload = {"number": intent.number, "comment_id": intent.comment_id, "content": content}
        key = f"reaction:{tenant.repository.id}:{target}:{content}"
        await self._freeze(
            tenant, connection, [Frozen(key, OperationKind.REACTION, payload, sequence=ACKNOWLEDGE)]
        )

    async def _help(self, intent: PostHelp) -> Change | None:
        """At most one help comment a thread for good help, one a comment for a wrong command."""
        tenant = await self._tenant(intent.installation_id, intent.repository)
        if tenant is None:
            return None
        if intent.problem is not None:
            verdict = await self.gate.check(tenant, intent.actor, fresh=False)
            if not verdict.is_open:
                return None
        where = f"comment:{intent.comment_id}" if intent.problem else "thread"
        key = f"help:{tenant.repository.id}:{intent.number}:{where}"
        payload = {"number": intent.number, "body": self.help_text(intent.problem)}
        frozen = Frozen(key, OperationKind.COMMENT, payload, sequence=REPLY)
        return partial(self._freeze_one, tenant, frozen)

    async def _freeze_one(self, tenant: Tenant, frozen: Frozen, connection: AsyncConnection) -> None:
        await self._freeze(tenant, connection, [frozen])

    async def _freeze(self, tenant: Tenant, connection: AsyncConnection, frozen: Sequence[Frozen]) -> None:
        await operations.freeze(
            tenant.scope,
            connection,
            frozen,
            job_id=None,
            fence=0,
            installation_id=tenant.installation_id,
            repository_id=tenant.repository.id,
            now=self.clock.now(),
        )

    async def _is_confirmed(self, intent: CancelJobs | EndReview) -> bool:
        """An end counts only from the installation that serves the repository by our own records."""
        async with self.database.read() as connection:
            tenant = await tenants.tenant_of(
                Scope.system(), connection, intent.installation_id, intent.repository.id
            )
        if tenant is None:
            log.warning(
                "end_unconfirmed", installation_id=intent.installation_id, repository=intent.repository.id
            )
        return tenant is not None

    async def _end_review(self, intent: EndReview) -> Change | None:
        """People have decided on a pull request; one that is not ours is of no concern."""
        if not await self._is_confirmed(intent):
            return None
        async with self.database.read() as connection:
            found = await reviews.of_pull(
                Scope.system(), connection, repository_id=intent.repository.id, number=intent.number
            )
        return None if found is None else partial(self._decided, intent, found)

    async def _decided(self, intent: EndReview, found: Review, connection: AsyncConnection) -> None:
        await reviews.end(Scope.system(), connection, found, is_merged=intent.is_merged, now=self.clock.now())

    async def _cancel(self, intent: CancelJobs, connection: AsyncConnection) -> None:
        await cancel.request_cancel(
            Scope.system(),
            connection,
            repository_id=intent.repository.id,
            number=intent.number,
            verb=intent.verb,
            reason=intent.reason,
            now=self.clock.now(),
        )

    async def _save(self, intent: SaveInstallation, connection: AsyncConnection) -> None:
        await tenants.save_installation(Scope.system(), connection, intent, now=self.clock.now())

    async def _remove(self, intent: RemoveInstallation, connection: AsyncConnection) -> None:
        await uninstall.uninstall(Scope.system(), connection, intent.installation_id, now=self.clock.now())

    async def _tenant(self, installation_id: int, repository: RepositoryRef) -> Tenant | None:
        """Who an event belongs to; an installation we never heard of is confirmed with GitHub first."""
        scope = Scope.system()
        async with self.database.read() as connection:
            tenant = await tenants.tenant_of(scope, connection, installation_id, repository.id)
            if tenant is not None:
                return tenant
        return await self.installations.confirm(installation_id, repository)


def _request_name(intent: StartJob) -> str:
    """The request itself: a label of an issue, whenever put on, or one text with a command."""
    if intent.trigger.startswith("label:"):
        return f"github:{intent.repository.id}:{intent.number}:{intent.verb}:{intent.trigger}"
    return f"github:{intent.trigger_key}"

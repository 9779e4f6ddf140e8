"""What each intent comes to: tenants kept, jobs submitted behind the gate, jobs cancelled, help given."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial

from sqlalchemy.ext.asyncio import AsyncConnection

from bot import logs
from bot.db import cancel, reviews, submit, tenants, uninstall
from bot.db.database import Database
from bot.db.reviews import Review
from bot.db.submit import Submission
from bot.db.tenants import Tenant
from bot.domain import triage
from bot.domain.clock import Clock
from bot.domain.enums import IssueSource
from bot.domain.intents import (
    CancelJobs,
    EndReview,
    Intent,
    PostHelp,
    RemoveInstallation,
    SaveInstallation,
    Speak,
    StartJob,
)
from bot.domain.values import Origin, RepositoryRef, Scope, Triage
from bot.intake.dispatch import Change
from bot.intake.gate import Gate
from bot.intake.installations import Installations
from bot.intake.replies import ANSWERING, Place, Replies
from bot.intake.speaking import Speaking

log = logs.get(__name__)


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

    @property
    def replies(self) -> Replies:
        """What is said in threads."""
        return Replies(self.clock)

    async def decide(self, intent: Intent) -> Change | None:
        """The change that *intent* asks for, or None where it has no effect."""
        match intent:
            case StartJob():
                return await self._start(intent)
            case PostHelp():
                return await self._help(intent)
            case Speak():
                return await self._speak(intent)
            case CancelJobs():
                return partial(self._cancel, intent) if await self._is_confirmed(intent) else None
            case EndReview():
                return await self._end_review(intent)
            case SaveInstallation() | RemoveInstallation():
                return partial(self._installation, intent)

    async def _start(self, intent: StartJob) -> Change | None:
        tenant = await self._tenant(intent.installation_id, intent.repository)
        if tenant is None or not self.is_enabled:
            return None
        # Whatever the verdict is, it is told by a reaction: its token is minted meanwhile.
        self.installations.app.warm(tenant.installation_id, tenant.repository.id, ANSWERING)
        verdict = await self.gate.check(tenant, intent.actor, fresh=False)
        if not verdict.is_open:
            log.info("request_denied", reason=verdict.reason, number=intent.number)
            return partial(self.replies.deny, Place.of(intent, tenant))
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
            await self.replies.accept(Place.of(intent, tenant), connection)
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

    async def _help(self, intent: PostHelp) -> Change | None:
        """Help for whoever asks for it; what is wrong with a command is told to those who may command."""
        tenant = await self._tenant(intent.installation_id, intent.repository)
        if tenant is None:
            return None
        if intent.problem is not None:
            verdict = await self.gate.check(tenant, intent.actor, fresh=False)
            if not verdict.is_open:
                return None
        place = Place.of(intent, tenant)
        text, is_problem = self.help_text(intent.problem), intent.problem is not None
        return partial(self.replies.help, place, text, is_problem=is_problem)

    async def _speak(self, intent: Speak) -> Change | None:
        """Words in a thread; an installation that we never heard of has no job that they could be about."""
        tenant = await self._known(intent.installation_id, intent.repository)
        if tenant is None or not self.is_enabled:
            return None
        speaking = Speaking(self.database, self.gate, self.replies, self.help_text, self.clock)
        return await speaking.decide(intent, tenant)

    async def _is_confirmed(self, intent: CancelJobs | EndReview) -> bool:
        """An end counts only from the installation that serves the repository by our own records."""
        tenant = await self._known(intent.installation_id, intent.repository)
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

    async def _installation(
        self, intent: SaveInstallation | RemoveInstallation, connection: AsyncConnection
    ) -> None:
        now = self.clock.now()
        if isinstance(intent, SaveInstallation):
            await tenants.save_installation(Scope.system(), connection, intent, now=now)
        else:
            await uninstall.uninstall(Scope.system(), connection, intent.installation_id, now=now)

    async def _tenant(self, installation_id: int, repository: RepositoryRef) -> Tenant | None:
        """Who an event belongs to; an installation we never heard of is confirmed with GitHub first."""
        tenant = await self._known(installation_id, repository)
        return tenant or await self.installations.confirm(installation_id, repository)

    async def _known(self, installation_id: int, repository: RepositoryRef) -> Tenant | None:
        """The same by our own records alone."""
        async with self.database.read() as connection:
            return await tenants.tenant_of(Scope.system(), connection, installation_id, repository.id)


def _request_name(intent: StartJob) -> str:
    """The request itself: a label of an issue, whenever put on, or one text with a command."""
    if intent.trigger.startswith("label:"):
        return f"github:{intent.repository.id}:{intent.number}:{intent.verb}:{intent.trigger}"
    return f"github:{intent.trigger_key}"

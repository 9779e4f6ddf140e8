"""What is said in a thread with a job: commands about it, and words that the running job takes in.

Whoever may not command the work is not heard: their words are data of the issue, at most.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from bot import logs
from bot.db import again, cancel, job_messages
from bot.db.again import Asked, ThreadJob
from bot.db.database import Database
from bot.db.submit import AGAIN_SECONDS
from bot.db.tenants import Tenant
from bot.domain.clock import Clock
from bot.domain.intents import Speak
from bot.errors import StillEnding
from bot.intake.dispatch import Change
from bot.intake.gate import Gate
from bot.intake.replies import Place, Replies

log = logs.get(__name__)

_NONE_YET: Final = "There is no job in this thread that `{verb}` could be about."
_AT_WORK: Final = (
    "A job is at work in this thread. `continue` with a few words tells it something, `cancel` ends it."
)
_NOT_RUNNING: Final = "No job is at work in this thread."


@dataclass(frozen=True, slots=True)
class Speaking:
    """Decides what words in a thread come to."""

    database: Database
    gate: Gate
    replies: Replies
    help_text: Callable[[str | None], str]
    clock: Clock

    async def decide(self, intent: Speak, tenant: Tenant) -> Change | None:
        """The change that *intent* asks for; None for talk between people, which costs one look of ours."""
        place = Place.of(intent, tenant)
        if intent.verb is None and not await self._is_awaited(intent, tenant):
            return None
        verdict = await self.gate.check(tenant, intent.actor, fresh=False)
        if not verdict.is_open:
            log.info("request_denied", reason=verdict.reason, number=intent.number)
            return None if intent.verb is None else partial(self.replies.deny, place)
        return partial(self._carry_out, intent, place)

    async def _is_awaited(self, intent: Speak, tenant: Tenant) -> bool:
        """Whether a job runs that would take words in, or has asked a question."""
        async with self.database.read() as connection:
            standing = await _standing(intent, tenant, connection)
        return standing is not None and (standing.is_open or standing.has_asked)

    async def _carry_out(self, intent: Speak, place: Place, connection: AsyncConnection) -> None:
        """Do it once, by what stands now: the same words a second time change nothing."""
        if await self.replies.was_accepted(place, connection):
            return
        standing = await _standing(intent, place.tenant, connection)
        if standing is not None and standing.is_ending and intent.verb != "cancel":
            message = f"job {standing.job_id} of the same thread is cancelled and has not ended yet"
            raise StillEnding(message, after_seconds=AGAIN_SECONDS)
        problem = await self._do(intent, place, standing, connection)
        if problem is None:
            await self.replies.accept(place, connection)
        elif intent.verb is not None:
            await self.replies.help(place, self.help_text(problem), connection, is_problem=True)

    async def _do(
        self, intent: Speak, place: Place, standing: ThreadJob | None, connection: AsyncConnection
    ) -> str | None:
        """Carry it out, or say in words for the thread why not."""
        if standing is None:
            return _NONE_YET.format(verb=intent.verb)
        if intent.verb == "cancel":
            return await self._cancel(intent, place, connection)
        if standing.is_open:
            return await self._tell(intent, place, standing, connection)
        if intent.verb is None and not standing.has_asked:
            return _NOT_RUNNING
        await self._again(intent, place, standing, connection)
        return None

    async def _cancel(self, intent: Speak, place: Place, connection: AsyncConnection) -> str | None:
        ended = await cancel.request_cancel(
            place.tenant.scope,
            connection,
            repository_id=place.tenant.repository.id,
            number=intent.number,
            verb=None,
            reason=f"{intent.actor.login} asked for it",
            now=self.clock.now(),
        )
        return None if ended else _NOT_RUNNING

    async def _tell(
        self, intent: Speak, place: Place, standing: ThreadJob, connection: AsyncConnection
    ) -> str | None:
        """Keep the words for the job that is open; a retry has to wait for its end."""
        if intent.verb == "retry" or not intent.words.strip():
            return _AT_WORK
        await job_messages.add(
            place.tenant.scope,
            connection,
            standing.job_id,
            intent.comment_id,
            intent.actor,
            intent.words,
            now=self.clock.now(),
        )
        return None

    async def _again(
        self, intent: Speak, place: Place, standing: ThreadJob, connection: AsyncConnection
    ) -> None:
        """A new job of the same request: anew, or with the whole conversation and these words."""
        verb = intent.verb or "continue"
        asked = Asked(intent.actor, intent.comment_id, intent.words, verb == "continue", intent.delivery_id)
        made = await again.again(
            place.tenant.scope,
            connection,
            standing.job_id,
            authority=f"github:{intent.actor.id}",
            trigger_key=f"{place.tenant.repository.id}:{intent.number}:{verb}:comment:{intent.comment_id}",
            now=self.clock.now(),
            asked=asked,
        )
        log.info("job_submitted", job_id=made.job_id, is_new=made.is_new, issue_id=made.issue_id)


async def _standing(intent: Speak, tenant: Tenant, connection: AsyncConnection) -> ThreadJob | None:
    return await again.newest_of_thread(
        tenant.scope,
        connection,
        repository_id=tenant.repository.id,
        number=intent.number,
    )

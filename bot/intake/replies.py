"""What intake itself says in a thread: a reaction on what was asked, help for what nobody understands."""

from dataclasses import dataclass
from typing import Final, Self

from sqlalchemy.ext.asyncio import AsyncConnection

from bot.db import operations
from bot.db.operations import Frozen
from bot.db.tenants import Tenant
from bot.domain.clock import Clock
from bot.domain.enums import OperationKind
from bot.domain.intents import PostHelp, Speak, StartJob
from bot.domain.values import Actor

ACKNOWLEDGE: Final = -2
REPLY: Final = -1
ANSWERING: Final = {"issues": "write", "metadata": "read"}
ACCEPTED: Final = "eyes"
DENIED: Final = "confused"


@dataclass(frozen=True, slots=True)
class Place:
    """Where somebody asked: a thread, the comment in it if there is one, and who."""

    tenant: Tenant
    number: int
    comment_id: int | None
    actor: Actor

    @classmethod
    def of(cls, intent: StartJob | Speak | PostHelp, tenant: Tenant) -> Self:
        """Where *intent* was spoken, in a repository of *tenant*."""
        return cls(tenant, intent.number, intent.comment_id, intent.actor)

    @property
    def target(self) -> str:
        """What a reaction goes on."""
        return f"comment:{self.comment_id}" if self.comment_id else f"issue:{self.number}"


@dataclass(frozen=True, slots=True)
class Replies:
    """Freezes intake's few words inside the caller's transaction, each of them once."""

    clock: Clock

    async def accept(self, place: Place, connection: AsyncConnection) -> None:
        """One reaction on the command, or on the issue where a label or its body asked."""
        await self._react(place, place.target, ACCEPTED, connection)

    async def deny(self, place: Place, connection: AsyncConnection) -> None:
        """Who may not ask is told once in a thread, so that nobody floods the writes of an installation."""
        await self._react(place, f"thread:{place.number}:{place.actor.id}", DENIED, connection)

    async def was_accepted(self, place: Place, connection: AsyncConnection) -> bool:
        """Whether a command was carried out before, by the reaction that came with it."""
        key = _reaction_key(place, place.target, ACCEPTED)
        return await operations.by_key(place.tenant.scope, connection, key) is not None

    async def help(self, place: Place, body: str, connection: AsyncConnection, *, is_problem: bool) -> None:
        """At most one help comment a thread for good help, one a comment for a wrong command."""
        where = f"comment:{place.comment_id}" if is_problem else "thread"
        key = f"help:{place.tenant.repository.id}:{place.number}:{where}"
        payload = {"number": place.number, "body": body}
        await self._freeze(place, Frozen(key, OperationKind.COMMENT, payload, sequence=REPLY), connection)

    async def _react(self, place: Place, target: str, content: str, connection: AsyncConnection) -> None:
        payload = {"number": place.number, "comment_id": place.comment_id, "content": content}
        key = _reaction_key(place, target, content)
        frozen = Frozen(key, OperationKind.REACTION, payload, sequence=ACKNOWLEDGE)
        await self._freeze(place, frozen, connection)

    async def _freeze(self, place: Place, frozen: Frozen, connection: AsyncConnection) -> None:
        await operations.freeze(
            place.tenant.scope,
            connection,
            [frozen],
            job_id=None,
            fence=0,
            installation_id=place.tenant.installation_id,
            repository_id=place.tenant.repository.id,
            now=self.clock.now(),
        )


def _reaction_key(place: Place, target: str, content: str) -> str:
    """One reaction's key, unique for ever."""
    return f"reaction:{place.tenant.repository.id}:{target}:{content}"

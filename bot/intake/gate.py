"""The permission gate: a live look-up by numeric id that stays closed on any error."""

from dataclasses import dataclass
from typing import Protocol

from cachetools import TTLCache

from bot.db.tenants import Tenant
from bot.domain.clock import Clock
from bot.domain.values import Actor
from bot.errors import Permanent, RetryLater, Unauthorized
from bot.github.app import GitHubApp

CACHE_SECONDS = 60
CACHE_ENTRIES = 10_000
_LEVELS = ("none", "read", "triage", "write", "maintain", "admin")


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether the gate opened, and the reason in words when it did not."""

    is_open: bool
    reason: str = ""


class Gate(Protocol):
    """Says who may command."""

    async def check(self, tenant: Tenant, actor: Actor, *, needs: str = "write", fresh: bool) -> Verdict:
        """Whether *actor* has at least *needs* on the repository; RetryLater when GitHub cannot say."""


class PermissionGate:
    """Asks GitHub; a verdict at dispatch may be up to CACHE_SECONDS old, a *fresh* one is asked now."""

    def __init__(self, app: GitHubApp, clock: Clock) -> None:
        """Begin with an empty cache."""
        self._app = app
        self._levels: TTLCache[tuple[int, int], str] = TTLCache(
            CACHE_ENTRIES, CACHE_SECONDS, timer=clock.monotonic
        )

    async def check(self, tenant: Tenant, actor: Actor, *, needs: str = "write", fresh: bool) -> Verdict:
        """Whether *actor* has at least *needs* on the repository.

        Raises:
            RetryLater: GitHub is away, limits us or does not take our credential; nothing was decided.
        """
        key = (tenant.repository.id, actor.id)
        level = None if fresh else self._levels.get(key)
        if level is None:
            try:
                level = await self._ask(tenant, actor)
            except Unauthorized as error:
                # Our credential is refused, not the person.
                raise RetryLater(str(error)) from error
            except Permanent as error:
                return Verdict(is_open=False, reason=f"GitHub did not confirm the permission: {error}")
            self._levels[key] = level
        if _LEVELS.index(level) >= _LEVELS.index(needs):
            return Verdict(is_open=True)
        return Verdict(
            is_open=False,
            reason=f"this needs {needs} permission on the repository; {actor.login} has {level}",
        )

    async def _ask(self, tenant: Tenant, actor: Actor) -> str:
        """The level that belongs to this numeric id; a login that passed to somebody else has none."""
        lent = self._app.lend(tenant.installation_id, tenant.repository.id, {"metadata": "read"})
        async with lent as loan:
            permission = await self._app.repository(tenant.repository.full_name, loan).permission(actor.login)
        return permission.level if permission.user_id == actor.id else "none"

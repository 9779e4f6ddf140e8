"""Installation tokens on loan: minted late, one for all who need the same, revoked when the last has left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, TypeVar

from bot.domain.clock import Clock
from bot.errors import IssuewrightError, Unauthorized
from bot.github.transport import Credential
from bot.github.values import InstallationToken

# A token is renewed while it has this long to live: longer than any request or fetch begun with it.
RENEW_BEFORE: Final = timedelta(minutes=5)
# How long a token that was minted ahead waits for those who need it.
WARM_SECONDS: Final = 5.0
_LEVELS: Final = ("read", "write", "admin")


@dataclass(frozen=True, slots=True)
class Reach:
    """What a token is for: one repository (None: all) of one installation, and named permissions."""

    installation_id: int
    repository_id: int | None
    permissions: tuple[tuple[str, str], ...]

    @property
    def is_reading(self) -> bool:
        """Whether nothing can be changed with it."""
        return all(level == "read" for _, level in self.permissions)

    def covers(self, other: "Reach") -> bool:
        """Whether a token of this reach can do all that *other* needs."""
        held = dict(self.permissions)
        is_same_place = (self.installation_id, self.repository_id) == (
            other.installation_id,
            other.repository_id,
        )
        return is_same_place and all(
            name in held and _LEVELS.index(held[name]) >= _LEVELS.index(level)
            for name, level in other.permissions
        )


Mint = Callable[[Reach], Awaitable[InstallationToken]]
Revoke = Callable[[Reach, str], Awaitable[None]]
Result = TypeVar("Result")


class Loan:
    """One token while it is in use, by however many; a call asks for its value right before it is made."""

    def __init__(self, reach: Reach, mint: Mint, clock: Clock) -> None:
        """Nothing is minted yet."""
        self.reach = reach
        self.users = 0
        self._mint = mint
        self._clock = clock
        self._token: InstallationToken | None = None
        self._minting: asyncio.Task[None] | None = None

    @property
    def is_live(self) -> bool:
        """Whether there is a token that lasts for another request."""
        return self._token is not None and self._token.expires_at - self._clock.now() > RENEW_BEFORE

    @property
    def is_minting(self) -> bool:
        """Whether a token is being minted right now."""
        return self._minting is not None

    async def value(self) -> str:
        """The token's value; whoever is first mints it, and the others wait for that one.

        Raises:
            Uninstalled, Forbidden, Invalid, RetryLater: There is none to be had, see `GitHubApp.token`.
        """
        while not self.is_live:
            await asyncio.shield(self.begin())
        assert self._token is not None  # noqa: S101 - a live one
        return self._token.value

    def begin(self) -> "asyncio.Task[None]":
        """The minting of a new token; there is one at a time."""
        if self._minting is None:
            self._minting = asyncio.create_task(self._renew())
        return self._minting

    def refuse(self, value: str) -> None:
        """GitHub does not take *value*: the next one who asks mints anew, unless somebody has by now."""
        if self._token is not None and self._token.value == value:
            self._token = None

    async def end(self, revoke: Revoke) -> None:
        """Give the token back; the second time does nothing."""
        if self._minting is not None:
            await asyncio.gather(self._minting, return_exceptions=True)
        token, self._token = self._token, None
        if token is not None:
            await revoke(self.reach, token.value)

    async def _renew(self) -> None:
        """Mint; a token that was renewed before its end expires within minutes by itself."""
        try:
            self._token = await self._mint(self.reach)
        finally:
            self._minting = None


async def with_loan(loan: Loan, ask: Callable[[Credential], Awaitable[Result]]) -> Result:
    """*ask* with the token of *loan*; after a 401 once more with a new one.

    A 401 says that nothing was done, so that a write may be repeated too.

    Raises:
        Unauthorized: GitHub does not take the new one either.
    """
    value = await loan.value()
    try:
        return await ask(Credential(oauth_token=value))
    except Unauthorized:
        loan.refuse(value)
    return await ask(Credential(oauth_token=await loan.value()))


class Tokens:
    """All loans of this process."""

    def __init__(self, mint: Mint, revoke: Revoke, clock: Clock) -> None:
        """Begin without any."""
        self._mint = mint
        self._revoke = revoke
        self._clock = clock
        self._loans: dict[Reach, Loan] = {}
        self._warm: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def lend(
        self, installation_id: int, repository_id: int | None, permissions: Mapping[str, str]
    ) -> AsyncIterator[Loan]:
        """A token that can do what *permissions* name; shared while it is in use.

        One that can do more and is lent already serves too: it gives its user nothing that we do not hold.
        """
        if not permissions:
            raise ValueError("a token without named permissions would hold all of them")
        loan = self._for(Reach(installation_id, repository_id, tuple(sorted(permissions.items()))))
        loan.users += 1
        try:
            yield loan
        finally:
            await self._leave(loan)

    def warm(self, reach: Reach) -> None:
        """Mint a token of *reach* beside other work and keep it for WARM_SECONDS."""
        loan = self._for(reach)
        loan.users += 1
        if not loan.is_live:
            _ = loan.begin()
        task = asyncio.create_task(self._keep(loan))
        self._warm.add(task)
        task.add_done_callback(self._warm.discard)

    async def _keep(self, loan: Loan) -> None:
        try:
            with contextlib.suppress(IssuewrightError):
                await loan.value()
                await self._clock.sleep(WARM_SECONDS)
        finally:
            await self._leave(loan)

    async def close(self) -> None:
        """Give back what is still lent; the second time does nothing."""
        for task in self._warm:
            task.cancel()
        await asyncio.gather(*self._warm, return_exceptions=True)
        loans = list(self._loans.values())
        self._loans.clear()
        await asyncio.gather(*(loan.end(self._revoke) for loan in loans))

    async def _leave(self, loan: Loan) -> None:
        """One user less; the last one gives the token back."""
        loan.users -= 1
        if not loan.users:
            self._loans.pop(loan.reach, None)
            await loan.end(self._revoke)

    def _for(self, reach: Reach) -> Loan:
        """The loan that serves *reach*: its own, another that covers it, or a new one.

        One that writes and that nobody mints is none: nobody who reads makes it come to life.
        """
        own = self._loans.get(reach)
        if own is not None:
            return own
        for loan in self._loans.values():
            if loan.reach.covers(reach) and (loan.is_live or loan.is_minting or loan.reach.is_reading):
                return loan
        made = self._loans[reach] = Loan(reach, self._mint, self._clock)
        return made

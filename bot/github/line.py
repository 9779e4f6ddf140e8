"""How the calls on one repository are made: its name in the path, a token on loan, one repeat after a 401."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final, TypeVar

from bot.domain.values import Json
from bot.github.paths import split_full_name
from bot.github.tokens import Loan, with_loan
from bot.github.transport import ACCEPT_RAW, Credential, Transport

ROOT: Final = "/repos/{owner}/{repo}"

Result = TypeVar("Result")
Variables = Mapping[str, str]


class RepositoryLine:
    """What all calls on one repository share.

    Every call may raise the errors of `bot.errors`: RateLimited, RetryLater (reads), OutcomeUnknown
    (writes whose outcome we were not told), Unauthorized, Forbidden, NotFound, Invalid.
    """

    def __init__(self, transport: Transport, full_name: str, loan: Loan) -> None:
        """Check *full_name* (`owner/name`); nothing is sent and nothing minted."""
        self._transport = transport
        self._loan = loan
        self._owner, self._name = split_full_name(full_name)

    async def admit(self) -> None:
        """Have a token at hand, and raise what else stands in the way of a call, before it leaves a trace.

        See `Limits.admit` and `Loan.value`.
        """
        await self._loan.value()
        await self._transport.admit()

    async def _read(
        self, place: str, parse: Callable[[Any], Result], variables: Variables | None = None
    ) -> Result:
        """GET one object beneath the repository."""
        return await self._call("GET", place, parse, variables or {})

    async def _write(
        self, method: str, place: str, parse: Callable[[Any], Result], variables: Variables, body: Json
    ) -> Result:
        """Send one change."""
        return await self._call(method, place, parse, variables, body)

    async def _call(
        self,
        method: str,
        place: str,
        parse: Callable[[Any], Result],
        variables: Variables,
        data: Json | bytes = b"",
        *,
        root: str = ROOT,
    ) -> Result:
        """One request, beneath the repository unless *root* says otherwise."""

        async def ask(credential: Credential) -> Result:
            return await self._transport.ask(
                method, root + place, parse, credential=credential, variables=self._all(variables), data=data
            )

        return await self._signed(ask)

    async def _pages(
        self,
        place: str,
        parse: Callable[[Any], Result],
        variables: Variables,
        max_pages: int,
        *,
        member: str | None = None,
    ) -> list[Result]:
        """GET a whole list beneath the repository; one that is cut short is never given out.

        Where a page is an object, its list is the *member* of that name.
        """

        async def ask(credential: Credential) -> list[Result]:
            return await self._transport.pages(
                ROOT + place,
                parse,
                credential=credential,
                variables=self._all(variables),
                max_pages=max_pages,
                member=member,
            )

        return await self._signed(ask)

    async def _raw(
        self, place: str, variables: Variables, max_bytes: int, *, accept: str = ACCEPT_RAW
    ) -> tuple[str, bytes]:
        """GET bytes beneath the repository, with their content type."""

        async def ask(credential: Credential) -> tuple[str, bytes]:
            return await self._transport.raw(
                ROOT + place,
                credential=credential,
                variables=self._all(variables),
                max_bytes=max_bytes,
                accept=accept,
            )

        return await self._signed(ask)

    async def _signed(self, ask: Callable[[Credential], Awaitable[Result]]) -> Result:
        """*ask* with the token that we borrow."""
        return await with_loan(self._loan, ask)

    def _all(self, variables: Variables) -> dict[str, str]:
        """*variables*, and the two names that every path begins with."""
        return {"owner": self._owner, "repo": self._name, **variables}


def segment(number: int) -> str:
    """A number as one segment of a path."""
    return str(int(number))


def id_of(data: Json) -> int:
    """The numeric id of an answer."""
    return int(data["id"])

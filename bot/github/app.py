"""The GitHub App itself: who it is, where it is installed, and the tokens that it lends."""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final, TypeVar

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bot.domain.clock import Clock
from bot.domain.ports import APP_ITSELF, Limits
from bot.domain.values import Json
from bot.errors import (
    ConfigError,
    Forbidden,
    IssuewrightError,
    NotFound,
    OutcomeUnknown,
    Problem,
    RetryLater,
    Unauthorized,
    Uninstalled,
)
from bot.github.faults import is_suspension
from bot.github.repository import RepositoryApi
from bot.github.tokens import Loan, Reach, Tokens, with_loan
from bot.github.transport import Credential, Transport
from bot.github.values import AppIdentity, InstallationInfo, InstallationToken

# GitHub refuses a JWT whose end is more than 10 minutes ahead, and advises 60 seconds for a slow clock:
# https://docs.github.com/en/apps/creating-github-apps/authenticating-with-a-github-app
JWT_BACKDATE_SECONDS: Final = 60
JWT_LIFETIME_SECONDS: Final = 9 * 60
JWT_REUSE_SECONDS: Final = 8 * 60

Result = TypeVar("Result")


class GitHubApp:
    """Calls that an App makes as itself.

    Two private keys may be valid during a rotation: a 401 with the one that worked last
    tries the other, and whichever works is used from then on. `key_trouble` says in words what
    GitHub has against all of them; None while one works.
    """

    def __init__(
        self,
        *,
        api_url: str,
        app_id: int,
        private_keys: Sequence[str],
        session: aiohttp.ClientSession,
        clock: Clock,
        limits: Limits,
    ) -> None:
        """Read the keys; nothing is sent.

        Raises:
            ConfigError: There is no key, or one is not an RSA private key in PEM form.
        """
        self._transport = Transport(session, api_url=api_url, clock=clock, limits=limits)
        self._limits = limits
        self._tokens = Tokens(self.token, self._revoke, clock)
        self.key_trouble: str | None = None
        self._app_id = app_id
        self._clock = clock
        self._signers = [_Signer(app_id, _load(text), clock) for text in private_keys]
        if not self._signers:
            raise ConfigError(_key_problem("no key is given"))
        self._identity: AppIdentity | None = None
        self._named: tuple[int, str] | None = None

    async def identity(self, api: RepositoryApi) -> AppIdentity:
        """Who we are; asked once, then remembered.

        The account that writes for us is public data, but GitHub takes no App JWT outside the App's own
        paths, and an Enterprise Server in private mode tells nobody who has not signed in: *api* asks.
        """
        if self._identity is None:
            app_id, slug = self._named or await self.check()
            login = f"{slug}[bot]"
            self._identity = AppIdentity(app_id, slug, login, await api.user_id(login))
        return self._identity

    async def check(self) -> tuple[int, str]:
        """Ask GitHub who we are, now: the App's number and slug; raises what went wrong."""
        self._named = await self.as_app("GET", "/app", lambda data: (int(data["id"]), str(data["slug"])))
        return self._named

    async def installation(self, installation_id: int) -> InstallationInfo | None:
        """One installation, or None when it is gone."""
        try:
            found = await self.as_app(
                "GET",
                "/app/installations/{id}",
                InstallationInfo.from_json,
                variables={"id": str(int(installation_id))},
            )
        except NotFound:
            return None
        await self.heard_of(found)
        return found

    async def heard_of(self, found: InstallationInfo) -> None:
        """GitHub has told of an installation: one that is active may be called again."""
        if not found.is_suspended:
            await self._limits.found(found.id)

    def lend(
        self, installation_id: int, repository_id: int | None, permissions: Mapping[str, str]
    ) -> AbstractAsyncContextManager[Loan]:
        """A token for one repository (None: for all) and those permissions (`{"issues": "write"}`).

        For the block: it is minted by the first call, shared with others who need the same, minted anew
        before its hour ends, and revoked when the last of them has left.
        """
        return self._tokens.lend(installation_id, repository_id, permissions)

    def warm(self, installation_id: int, repository_id: int, permissions: Mapping[str, str]) -> None:
        """Mint a token beside other work, because it is about to be needed: who needs it finds it lent.

        It is kept for WARM_SECONDS; one that cannot be had is left to those who need it.
        """
        self._tokens.warm(Reach(installation_id, repository_id, tuple(sorted(permissions.items()))))

    async def close(self) -> None:
        """Revoke the tokens that are still on loan; the second time does nothing."""
        await self._tokens.close()

    def repository(self, full_name: str, loan: Loan) -> RepositoryApi:
        """The calls on one repository with the token of *loan*.

        Raises:
            Invalid: *full_name* is not `owner/name`.
        """
        return RepositoryApi(self._transport.for_installation(loan.reach.installation_id), full_name, loan)

    async def token(self, reach: Reach) -> InstallationToken:
        """Mint a token of that reach; whoever calls GitHub borrows one with `lend`.

        Raises:
            Uninstalled: The installation is gone.
            Forbidden: It is suspended.
            Invalid: It does not hold the repository or a permission.
            RetryLater: No answer; a token that was made in spite of it expires by itself.
        """
        transport = self._transport.for_installation(reach.installation_id, is_minting=True)
        repositories = {} if reach.repository_id is None else {"repository_ids": [reach.repository_id]}
        try:
            return await self.as_app(
                "POST",
                "/app/installations/{id}/access_tokens",
                InstallationToken.from_json,
                variables={"id": str(reach.installation_id)},
                data={**repositories, "permissions": dict(reach.permissions)},
                transport=transport,
            )
        except OutcomeUnknown as error:
            raise RetryLater(str(error), after_seconds=error.after_seconds) from error
        except Forbidden as error:
            if is_suspension(error):
                await self._limits.lost(reach.installation_id, is_gone=False)
            raise
        except NotFound as error:
            # Apart from the answers to what the token is for, where this says that a thing is not there.
            await self._check_is_there(reach.installation_id)
            raise Uninstalled(str(error)) from error

    async def _check_is_there(self, installation_id: int) -> None:
        """Keep that an installation is gone, unless GitHub shows it: one odd answer is not enough."""
        with contextlib.suppress(RetryLater):
            if await self.installation(installation_id) is None:
                await self._limits.lost(installation_id, is_gone=True)

    async def _revoke(self, reach: Reach, value: str) -> None:
        """End a token now; when that fails it still ends within the hour by itself."""
        with contextlib.suppress(IssuewrightError):
            await self._transport.for_installation(reach.installation_id).ask(
                "DELETE", "/installation/token", lambda _: None, credential=Credential(oauth_token=value)
            )

    async def page(
        self,
        path: str,
        parse: Callable[[Any], Result],
        *,
        variables: Mapping[str, str] | None = None,
        loan: Loan | None = None,
    ) -> tuple[Result, str | None]:
        """One page of a list, with the App's JWT or what *loan* lends, and the address of the next page."""
        whose = APP_ITSELF if loan is None else loan.reach.installation_id
        transport = self._transport.for_installation(whose)

        async def ask(credential: Credential) -> tuple[Result, str | None]:
            return await transport.page(path, parse, credential=credential, variables=variables)

        return await (self._signed(ask) if loan is None else with_loan(loan, ask))

    async def as_app(
        self,
        method: str,
        path: str,
        parse: Callable[[Any], Result],
        *,
        variables: Mapping[str, str] | None = None,
        data: Json | bytes = b"",
        transport: Transport | None = None,
    ) -> Result:
        """One call with the App's JWT, through *transport* or our own."""
        way = transport or self._transport

        async def ask(credential: Credential) -> Result:
            return await way.ask(method, path, parse, credential=credential, variables=variables, data=data)

        return await self._signed(ask)

    async def _signed(self, ask: Callable[[Credential], Awaitable[Result]]) -> Result:
        """*ask* with the App's JWT; after a 401 each other key is tried once, freshly signed.

        Raises:
            RetryLater: GitHub takes none of the keys. That is for the operator to mend, and nobody's
                request is refused for it.
        """
        for signer in tuple(self._signers):
            try:
                answer = await ask(Credential(jwt=signer.jwt()))
            except Unauthorized as error:
                refused = error
                signer.forget()
                self._signers.remove(signer)
                self._signers.append(signer)  # the others come first from now on
            else:
                self.key_trouble = None
                return answer
        self.key_trouble = f"GitHub does not take the App's private key: {refused}"
        raise RetryLater(self.key_trouble) from refused


class _Signer:
    """One private key and the JWT last signed with it."""

    def __init__(self, app_id: int, key: RSAPrivateKey, clock: Clock) -> None:
        self._app_id = app_id
        self._key = key
        self._clock = clock
        self._signed: tuple[float, str] | None = None

    def jwt(self) -> str:
        """A JWT with at least a minute to live; signed anew after 8 minutes."""
        age_seconds = self._clock.monotonic()
        if self._signed is None or age_seconds - self._signed[0] >= JWT_REUSE_SECONDS:
            now = int(self._clock.now().timestamp())
            claims = {
                "iat": now - JWT_BACKDATE_SECONDS,
                "exp": now + JWT_LIFETIME_SECONDS,
                "iss": str(self._app_id),
            }
            self._signed = (age_seconds, jwt.encode(claims, self._key, algorithm="RS256"))
        return self._signed[1]

    def forget(self) -> None:
        """Sign anew the next time."""
        self._signed = None


def _load(text: str) -> RSAPrivateKey:
    """The key in *text*; what is wrong with it is said without any of it."""
    try:
        key = load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError) as error:
        raise ConfigError(_key_problem("it cannot be read as a private key")) from error
    if not isinstance(key, RSAPrivateKey):
        raise ConfigError(_key_problem("it is not an RSA key"))
    return key


def _key_problem(wrong: str) -> Problem:
    """What to report about the private key."""
    return Problem("GITHUB_PRIVATE_KEY", wrong, "use the .pem file that the App's settings page gave you")

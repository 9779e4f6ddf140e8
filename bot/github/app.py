"""The GitHub App itself: who it is, where it is installed, and tokens minted late and narrow."""

import contextlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import aiohttp
import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from bot.domain.clock import Clock
from bot.domain.values import Json
from bot.errors import (
    ConfigError,
    IssuewrightError,
    NotFound,
    OutcomeUnknown,
    Problem,
    RetryLater,
    Unauthorized,
)
from bot.github.repository import RepositoryApi
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
    tries the other, and whichever works is used from then on.
    """

    def __init__(
        self,
        *,
        api_url: str,
        app_id: int,
        private_keys: Sequence[str],
        session: aiohttp.ClientSession,
        clock: Clock,
    ) -> None:
        """Read the keys; nothing is sent.

        Raises:
            ConfigError: There is no key, or one is not an RSA private key in PEM form.
        """
        self._transport = Transport(session, api_url=api_url, clock=clock)
        self._app_id = app_id
        self._clock = clock
        self._signers = [_Signer(app_id, _load(text), clock) for text in private_keys]
        if not self._signers:
            raise ConfigError(_key_problem("no key is given"))
        self._identity: AppIdentity | None = None

    async def identity(self) -> AppIdentity:
        """Who we are; asked once, then remembered."""
        if self._identity is None:
            app_id, slug = await self._as_app(
                "GET", "/app", lambda data: (int(data["id"]), str(data["slug"]))
            )
            login = f"{slug}[bot]"
            # Public data; GitHub takes no App JWT outside the App's own paths.
            user_id = await self._transport.ask(
                "GET",
                "/users/{login}",
                lambda data: int(data["id"]),
                credential=Credential(),
                variables={"login": login},
            )
            self._identity = AppIdentity(app_id, slug, login, user_id)
        return self._identity

    async def check(self) -> None:
        """Ask GitHub who we are, now; raises what went wrong."""
        await self._as_app("GET", "/app", lambda data: int(data["id"]))

    async def installation(self, installation_id: int) -> InstallationInfo | None:
        """One installation, or None when it is gone."""
        try:
            return await self._as_app(
                "GET",
                "/app/installations/{id}",
                InstallationInfo.from_json,
                variables={"id": str(int(installation_id))},
            )
        except NotFound:
            return None

    async def token(
        self, installation_id: int, repository_id: int, permissions: Mapping[str, str]
    ) -> InstallationToken:
        """A new token for that one repository and those permissions (`{"issues": "write"}`).

        Raises:
            NotFound: The installation is gone.
            Forbidden: It is suspended.
            Invalid: It does not hold the repository or a permission.
            RetryLater: No answer; a token that was made in spite of it expires by itself.
        """
        if not permissions:
            raise ValueError("a token without named permissions would hold all of them")
        try:
            return await self._as_app(
                "POST",
                "/app/installations/{id}/access_tokens",
                InstallationToken.from_json,
                variables={"id": str(int(installation_id))},
                data={"repository_ids": [int(repository_id)], "permissions": dict(permissions)},
            )
        except OutcomeUnknown as error:
            raise RetryLater(str(error), after_seconds=error.after_seconds) from error

    async def revoke(self, token: InstallationToken) -> None:
        """End *token* now; when that fails it still ends within the hour by itself."""
        with contextlib.suppress(IssuewrightError):
            await self._transport.ask(
                "DELETE",
                "/installation/token",
                lambda _: None,
                credential=Credential(oauth_token=token.value),
            )

    def repository(self, full_name: str, token: InstallationToken) -> RepositoryApi:
        """The calls on one repository with *token*.

        Raises:
            Invalid: *full_name* is not `owner/name`.
        """
        return RepositoryApi(self._transport, full_name, Credential(oauth_token=token.value))

    async def _as_app(
        self,
        method: str,
        path: str,
        parse: Callable[[Any], Result],
        *,
        variables: Mapping[str, str] | None = None,
        data: Json | bytes = b"",
    ) -> Result:
        """One call with the App's JWT; after a 401 each other key is tried once, freshly signed."""
        for signer in tuple(self._signers):
            try:
                return await self._transport.ask(
                    method,
                    path,
                    parse,
                    credential=Credential(jwt=signer.jwt()),
                    variables=variables,
                    data=data,
                )
            except Unauthorized as error:
                refused = error
                signer.forget()
                self._signers.remove(signer)
                self._signers.append(signer)  # the others come first from now on
        raise refused


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

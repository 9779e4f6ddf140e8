"""One HTTP exchange with GitHub: gidgethub's request building on aiohttp, with our bounds and errors."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import aiohttp
from gidgethub import abc as gidgethub_abc
from gidgethub import sansio
from yarl import URL

from bot.domain.clock import Clock
from bot.domain.ports import APP_ITSELF, Limits
from bot.errors import Invalid, IssuewrightError, RateLimited, RetryLater
from bot.github.faults import MOVED, Answer, Call, Moved, fault, hidden_limit, is_suspension, rate_of
from bot.github.whole import read_bounded, whole

# https://docs.github.com/en/rest/about-the-rest-api/api-versions
API_VERSION: Final = "2022-11-28"
# GitHub itself ends a request after 10 seconds:
# https://docs.github.com/en/rest/using-the-rest-api/troubleshooting-the-rest-api#timeouts
REQUEST_TIMEOUT_SECONDS: Final = 15.0
CONNECT_TIMEOUT_SECONDS: Final = 5.0
MAX_ANSWER_BYTES: Final = 8 * 1024 * 1024
MAX_REDIRECTS: Final = 3

ACCEPT_JSON: Final = "application/vnd.github+json"
ACCEPT_RAW: Final = "application/vnd.github.raw+json"
ACCEPT_HTML: Final = "application/vnd.github.html+json"
_SUCCESS: Final = frozenset({200, 201, 202, 204})
# A redirect of a write keeps method and body only with these two.
_REPEATABLE: Final = frozenset({307, 308})
# Errors that come before the first byte of the request has left.
_UNSENT: Final = (
    aiohttp.ClientConnectorError,
    aiohttp.ClientConnectorCertificateError,
    aiohttp.ConnectionTimeoutError,
)
_ODD_SHAPE: Final = (KeyError, TypeError, ValueError, AttributeError)

Result = TypeVar("Result")


@dataclass(frozen=True, slots=True)
class Credential:
    """What a call signs in with: an App's JWT, an installation's token, or nothing."""

    jwt: str | None = field(default=None, repr=False)
    oauth_token: str | None = field(default=None, repr=False)


class Transport(gidgethub_abc.GitHubAPI):
    """Requests to one GitHub API for one installation, each of them admitted by the limits first.

    Never to another origin, never without an end, never cached.
    """

    def __init__(
        self,
        session: aiohttp.ClientSession,
        *,
        api_url: str,
        clock: Clock,
        limits: Limits,
        installation_id: int = APP_ITSELF,
        mints_for: int | None = None,
        timeout_seconds: float = REQUEST_TIMEOUT_SECONDS,
        max_bytes: int = MAX_ANSWER_BYTES,
    ) -> None:
        """Send through *session* to *api_url*; the whole of a call may take *timeout_seconds*."""
        super().__init__("issuewright", base_url=api_url)
        self._session = session
        self._clock = clock
        self._limits = limits
        self._installation_id = installation_id
        self._admitted_for, self._is_minting = mints_for or installation_id, mints_for is not None
        self._origin = URL(api_url).origin()
        self._timeout_seconds = timeout_seconds
        self._max_bytes = max_bytes

    async def admit(self) -> None:
        """Raise what stands in the way of a call, as each call does by itself: see `Limits.admit`."""
        await self._limits.admit(self._admitted_for, is_minting=self._is_minting)

    def for_installation(self, installation_id: int, *, is_minting: bool = False) -> "Transport":
        """The same way, for calls that count for another installation, or that mint its tokens."""
        return Transport(
            self._session,
            api_url=str(self.base_url),
            clock=self._clock,
            limits=self._limits,
            installation_id=APP_ITSELF if is_minting else installation_id,
            mints_for=installation_id if is_minting else None,
            timeout_seconds=self._timeout_seconds,
            max_bytes=self._max_bytes,
        )

    async def ask(
        self,
        method: str,
        path: str,
        parse: Callable[[Any], Result],
        *,
        credential: Credential,
        variables: Mapping[str, str] | None = None,
        data: Any = b"",
    ) -> Result:
        """Send one request and read its JSON answer with *parse*.

        Raises:
            RetryLater, OutcomeUnknown, Permanent: See `bot.github.faults`; an answer that is no JSON
                or has another shape counts as no answer.
        """
        answer, _ = await self._ask_page(method, path, variables, credential, data)
        return self._shaped(Call(method, path), parse, answer)

    async def page(
        self,
        path: str,
        parse: Callable[[Any], Result],
        *,
        credential: Credential,
        variables: Mapping[str, str] | None = None,
    ) -> tuple[Result, str | None]:
        """One page of a list, read with *parse* as a whole, and the address of the next one."""
        answer, following = await self._ask_page("GET", path, variables, credential, b"")
        return self._shaped(Call("GET", path), parse, answer), following

    async def pages(
        self,
        path: str,
        parse: Callable[[Any], Result],
        *,
        credential: Credential,
        variables: Mapping[str, str],
        max_pages: int,
        member: str | None = None,
    ) -> list[Result]:
        """All items of a list, page after page; a part is never given out as the whole.

        Where a page is an object, its list is the *member* of that name.

        Raises:
            Invalid: There are more than *max_pages* pages.
        """

        def read(page: Any) -> list[Result]:
            return [parse(item) for item in _list(page if member is None else page[member])]

        async def turn(place: str) -> tuple[list[Result], str | None]:
            return await self.page(place, read, credential=credential, variables=variables)

        return await whole(turn, path, max_pages)

    async def raw(
        self, path: str, *, credential: Credential, variables: Mapping[str, str], max_bytes: int, accept: str
    ) -> tuple[str, bytes]:
        """The bytes that *accept* asks for (media type) and their content type, undecoded.

        Raises:
            Invalid: There are more than *max_bytes*.
        """
        url = sansio.format_url(path, variables, base_url=self.base_url)
        headers = sansio.create_headers(
            self.requester, accept=accept, oauth_token=credential.oauth_token, jwt=credential.jwt
        )
        answer = await self._send("GET", url, headers, b"", max_bytes)
        return answer.headers.get("content-type", ""), answer.body

    async def sleep(self, seconds: float) -> None:
        """Wait on the passed-in clock (gidgethub asks for this hook)."""
        await self._clock.sleep(seconds)

    async def _ask_page(
        self, method: str, path: str, variables: Mapping[str, str] | None, credential: Credential, data: Any
    ) -> tuple[Any, str | None]:
        """One request: the decoded body, and the URL of the next page if there is one."""
        try:
            answer, following, _ = await self._make_request(
                method,
                path,
                variables,
                data,
                ACCEPT_JSON,
                jwt=credential.jwt,
                oauth_token=credential.oauth_token,
            )
        except (ValueError, LookupError) as error:  # broken JSON, bytes or charset in a 2xx answer
            raise Call(method, path).unanswered("GitHub's answer is unreadable") from error
        return answer, following

    def _shaped(self, call: Call, parse: Callable[[Any], Result], answer: object) -> Result:
        """What *parse* makes of *answer*; another shape is no answer."""
        try:
            return parse(answer)
        except _ODD_SHAPE as error:
            raise call.unanswered("GitHub's answer has another shape than documented") from error

    async def _request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes = b""
    ) -> tuple[int, Mapping[str, str], bytes]:
        """The exchange that gidgethub asks for; it sees successes only, and no header it could trip over."""
        answer = await self._send(method, url, headers, body, self._max_bytes)
        limit = hidden_limit(Call(method, URL(url, encoded=True).path), answer, self._clock.now())
        if limit is not None:
            raise await self._closed(limit)
        kept = {name: answer.headers[name] for name in ("content-type", "link") if name in answer.headers}
        return answer.status, kept, answer.body

    async def _send(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, max_bytes: int
    ) -> Answer:
        """One call with its redirects, within one timeout; anything but success raises."""
        target = URL(url, encoded=True)
        call = Call(method, target.path)
        await self.admit()
        try:
            async with asyncio.timeout(self._timeout_seconds):
                answer = await self._follow(call, target, headers, body, max_bytes)
        except _UNSENT as error:
            raise RetryLater(f"GitHub cannot be reached: {call}") from error
        except (aiohttp.ClientError, TimeoutError) as error:
            raise call.unanswered("GitHub did not answer") from error
        rate = rate_of(answer)
        if rate is not None:
            await self._limits.note(self._installation_id, rate)
        if answer.status not in _SUCCESS:
            raise await self._refused(fault(call, answer, self._clock.now()))
        return answer

    async def _refused(self, error: IssuewrightError) -> IssuewrightError:
        """*error*, once everybody can know of it who has to."""
        if isinstance(error, RateLimited):
            return await self._closed(error)
        if is_suspension(error) and self._installation_id != APP_ITSELF:
            await self._limits.lost(self._installation_id, is_gone=False)
        return error

    async def _closed(self, limit: RateLimited) -> RateLimited:
        """*limit* with its wait, once the installation is closed for everybody."""
        limit.after_seconds = await self._limits.limited(self._installation_id, limit.after_seconds)
        return limit

    async def _follow(
        self, call: Call, target: URL, headers: Mapping[str, str], body: bytes, max_bytes: int
    ) -> Answer:
        """Exchange, going where GitHub redirects: reads always, writes on 307 and 308 only.

        https://docs.github.com/en/rest/using-the-rest-api/best-practices-for-using-the-rest-api#follow-redirects
        """
        for _ in range(MAX_REDIRECTS + 1):
            if target.origin() != self._origin:
                raise Moved(f"the answer leads away from GitHub's API: {call}")
            answer = await self._exchange(call, target, headers, body, max_bytes)
            place = answer.headers.get("location")
            goes_on = answer.status in (_REPEATABLE if call.is_write else MOVED)
            if not goes_on or place is None:
                return answer
            target = target.join(URL(place, encoded=True))
        raise Moved(f"GitHub redirects in circles: {call}")

    async def _exchange(
        self, call: Call, target: URL, headers: Mapping[str, str], body: bytes, max_bytes: int
    ) -> Answer:
        """One HTTP request and its whole answer, read up to *max_bytes* (after decompression)."""
        async with self._session.request(
            call.method,
            target,
            headers={**headers, "x-github-api-version": API_VERSION},
            data=body,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_SECONDS),
        ) as response:
            received = await read_bounded(response, max_bytes)
            if received is None:
                raise _too_large(call, max_bytes)
            names = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, names, received)


def _too_large(call: Call, max_bytes: int) -> Invalid | RetryLater:
    """The error for an answer over the bound: a read is refused, a write may have landed."""
    if call.is_write:
        return call.unanswered(f"GitHub's answer is larger than {max_bytes} bytes")
    return Invalid(f"GitHub's answer is larger than {max_bytes} bytes: {call}")


def _list(page: object) -> list[Any]:
    """The page itself when it is a list; raises TypeError for anything else."""
    if not isinstance(page, list):
        raise TypeError("a list was expected")
    return page

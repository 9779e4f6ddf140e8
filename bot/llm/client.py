"""The Messages API through the vendor's SDK: one request, one answer, errors by what to do about them.

The SDK's own retries are off: the agent loop retries, because each attempt needs a reservation of money.
Nothing is read from `ANTHROPIC_*` environment variables: key and address are passed in. Answers are asked
for as streams and put together here, without the SDK's models: those would drop fields that must be sent
back unchanged, and cost a multiple of the time.
"""

import asyncio
from typing import TYPE_CHECKING, cast

import orjson

from bot.domain.values import Json, ModelReply, ModelRequest
from bot.errors import IssuewrightError
from bot.llm import failures, providers, reply
from bot.llm.amazon import CONTENT_TYPE as AMAZON
from bot.llm.amazon import AmazonAssembly
from bot.llm.features import Features, parameters
from bot.llm.providers import Provider
from bot.llm.stream import Assembly, StreamDamaged, StreamError

if TYPE_CHECKING:
    import httpx2

ANTHROPIC = Provider()
IDLE_TIMEOUT_SECONDS = 90.0
"""How long a stream may be silent: Anthropic sends a ping every few seconds."""
MAX_PING_SECONDS = 300.0
"""How long it may say nothing but that it lives."""
DRAIN_SECONDS = 1.0
"""How long the end of a stream may take after its message's, so that the connection can be used again."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
_ASSEMBLIES = {"text/event-stream": Assembly, AMAZON: AmazonAssembly}


class AnthropicModel:
    """A `bot.domain.ports.Model` on `AsyncAnthropic`; building one imports the SDK (about 2 s of CPU)."""

    def __init__(
        self,
        api_key: str,
        base_url: str | None = None,
        *,
        provider: Provider = ANTHROPIC,
        idle_timeout_seconds: float = IDLE_TIMEOUT_SECONDS,
        max_ping_seconds: float = MAX_PING_SECONDS,
    ) -> None:
        """Talk to *base_url* (None: the provider's own) with *api_key* ("": the machine's credentials).

        Raises:
            ConfigError: the provider cannot be asked so.
        """
        self._api_key = api_key
        self._idle_timeout_seconds = idle_timeout_seconds
        self._max_ping_seconds = max_ping_seconds
        self._features = Features()
        self._client = providers.connect(provider, api_key, base_url)
        self._credential_errors = providers.credential_errors(provider)
        self._is_body_changed = provider.name in providers.BODY_CHANGED

    async def complete(self, request: ModelRequest, *, timeout_seconds: float) -> ModelReply:
        """Answer *request* once, within *timeout_seconds* in all.

        Raises:
            AccountRefused: the key or the account (spend limit, no credit) serves nobody now.
            RateLimited: 429 or 529: nothing was charged; `after_seconds` when the server named a time.
            OutcomeUnknown: the answer was cut, late or unreadable: it may have been charged.
            RetryLater: the server is away or broken; nothing was charged.
            Permanent: the request itself was refused (cause `model_error`).
        """
        try:
            async with asyncio.timeout(timeout_seconds):
                return await self._ask(request, timeout_seconds)
        except TimeoutError as error:
            raise failures.cut(f"nothing within {timeout_seconds:.0f} s") from error

    async def close(self) -> None:
        """Close the connections; the second time does nothing."""
        await self._client.close()

    async def _ask(self, request: ModelRequest, timeout_seconds: float) -> ModelReply:
        """Ask; where the server is without a feature, ask again without it (the refusal cost nothing)."""
        while True:
            body = parameters(request, self._features.missing(request.model))
            sent = await self._send(body, timeout_seconds)
            if not isinstance(sent, failures.Failure):
                return await self._read(sent)
            if not self._features.learn(request.model, body, sent):
                raise failures.from_status(sent, api_key=self._api_key)

    async def _send(self, body: Json, timeout_seconds: float) -> "httpx2.Response | failures.Failure":
        """The response with its body still to come, or what an error status said."""
        import anthropic
        import httpx2

        try:
            response: object = await self._client.post(
                "/v1/messages",
                # As bytes where the SDK has nothing to add: it would copy all of the conversation first.
                **({"body": body} if self._is_body_changed else {"content": orjson.dumps(body)}),
                cast_to=httpx2.Response,
                options={"timeout": timeout_seconds},
                stream=True,
                stream_cls=anthropic.AsyncStream[object],
            )
            # Asked for so, the SDK hands over the response itself, and its type says AsyncStream.
            return cast("httpx2.Response", response)
        except anthropic.APIStatusError as error:
            return failures.Failure.read(error.status_code, error.response.headers, error.body)
        except (anthropic.AnthropicError, httpx2.HTTPError) as error:
            raise self._connection_failure(error) from error
        except self._credential_errors as error:
            raise failures.no_credentials(type(error).__name__) from error
        except (TypeError, ValueError) as error:
            raise failures.unsendable(type(error).__name__) from error

    async def _read(self, response: "httpx2.Response") -> ModelReply:
        """The reply in *response*, which is closed whatever happens."""
        import httpx2

        kind = response.headers.get("content-type", "").partition(";")[0].strip().lower()
        assembly = _ASSEMBLIES[kind]() if kind in _ASSEMBLIES else None
        try:
            message = await (self._read_events(response, assembly) if assembly else _read_json(response))
        except (httpx2.HTTPError, httpx2.StreamError) as error:
            raise failures.cut(type(error).__name__) from error
        except StreamDamaged as error:
            raise failures.cut(str(error)) from error
        except StreamError as error:
            failure = failures.Failure.read_event(error.body)
            raise failures.from_event(failure, api_key=self._api_key, is_started=error.is_started) from error
        finally:
            await response.aclose()
        return reply.read(message, response.headers.get("request-id"))

    async def _read_events(self, response: "httpx2.Response", assembly: Assembly) -> Json:
        """The message that the events make; the wait for each of them is bounded."""
        size = 0
        loop = asyncio.get_running_loop()
        progress_at = loop.time()
        try:
            async with asyncio.timeout(self._idle_timeout_seconds) as limit:
                async for piece in response.aiter_bytes():
                    size += len(piece)
                    now = loop.time()
                    progress_at = now if assembly.feed(piece) else progress_at
                    limit.reschedule(self._until(assembly, now, progress_at))
                    _check_size(size)
        except TimeoutError as error:
            if not assembly.is_whole:
                raise failures.cut("the stream fell silent") from error
        return assembly.message

    def _until(self, assembly: Assembly, now: float, progress_at: float) -> float:
        """By when the next bytes must come, on the event loop's clock."""
        if assembly.is_whole:
            return now + DRAIN_SECONDS
        return min(now + self._idle_timeout_seconds, progress_at + self._max_ping_seconds)

    @staticmethod
    def _connection_failure(error: Exception) -> IssuewrightError:
        """Apart: what failed before anything was sent, and what failed after."""
        import aiohttp
        import httpx2

        before = (
            aiohttp.ClientConnectorError,
            aiohttp.ClientHttpProxyError,
            aiohttp.ConnectionTimeoutError,
            httpx2.UnsupportedProtocol,
        )
        # The SDK's error comes from the transport's, and that from what happened.
        cause = error.__cause__ or error
        origin = cause.__cause__ or cause
        reason = type(origin).__name__
        return failures.away(reason) if isinstance(origin, before) else failures.cut(reason)


async def _read_json(response: "httpx2.Response") -> Json:
    """The message of a server that answered in one piece.

    Raises:
        OutcomeUnknown: it is no JSON (also: a lone surrogate), or too much of it.
    """
    pieces, size = [], 0
    async for piece in response.aiter_bytes():
        size += len(piece)
        _check_size(size)
        pieces.append(piece)
    try:
        message: Json = orjson.loads(b"".join(pieces))
    except orjson.JSONDecodeError as error:
        raise failures.cut("it is no JSON") from error
    return message


def _check_size(size: int) -> None:
    """Give up an answer that no model writes, before it fills the memory."""
    if size > MAX_ANSWER_BYTES:
        raise failures.cut("it is too large")

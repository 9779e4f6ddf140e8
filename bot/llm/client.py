"""The Messages API through the vendor's SDK: one request, one answer, errors by what to do about them.

The SDK's own retries are off: the agent loop retries, because each attempt needs a reservation of money.
Nothing is read from `ANTHROPIC_*` environment variables: key and address are passed in.
"""

import asyncio
from typing import TYPE_CHECKING, Any

import orjson

from bot.domain.values import Json, ModelReply, ModelRequest, Usage
from bot.errors import IssuewrightError
from bot.llm import failures

if TYPE_CHECKING:
    import httpx2

DEFAULT_BASE_URL = "https://api.anthropic.com"
MAX_INPUT_DEPTH = 50
"""Our tools take flat objects; orjson writes at most 255 levels: https://github.com/ijl/orjson#serialize"""


class AnthropicModel:
    """A `bot.domain.ports.Model` on `AsyncAnthropic`; building one imports the SDK (about 2 s of CPU)."""

    def __init__(self, api_key: str, base_url: str | None = None) -> None:
        """Talk to *base_url* (None: Anthropic itself) with *api_key*."""
        import anthropic

        self._api_key = api_key
        self._client = anthropic.AsyncAnthropic(
            api_key=api_key,
            base_url=base_url or DEFAULT_BASE_URL,
            max_retries=0,
            open_telemetry=False,
            # A redirect would carry the prompt to an address that nobody configured.
            http_client=anthropic.DefaultAsyncHttpxClient(follow_redirects=False),
        )
        # The SDK merges ANTHROPIC_CUSTOM_HEADERS in without being asked, and has no switch for it.
        self._client._custom_headers = {}  # noqa: SLF001

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
                response = await self._send(request, timeout_seconds)
        except TimeoutError as error:
            raise failures.cut(f"nothing within {timeout_seconds:.0f} s") from error
        return _reply(response.content, response.headers.get("request-id"))

    async def close(self) -> None:
        """Close the connections; the second time does nothing."""
        await self._client.close()

    async def _send(self, request: ModelRequest, timeout_seconds: float) -> "httpx2.Response":
        """The raw answer: the SDK's models would drop fields that must be sent back unchanged."""
        import anthropic
        import httpx2

        try:
            answer = await self._client.messages.with_raw_response.create(
                timeout=timeout_seconds, **_parameters(request)
            )
        except anthropic.APIStatusError as error:
            failure = failures.Failure.read(error.status_code, error.response.headers, error.body)
            raise failures.from_status(failure, api_key=self._api_key) from error
        except (anthropic.AnthropicError, httpx2.HTTPError) as error:
            raise self._connection_failure(error) from error
        except (TypeError, ValueError) as error:
            raise failures.unsendable(type(error).__name__) from error
        response: httpx2.Response = answer.http_response
        return response

    @staticmethod
    def _connection_failure(error: Exception) -> IssuewrightError:
        """Apart: what failed before anything was sent, and what failed after."""
        import httpx2

        before = (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout, httpx2.UnsupportedProtocol)
        reason = type(error.__cause__ or error).__name__
        return failures.away(reason) if isinstance(error.__cause__, before) else failures.cut(reason)


def _parameters(request: ModelRequest) -> dict[str, Any]:
    """The request as keyword arguments; empty lists are left out, as the API refuses an empty tool list."""
    parameters: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens,
        "messages": request.messages,
    }
    if request.system:
        parameters["system"] = request.system
    if request.tools:
        parameters["tools"] = request.tools
    return parameters


def _reply(body: bytes, request_id: str | None) -> ModelReply:
    """The answer as a value; `content` is the server's own JSON.

    Raises:
        OutcomeUnknown: it is no JSON (also: a lone surrogate), or has not the documented shape.
    """
    try:
        data = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise failures.cut("it is no JSON") from error
    if not isinstance(data, dict) or not _is_content(data.get("content")) or not _is_usage(data.get("usage")):
        raise failures.cut("it has not the shape of a message")
    stop_reason = data.get("stop_reason")
    return ModelReply(
        content=[_without_depth(block) for block in data["content"]],
        stop_reason=stop_reason if isinstance(stop_reason, str) else None,
        usage=_usage(data["usage"]),
        model=str(data.get("model") or ""),
        request_id=request_id,
    )


def _is_content(content: object) -> bool:
    """Whether it is a list of typed blocks whose tool calls can be answered."""
    return isinstance(content, list) and all(_is_block(block) for block in content)


def _is_block(block: object) -> bool:
    """Whether the fields that we rely on are there; unknown kinds of blocks pass."""
    if not isinstance(block, dict) or not isinstance(block.get("type"), str):
        return False
    if block["type"] == "text":
        return isinstance(block.get("text"), str)
    if block["type"] == "tool_use":
        fields = (("id", str), ("name", str), ("input", dict))
        return all(isinstance(block.get(name), type_) for name, type_ in fields)
    return True


def _without_depth(block: Json) -> Json:
    """The block; a call whose arguments nest too deeply keeps none, and is told what is missing."""
    if block["type"] != "tool_use" or not _is_deeper(block["input"], MAX_INPUT_DEPTH):
        return block
    return {**block, "input": {}}


def _is_deeper(value: Any, levels: int) -> bool:
    """Whether *value* nests more than *levels* objects and lists; without recursion."""
    layer = [value]
    for _ in range(levels + 1):
        nests = [item for item in layer if isinstance(item, dict | list)]
        layer = [item for nest in nests for item in (nest.values() if isinstance(nest, dict) else nest)]
        if not nests:
            return False
    return True


def _is_usage(usage: object) -> bool:
    """Whether the bill is there: an answer that does not say what it cost would be free for ever."""
    return isinstance(usage, dict) and all(
        isinstance(usage.get(name), int) for name in ("input_tokens", "output_tokens")
    )


def _usage(fields: Json) -> Usage:
    """The four counts that cost money; cache counts may be missing or null."""

    def count(name: str) -> int:
        value = fields.get(name)
        return value if isinstance(value, int) and value > 0 else 0

    return Usage(
        input_tokens=count("input_tokens"),
        output_tokens=count("output_tokens"),
        cache_write_tokens=count("cache_creation_input_tokens"),
        cache_read_tokens=count("cache_read_input_tokens"),
    )

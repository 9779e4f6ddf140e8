"""Reading the body of a request: within a size, within a time, and not too many large ones at once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Final

from aiohttp import web

from bot.db.deliveries import PART_BYTES
from bot.limits import WEBHOOK_ANSWER_SECONDS, WEBHOOK_MAX_BYTES
from bot.web.answers import Refused

# 4 x 25 MiB is the most that uploads may hold.
_LARGE_AT_ONCE: Final = 4
_SLOT_SECONDS: Final = 2.0
_RETRY: Final = {"Retry-After": "30"}
_TOO_LARGE: Final = f"the body is larger than {WEBHOOK_MAX_BYTES} bytes"


class Bodies:
    """Reads bodies; large ones, and those that do not tell their size, take turns."""

    def __init__(
        self, *, read_seconds: float = WEBHOOK_ANSWER_SECONDS, slot_seconds: float = _SLOT_SECONDS
    ) -> None:
        """Give each body *read_seconds* to arrive: its sender does not wait longer for the answer."""
        self._read_seconds = read_seconds
        self._slot_seconds = slot_seconds
        self._large = asyncio.Semaphore(_LARGE_AT_ONCE)

    async def read(self, request: web.Request) -> tuple[bytes, ...]:
        """The raw body in parts of 256 KiB, never joined: one part where it is small.

        Raises:
            Refused: It is compressed (415), too large (413), too slow (408), or there is no room (503).
        """
        if request.headers.get("Content-Encoding", "identity").lower() != "identity":
            raise Refused(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "send the body without Content-Encoding")
        length = request.content_length
        if length is not None and length > WEBHOOK_MAX_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        if length is not None and length <= PART_BYTES:
            if request.content.is_eof() and request.content.exception() is None:
                return (request.content.read_nowait(),)
            return await self._read(request)
        async with self._slot():
            return await self._read(request)

    async def _read(self, request: web.Request) -> tuple[bytes, ...]:
        try:
            async with asyncio.timeout(self._read_seconds):
                return await _parts(request)
        except TimeoutError as error:
            message = f"the body did not arrive within {self._read_seconds:g} seconds"
            raise Refused(HTTPStatus.REQUEST_TIMEOUT, message, {"Connection": "close"}) from error
        except (ConnectionError, web.RequestPayloadError) as error:
            raise Refused(HTTPStatus.BAD_REQUEST, "the body broke off") from error

    @asynccontextmanager
    async def _slot(self) -> AsyncIterator[None]:
        """One of the few places for a large body."""
        try:
            async with asyncio.timeout(self._slot_seconds):
                await self._large.acquire()
        except TimeoutError as error:
            message = "too many large bodies at once; send it again later"
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, message, _RETRY) from error
        try:
            yield
        finally:
            self._large.release()


async def _parts(request: web.Request) -> tuple[bytes, ...]:
    """The whole body; reading ends where it becomes too large."""
    parts: list[bytes] = []
    rest = bytearray()
    async for piece in request.content.iter_any():
        rest += piece
        if len(parts) * PART_BYTES + len(rest) > WEBHOOK_MAX_BYTES:
            raise Refused(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, _TOO_LARGE)
        while len(rest) > PART_BYTES:
            parts.append(bytes(rest[:PART_BYTES]))
            del rest[:PART_BYTES]
    return (*parts, bytes(rest))

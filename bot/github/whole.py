"""A whole list, page after page, and a whole body; a part is never given out as the whole."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp

from bot.errors import Invalid

Item = TypeVar("Item")


async def whole(
    page: Callable[[str], Awaitable[tuple[list[Item], str | None]]], path: str, max_pages: int
) -> list[Item]:
    """All items from *path* on; *page* gives those of one place, and the next place where there is one.

    Raises:
        Invalid: There are more than *max_pages* pages.
    """
    found: list[Item] = []
    place = path
    for _ in range(max_pages):
        items, following = await page(place)
        found += items
        if following is None:
            return found
        place = following
    raise Invalid(f"GitHub lists more than {max_pages} pages: GET {path}")


async def read_bounded(response: aiohttp.ClientResponse, max_bytes: int) -> bytes | None:
    """The whole body, or None as soon as it is longer than *max_bytes* (after decompression)."""
    received = bytearray()
    async for chunk in response.content.iter_any():
        received += chunk
        if len(received) > max_bytes:
            return None
    return bytes(received)

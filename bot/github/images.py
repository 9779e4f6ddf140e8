"""Fetches pictures from GitHub's own hosts: never another address, never with a credential of ours."""

import asyncio
from dataclasses import dataclass
from typing import Final

import aiohttp
from yarl import URL

from bot import logs
from bot.domain import images
from bot.domain.images import MAX_IMAGE_BYTES, Picture
from bot.github.transport import CONNECT_TIMEOUT_SECONDS
from bot.github.whole import read_bounded

log = logs.get(__name__)

TIMEOUT_SECONDS: Final = 20.0
MAX_HOPS: Final = 3
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Gallery:
    """Pictures of one GitHub; whatever is wrong with one, the others and the job go on."""

    session: aiohttp.ClientSession
    github_url: str

    async def fetch(self, url: str) -> Picture | None:
        """The picture at *url*, or None: not ours to ask, not there, too big, too slow, or no picture."""
        try:
            async with asyncio.timeout(TIMEOUT_SECONDS):
                data = await self._follow(url)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            log.info("picture_not_fetched", why=type(error).__name__)
            return None
        return None if data is None else images.picture_of(data)

    async def _follow(self, url: str) -> bytes | None:
        """The bytes at *url* after at most MAX_HOPS redirects, each of them to an allowed host."""
        for _ in range(MAX_HOPS):
            if not images.may_be_asked(url, self.github_url):
                return None
            async with self.session.get(
                URL(url, encoded=True),
                headers={"accept": "image/*"},
                allow_redirects=False,
                timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_TIMEOUT_SECONDS),
            ) as answer:
                if answer.status not in _REDIRECTS:
                    return await read_bounded(answer, MAX_IMAGE_BYTES) if answer.status == 200 else None
                url = str(URL(url, encoded=True).join(URL(answer.headers.get("location", ""), encoded=True)))
        return None

"""`GET /metrics`: figures from the database, the same whichever process is asked, at a bounded price."""

import asyncio
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Final

from aiohttp import HttpVersion11, web
from sqlalchemy.exc import SQLAlchemyError

from bot import logs
from bot.config import Secret
from bot.db import figures
from bot.db.database import Database
from bot.db.figures import Figures
from bot.domain.clock import Clock
from bot.domain.values import Scope
from bot.web.answers import Refused
from bot.web.deps import DEPS

FRESH_SECONDS: Final = 5.0
"""How long an answer serves everybody who asks."""
REST: Final = 10
"""After a collection it rests for this many times as long as that took."""
TIMEOUT_SECONDS: Final = 8.0
"""Prometheus gives a scrape up after 10 s."""
_FORWARDED: Final = ("Forwarded", "Via", "X-Real-IP", "X-Client-IP", "True-Client-IP", "CF-Connecting-IP")
_log = logs.get(__name__)


@dataclass(slots=True)
class Collection:
    """The last figures, asked for anew when they are old; one at a time, whoever asks."""

    database: Database
    clock: Clock
    worker_silence_seconds: float
    timeout_seconds: float = TIMEOUT_SECONDS
    took_seconds: float = field(default=0.0, init=False)
    _known: Figures | None = field(default=None, init=False)
    _fresh_until: float = field(default=float("-inf"), init=False)
    _asking: "asyncio.Task[None] | None" = field(default=None, init=False)

    async def figures(self) -> Figures | None:
        """What is known, at most a few seconds old; None while the database does not answer; never raises."""
        if self._asking is None and self.clock.monotonic() >= self._fresh_until:
            self._asking = asyncio.create_task(self._ask())
        if self._asking is not None:
            # Whoever hangs up must not take the answer from the others.
            await asyncio.shield(self._asking)
        return self._known

    async def _ask(self) -> None:
        began = self.clock.monotonic()
        try:
            async with asyncio.timeout(self.timeout_seconds):
                self._known = await self._collect()
        except (SQLAlchemyError, OSError, TimeoutError) as error:
            _log.warning("figures_not_collected", reason=type(error).__name__)
            self._known = None
        finally:
            now = self.clock.monotonic()
            self.took_seconds = now - began
            self._fresh_until = now + max(FRESH_SECONDS, REST * self.took_seconds)
            self._asking = None

    async def _collect(self) -> Figures:
        now = self.clock.now()
        silent_before = now - timedelta(seconds=self.worker_silence_seconds)
        async with self.database.read() as connection:
            return await figures.collect(Scope.system(), connection, now=now, silent_before=silent_before)


async def scrape(request: web.Request) -> web.Response:
    """`GET /metrics` in Prometheus's text form; without the database only what this process knows.

    Raises:
        Refused: 401 without the token where one is set; where none is, 404 for everybody but this machine.
    """
    deps = request.app[DEPS]
    check_access(request, deps.metrics_token)
    if deps.figures is None:
        raise Refused(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.description)
    known = await deps.figures.figures()
    now, took_seconds = deps.clock.now(), deps.figures.took_seconds
    body, content_type = await asyncio.to_thread(_render, known, now, took_seconds)
    return web.Response(body=body, headers={"Content-Type": content_type})


def check_access(request: web.Request, token: Secret | None) -> None:
    """Let a scraper with the token in, or, where none is set, one on this machine.

    Raises:
        Refused: 401 or 404.
    """
    if token is not None:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        is_right = hmac.compare_digest(given.strip().encode(errors="replace"), token.reveal().encode())
        if kind.lower() != "bearer" or not is_right:
            message = "send ISSUEWRIGHT_METRICS_TOKEN as Authorization: Bearer"
            raise Refused(HTTPStatus.UNAUTHORIZED, message, {"WWW-Authenticate": "Bearer"})
    elif not _is_from_here(request):
        raise Refused(HTTPStatus.NOT_FOUND, HTTPStatus.NOT_FOUND.description)


def _is_from_here(request: web.Request) -> bool:
    """Whether the peer is this machine and speaks for itself, not a proxy or a misled browser for somebody.

    nginx forwards as HTTP/1.0 and without any header unless it is told otherwise; a browser that was
    led here by a foreign name sends that name.
    """
    peername = request.transport.get_extra_info("peername") if request.transport else None
    peer = peername[0] if isinstance(peername, tuple) else ""
    return (
        _is_loopback(peer)
        and request.version >= HttpVersion11
        and _names_this_machine(request.host)
        and not _is_forwarded(request.headers)
    )


def _is_forwarded(headers: Mapping[str, str]) -> bool:
    has_known = any(name in headers for name in _FORWARDED)
    return has_known or any(name.lower().startswith("x-forwarded-") for name in headers)


def _names_this_machine(host: str) -> bool:
    name = host.rpartition(":")[0] if not host.endswith("]") and ":" in host else host
    return name == "localhost" or _is_loopback(name.strip("[]"))


def _is_loopback(address: str) -> bool:
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return False
    mapped = getattr(parsed, "ipv4_mapped", None)
    return (mapped or parsed).is_loopback


def _render(known: Figures | None, now: datetime, took_seconds: float) -> tuple[bytes, str]:
    from bot.web import exposition  # noqa: PLC0415 - only a process that is scraped pays for it

    return exposition.render(known, now=now, took_seconds=took_seconds), exposition.CONTENT_TYPE

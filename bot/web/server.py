"""Runs the application on the listening socket that the supervisor opened, until it is told to stop."""

import asyncio
import gc
import signal
import socket
from typing import Final

from aiohttp import web, web_response

from bot import logs
from bot.web.answers import SERVER_NAME

# A proxy in front keeps idle connections for 60 s by default (nginx, AWS); we must be the longer one.
# It is also the time within which the first header block of a connection must have come.
KEEPALIVE_SECONDS: Final = 75.0
LINGER_SECONDS: Final = 5.0
_DRAIN_SECONDS: Final = 20.0
_MAX_LINE_BYTES: Final = 8190
_MAX_HEADERS: Final = 100
_log = logs.get(__name__)


async def serve(app: web.Application, listener: socket.socket) -> None:
    """Answer on *listener* until SIGTERM; then finish the requests that have begun, for 20 s at most."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # What the start has made stays; no request pays for looking through it again.
    gc.collect()
    gc.freeze()
    try:
        await serve_until(stop, app, listener)
    finally:
        loop.remove_signal_handler(signal.SIGTERM)
        gc.unfreeze()


async def serve_until(
    stop: asyncio.Event,
    app: web.Application,
    listener: socket.socket,
    *,
    keepalive_seconds: float = KEEPALIVE_SECONDS,
    linger_seconds: float = LINGER_SECONDS,
) -> None:
    """Answer on *listener* until *stop* is set; the socket is closed at the end.

    A connection on which no whole request head came for *keepalive_seconds* is closed, and so is one whose
    body has not ended *linger_seconds* after its answer.
    """
    # What is no HTTP never reaches the application; aiohttp answers it and would name its versions.
    web_response.SERVER_SOFTWARE = SERVER_NAME  # type: ignore[attr-defined]
    runner = web.AppRunner(
        app,
        access_log=None,
        auto_decompress=False,
        keepalive_timeout=keepalive_seconds,
        lingering_time=linger_seconds,
        max_line_size=_MAX_LINE_BYTES,
        max_field_size=_MAX_LINE_BYTES,
        max_headers=_MAX_HEADERS,
        shutdown_timeout=_DRAIN_SECONDS,
    )
    await runner.setup()
    try:
        await web.SockSite(runner, listener).start()
        _log.info("web_listening", address=listener.getsockname()[:2])
        await stop.wait()
        _log.info("web_stopping")
    finally:
        await runner.cleanup()

"""What every request passes: the record and the fault rules, for REST and git alike."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

from aiohttp import web

from bot.standin.forge import refusals
from bot.standin.forge.clock import ForgeClock
from bot.standin.forge.faults import Delay, Drop, Faults, Hang, Reply
from bot.standin.forge.record import Exchange, shown_headers

Produce: TypeAlias = Callable[[Exchange, float], Awaitable[web.Response]]


class Gate:
    """Records each request and its answer, and strikes where a rule says so."""

    def __init__(self, clock: ForgeClock, faults: Faults, requests: list[Exchange]) -> None:
        self._clock = clock
        self._faults = faults
        self._requests = requests

    async def serve(
        self, kind: str, request: web.Request, body: bytes, produce: Produce
    ) -> web.StreamResponse:
        """The answer that *produce* makes (given the record and a delay in seconds), or a fault."""
        exchange = self._begin(kind, request, body)
        action = self._faults.take(request.method, request.path)
        exchange.fault = None if action is None else type(action).__name__
        delay_seconds = action.seconds if isinstance(action, Delay) else 0.0
        fault = None if isinstance(action, Delay) else action
        if fault is not None and not fault.is_after:
            struck = await self._strike(request, exchange, fault)
            if struck is not None:
                return struck
        response = await produce(exchange, delay_seconds)
        if fault is not None and fault.is_after:
            struck = await self._strike(request, exchange, fault)
            if struck is not None:
                return struck
        return _noted(exchange, response)

    def _begin(self, kind: str, request: web.Request, body: bytes) -> Exchange:
        exchange = Exchange(
            number=len(self._requests) + 1,
            kind=kind,
            at=self._clock.now(),
            method=request.method,
            path=request.rel_url.raw_path,
            query=request.rel_url.raw_query_string,
            request_headers=shown_headers(request.headers),
            request_body=body,
        )
        self._requests.append(exchange)
        return exchange

    async def _strike(
        self, request: web.Request, exchange: Exchange, fault: Reply | Hang | Drop
    ) -> web.StreamResponse | None:
        """Do the fault; None means: go on as if nothing had happened."""
        if isinstance(fault, Reply):
            return _noted(exchange, _made_up(fault))
        if isinstance(fault, Hang) and await self._faults.wait(fault.seconds):
            return None
        request.protocol.force_close()
        return web.Response()


def _made_up(fault: Reply) -> web.Response:
    if fault.body is not None:
        return web.Response(status=fault.status, text=fault.body, headers=fault.headers)
    body = refusals.Refusal(fault.status, "Injected failure").body()
    return web.json_response(body, status=fault.status, headers=fault.headers)


def _noted(exchange: Exchange, response: web.Response) -> web.Response:
    body = response.body if isinstance(response.body, bytes) and exchange.kind == "rest" else b""
    exchange.answered(response.status, response.headers, body)
    return response

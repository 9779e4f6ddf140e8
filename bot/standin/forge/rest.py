"""From an HTTP request to a handler and back: credentials, permissions, errors."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from aiohttp import web

from bot.standin.forge import auth, refusals
from bot.standin.forge.call import Answer, Call, Route
from bot.standin.forge.gate import Gate
from bot.standin.forge.plumbing import GitRefused
from bot.standin.forge.record import Exchange
from bot.standin.forge.stage import Stage

# https://docs.github.com/rest/about-the-rest-api/api-versions
API_VERSIONS = ("2022-11-28", "2026-03-10")
_JSON = "application/json; charset=utf-8"
_HOURLY_REQUESTS = 5000  # https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api


class Rest:
    """The REST interface over one stage."""

    def __init__(self, stage: Stage, gate: Gate) -> None:
        self._stage = stage
        self._gate = gate

    def handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The aiohttp handler of one operation."""

        async def handle(request: web.Request) -> web.StreamResponse:
            body = await request.read()
            return await self._gate.serve("rest", request, body, partial(self._handle, request, route))

        return handle

    async def no_such_route(self, request: web.Request) -> web.StreamResponse:
        """What GitHub does not know either, or what the forge has not: 404."""
        return await self.handler(Route("*", "/", _nothing, "anyone"))(request)

    async def _handle(
        self, request: web.Request, route: Route, exchange: Exchange, delay_seconds: float
    ) -> web.Response:
        try:
            call = self._call(request, exchange, route, delay_seconds)
            return self._response(exchange, await route.handler(call), route.needs)
        except refusals.Refusal as refusal:
            return self._response(exchange, Answer(refusal.status, refusal.body(), refusal.headers))
        except GitRefused as error:
            failed = refusals.Refusal(500, f"Server Error: {error}")
            return self._response(exchange, Answer(failed.status, failed.body()))

    def _call(self, request: web.Request, exchange: Exchange, route: Route, delay_seconds: float) -> Call:
        _check_headers(request)
        call = Call(
            stage=self._stage,
            path=request.rel_url.raw_path,
            match=request.match_info,
            query=request.query,
            headers=request.headers,
            raw_body=exchange.request_body,
            delay_seconds=delay_seconds,
        )
        credential = auth.bearer(request.headers.get("Authorization"))
        if route.needs == "app":
            auth.check_app(self._stage.world, credential)
            exchange.caller = "app"
            return call
        if route.needs == "anyone" and credential is None:
            return call
        token = auth.find_token(self._stage.world, credential)
        exchange.called_with(token)
        call = replace(call, caller=token)
        return call if route.needs in {"token", "anyone"} else self._with_repository(call, request, route)

    def _with_repository(self, call: Call, request: web.Request, route: Route) -> Call:
        world = self._stage.world
        repository = world.repository(f"{call.match['owner']}/{call.match['repo']}")
        if not auth.reaches(world, call.token, repository):
            raise refusals.not_found()
        auth.check_permissions(call.token, route.needs)
        if repository.is_archived and request.method != "GET":
            raise refusals.forbidden("Repository was archived so is read-only.")
        return replace(call, found=repository)

    def _response(self, exchange: Exchange, answer: Answer, needs: str = "") -> web.Response:
        asked = exchange.request_headers.get("X-GitHub-Api-Version", API_VERSIONS[0])
        headers = {
            "X-GitHub-Request-Id": f"F0:{exchange.number:08X}",
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-GitHub-Api-Version-Selected": asked,
            "X-RateLimit-Limit": str(_HOURLY_REQUESTS),
            "X-RateLimit-Remaining": str(max(0, _HOURLY_REQUESTS - exchange.number)),
            "X-RateLimit-Used": str(exchange.number),
            "X-RateLimit-Reset": str(int(exchange.at) + 3600),
            "X-RateLimit-Resource": "core",
        }
        if "=" in needs:
            headers["X-Accepted-GitHub-Permissions"] = needs
        body = _encode(answer.body)
        if body is not None:
            headers["Content-Type"] = _JSON
        return web.Response(status=answer.status, body=body, headers={**headers, **answer.headers})


def _encode(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    return json.dumps(body, ensure_ascii=False).encode()


def _check_headers(request: web.Request) -> None:
    if not request.headers.get("User-Agent"):
        raise refusals.forbidden(
            "Request forbidden by administrative rules. Please send a User-Agent header."
        )
    if request.headers.get("X-GitHub-Api-Version", API_VERSIONS[0]) not in API_VERSIONS:
        raise refusals.bad_request("The API version is not supported.")


async def _nothing(_: Call) -> Answer:
    raise refusals.not_found()

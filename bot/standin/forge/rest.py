"""From an HTTP request to a handler and back: credentials, faults, errors, record."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

from aiohttp import web

from bot.standin.forge import auth, refusals
from bot.standin.forge.call import Answer, Call, Route
from bot.standin.forge.faults import Delay, Drop, Faults, Hang, Reply
from bot.standin.forge.plumbing import GitRefused
from bot.standin.forge.record import Exchange, shown_headers
from bot.standin.forge.stage import Stage

# https://docs.github.com/rest/about-the-rest-api/api-versions
API_VERSIONS = ("2022-11-28", "2026-03-10")
_JSON = "application/json; charset=utf-8"


class Rest:
    """The REST interface over one stage; `requests` is the record that git over HTTP shares."""

    def __init__(self, stage: Stage, faults: Faults, requests: list[Exchange]) -> None:
        self._stage = stage
        self._faults = faults
        self.requests = requests

    def handler(self, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
        """The aiohttp handler of one operation."""

        async def handle(request: web.Request) -> web.StreamResponse:
            return await self._serve(request, route)

        return handle

    async def no_such_route(self, request: web.Request) -> web.StreamResponse:
        """What GitHub does not know either, or what the forge has not: 404."""
        return await self._serve(request, Route("*", "/", _nothing, "anyone"))

    async def _serve(self, request: web.Request, route: Route) -> web.StreamResponse:
        exchange = self.begin("rest", request, await request.read())
        action = self._faults.take(request.method, request.path)
        exchange.fault = None if action is None else type(action).__name__
        if action is not None and not isinstance(action, Delay) and not action.is_after:
            struck = await self._strike(request, exchange, action)
            if struck is not None:
                return struck
        delay_seconds = action.seconds if isinstance(action, Delay) else 0.0
        response = await self._handle(request, exchange, route, delay_seconds)
        if action is not None and not isinstance(action, Delay) and action.is_after:
            struck = await self._strike(request, exchange, action)
            if struck is not None:
                return struck
        exchange.answered(response.status, response.headers, _bytes(response))
        return response

    def begin(self, kind: str, request: web.Request, body: bytes) -> Exchange:
        """A new line of the record."""
        exchange = Exchange(
            number=len(self.requests) + 1,
            kind=kind,
            at=self._stage.world.clock.now(),
            method=request.method,
            path=request.rel_url.raw_path,
            query=request.rel_url.raw_query_string,
            request_headers=shown_headers(request.headers),
            request_body=body,
        )
        self.requests.append(exchange)
        return exchange

    async def _strike(
        self, request: web.Request, exchange: Exchange, action: Reply | Hang | Drop
    ) -> web.StreamResponse | None:
        """Do the fault; None means: go on as if nothing had happened."""
        if isinstance(action, Reply):
            refusal = refusals.Refusal(action.status, "Injected failure", headers=action.headers)
            response = self._response(exchange, Answer(action.status, refusal.body(), action.headers))
            if action.body is not None:
                response = web.Response(status=action.status, text=action.body, headers=action.headers)
            exchange.answered(response.status, response.headers, _bytes(response))
            return response
        if isinstance(action, Hang) and await self._faults.wait(action.seconds):
            return None
        if request.transport is not None:
            request.transport.abort()
        return web.Response()

    async def _handle(
        self, request: web.Request, exchange: Exchange, route: Route, delay_seconds: float
    ) -> web.Response:
        try:
            call = self._call(request, exchange, route, delay_seconds)
            return self._response(exchange, await route.handler(call), route.needs)
        except refusals.Refusal as refusal:
            return self._response(exchange, Answer(refusal.status, refusal.body(), refusal.headers))
        except GitRefused as error:
            failed = refusals.unprocessable(f"GitRPC::CommandFailed: {error}")
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
        exchange.caller, exchange.token_id = "installation", token.id
        exchange.permissions = dict(token.permissions)
        call = replace(call, token=token)
        return call if route.needs in {"token", "anyone"} else self._with_repository(call, request, route)

    def _with_repository(self, call: Call, request: web.Request, route: Route) -> Call:
        world = self._stage.world
        repository = world.repository(f"{call.match['owner']}/{call.match['repo']}")
        if call.token is None or not auth.reaches(world, call.token, repository):
            raise refusals.not_found()
        auth.check_permissions(call.token, route.needs)
        if repository.is_archived and request.method != "GET":
            raise refusals.forbidden("Repository was archived so is read-only.")
        return replace(call, found=repository)

    def _response(self, exchange: Exchange, answer: Answer, needs: str = "") -> web.Response:
        headers = {
            "X-GitHub-Request-Id": f"F0:{exchange.number:08X}",
            "X-GitHub-Media-Type": "github.v3; format=json",
            "X-GitHub-Api-Version-Selected": exchange.request_headers.get(
                "X-GitHub-Api-Version", API_VERSIONS[0]
            ),
            "X-RateLimit-Limit": "5000",
            "X-RateLimit-Remaining": str(max(0, 5000 - exchange.number)),
            "X-RateLimit-Used": str(exchange.number),
            "X-RateLimit-Reset": str(int(exchange.at) + 3600),
            "X-RateLimit-Resource": "core",
        }
        if "=" in needs:
            headers["X-Accepted-GitHub-Permissions"] = needs
        headers.update(answer.headers)
        body = _encode(answer.body)
        if body is not None and "Content-Type" not in headers:
            headers["Content-Type"] = _JSON
        return web.Response(status=answer.status, body=body, headers=headers)


def _encode(body: Any) -> bytes | None:  # noqa: ANN401 - JSON of an answer
    if body is None or isinstance(body, bytes):
        return body
    return json.dumps(body, ensure_ascii=False).encode()


def _bytes(response: web.Response) -> bytes:
    return response.body if isinstance(response.body, bytes) else b""


def _check_headers(request: web.Request) -> None:
    if not request.headers.get("User-Agent"):
        raise refusals.forbidden(
            "Request forbidden by administrative rules. Please send a User-Agent header."
        )
    if request.headers.get("X-GitHub-Api-Version", API_VERSIONS[0]) not in API_VERSIONS:
        raise refusals.bad_request("The API version is not supported.")


async def _nothing(_: Call) -> Answer:
    raise refusals.not_found()

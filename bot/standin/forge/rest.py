"""From an HTTP request to a handler and back: credentials, permissions, errors."""

import json
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import partial
from typing import Any

from aiohttp import web

from bot.standin.forge import auth, refusals
from bot.standin.forge.call import Answer, Call, Route
from bot.standin.forge.faults import JSON
from bot.standin.forge.gate import Gate
from bot.standin.forge.plumbing import GitRefused
from bot.standin.forge.record import Exchange
from bot.standin.forge.stage import Stage
from bot.standin.forge.state import Repository

# https://docs.github.com/rest/about-the-rest-api/api-versions
API_VERSIONS = ("2022-11-28", "2026-03-10")
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
        repository = self._repository(call, request)
        if not auth.reaches(self._stage.world, call.token, repository):
            raise refusals.not_found()
        auth.check_permissions(call.token, route.needs)
        if repository.is_archived and request.method != "GET":
            raise refusals.forbidden("Repository was archived so is read-only.")
        return replace(call, found=repository)

    def _repository(self, call: Call, request: web.Request) -> Repository:
        """The repository of the path; raises the redirect of GitHub for a name that it had before."""
        world = self._stage.world
        if "repository_id" in call.match:
            return world.repository_by_id(call.number("repository_id"))
        name = f"{call.match['owner']}/{call.match['repo']}"
        former = world.former_names.get(name.lower())
        if former is None or name.lower() in world.repositories:
            return world.repository(name)
        rest = "/".join(request.rel_url.raw_path.split("/")[4:])
        query = f"?{request.rel_url.raw_query_string}" if request.rel_url.raw_query_string else ""
        place = f"{world.url}/repositories/{former.id}{'/' if rest else ''}{rest}{query}"
        # https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api
        status = 301 if request.method == "GET" else 307
        raise refusals.Refusal(status, "Moved Permanently", headers={"Location": place})

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
            headers |= JSON
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

"""Servers that lie, stall, redirect and never end."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web

from bot.errors import Invalid, NotFound, OutcomeUnknown, RetryLater
from bot.github.faults import Moved
from bot.github.transport import Credential, Transport
from tests.fakes import ManualClock
from tests.github.conftest import Handler, Serve

TOKEN = Credential(oauth_token="ghs_secret-of-the-test")
To = Callable[[str], Transport]


def _answer(status: int = 200, body: str = "{}", **headers: str) -> Handler:
    async def handler(_: web.Request) -> web.Response:
        given = {"Content-Type": "application/json", **{k.replace("_", "-"): v for k, v in headers.items()}}
        return web.Response(status=status, body=body.encode(), headers=given)

    return handler


async def _ask(transport: Transport, method: str = "GET", path: str = "/thing", **more: Any) -> Any:
    more.setdefault("credential", TOKEN)
    return await transport.ask(method, path, lambda data: data["id"], **more)


async def test_each_request_names_the_api_version_and_the_product(serve: Serve, transport_to: To) -> None:
    seen: list[web.Request] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request)
        return web.json_response({"id": 1})

    assert await _ask(transport_to(await serve(handler))) == 1
    headers = seen[0].headers
    assert headers["X-GitHub-Api-Version"] == "2022-11-28"
    assert headers["User-Agent"] == "issuewright" and headers["Accept"] == "application/vnd.github+json"


@pytest.mark.parametrize(
    "handler",
    [
        _answer(200, ""),
        _answer(200, '{"id": 1'),
        _answer(200, "<html>hello</html>"),
        _answer(200, "<html>hello</html>", Content_Type="text/html"),
        _answer(200, '{"id": 1}', Content_Type="application/json; charset=no-such"),
        _answer(200, "\udcff".encode("utf-8", "surrogateescape").decode("latin-1")),
        _answer(200, "[]"),
        _answer(200, "null"),
        _answer(200, '{"other": 1}'),
        _answer(502, "<html>Unicorn</html>", Content_Type="application/json"),
    ],
)
async def test_an_answer_that_cannot_be_read_is_no_answer(
    serve: Serve, transport_to: To, handler: Handler
) -> None:
    transport = transport_to(await serve(handler))
    with pytest.raises(RetryLater) as read:
        await _ask(transport)
    assert not isinstance(read.value, OutcomeUnknown)
    with pytest.raises(OutcomeUnknown):
        await _ask(transport, "POST", data={"a": 1})


async def test_a_silent_server_ends_at_the_timeout(serve: Serve, transport_to: To) -> None:
    async def handler(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    transport = transport_to(await serve(handler))
    with pytest.raises(RetryLater, match="did not answer"):
        await _ask(transport)
    with pytest.raises(OutcomeUnknown):
        await _ask(transport, "POST", data={})


async def test_what_was_never_sent_may_simply_be_sent_again(transport_to: To) -> None:
    with pytest.raises(RetryLater, match="cannot be reached") as caught:
        await _ask(transport_to("http://127.0.0.1:1"), "POST", data={})
    assert type(caught.value) is RetryLater


async def test_a_connection_cut_in_the_middle_of_an_answer_is_no_answer(
    serve: Serve, transport_to: To
) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json", "Content-Length": "100"})
        await response.prepare(request)
        await response.write(b'{"id": 1')
        assert request.transport is not None
        request.transport.abort()
        return response

    with pytest.raises(OutcomeUnknown):
        await _ask(transport_to(await serve(handler)), "PATCH", data={})


async def test_an_answer_has_a_largest_size(serve: Serve, transport_to: To) -> None:
    transport = transport_to(await serve(_answer(200, json.dumps({"id": "x" * 2_000}))))
    with pytest.raises(Invalid, match="larger than 1000 bytes"):
        await _ask(transport)
    with pytest.raises(OutcomeUnknown, match="larger"):
        await _ask(transport, "POST", data={})


async def test_a_compressed_answer_counts_unpacked(serve: Serve, transport_to: To) -> None:
    async def handler(_: web.Request) -> web.Response:
        response = web.json_response({"id": "x" * 2_000})
        response.enable_compression()
        return response

    with pytest.raises(Invalid, match="larger"):
        await _ask(transport_to(await serve(handler)))


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_read_follows_a_redirect_on_the_same_server(
    serve: Serve, transport_to: To, status: int
) -> None:
    async def handler(request: web.Request) -> web.Response:
        if request.path == "/thing":
            return web.Response(status=status, headers={"Location": "/repositories/5/thing?a=b"})
        return web.json_response({"id": f"{request.path_qs} {request.headers['Authorization']}"})

    found = await _ask(transport_to(await serve(handler)))
    assert found == "/repositories/5/thing?a=b token ghs_secret-of-the-test"


@pytest.mark.parametrize(("status", "is_followed"), [(301, False), (302, False), (307, True), (308, True)])
async def test_a_write_is_repeated_elsewhere_only_when_github_says_so(
    serve: Serve, transport_to: To, status: int, is_followed: bool
) -> None:
    bodies: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        if request.path == "/thing":
            return web.Response(status=status, headers={"Location": "/new"})
        bodies.append(f"{request.method} {await request.text()}")
        return web.json_response({"id": 1})

    transport = transport_to(await serve(handler))
    if is_followed:
        assert await _ask(transport, "POST", data={"a": 1}) == 1
        assert bodies == ['POST {"a": 1}']
    else:
        with pytest.raises(Moved):
            await _ask(transport, "POST", data={"a": 1})
        assert not bodies


async def test_the_token_never_goes_to_another_server(serve: Serve, transport_to: To) -> None:
    seen: list[str] = []

    async def stranger(request: web.Request) -> web.Response:
        seen.append(request.path)
        return web.json_response({"id": 1})

    elsewhere = await serve(stranger)
    for place in (f"{elsewhere}/x", elsewhere.replace("http:", "") + "/x"):
        transport = transport_to(await serve(_answer(302, "", Location=place)))
        with pytest.raises(NotFound, match="away from GitHub"):
            await _ask(transport)
    link = f'<{elsewhere}/x>; rel="next"'
    transport = transport_to(await serve(_answer(200, '[{"id": 1}]', Link=link)))
    with pytest.raises(NotFound, match="away from GitHub"):
        await transport.pages("/list", dict, credential=TOKEN, variables={}, max_pages=5)
    assert not seen


async def test_a_redirect_in_circles_ends(serve: Serve, transport_to: To) -> None:
    with pytest.raises(Moved, match="circles"):
        await _ask(transport_to(await serve(_answer(302, "", Location="/thing"))))


async def test_a_redirect_to_nowhere_has_moved(serve: Serve, transport_to: To) -> None:
    with pytest.raises(Moved):
        await _ask(transport_to(await serve(_answer(301, ""))))


async def test_a_list_without_end_is_refused(serve: Serve, transport_to: To) -> None:
    async def handler(request: web.Request) -> web.Response:
        return web.json_response([1], headers={"Link": f'<{request.url.with_query(page="2")}>; rel="next"'})

    with pytest.raises(Invalid, match="more than 3 pages"):
        await transport_to(await serve(handler)).pages(
            "/list", int, credential=TOKEN, variables={}, max_pages=3
        )


async def test_a_list_that_is_no_list_is_no_answer(serve: Serve, transport_to: To) -> None:
    transport = transport_to(await serve(_answer(200, '{"items": [1]}')))
    with pytest.raises(RetryLater, match="another shape"):
        await transport.pages("/list", int, credential=TOKEN, variables={}, max_pages=3)


async def test_values_cannot_leave_their_place_in_a_path(serve: Serve, transport_to: To) -> None:
    seen: list[str] = []

    async def handler(request: web.Request) -> web.Response:
        seen.append(request.raw_path)
        return web.json_response({"id": 1})

    transport = transport_to(await serve(handler))
    await _ask(transport, path="/a/{x}/b{?y}", variables={"x": "../c?d=%2e#e", "y": "1&z=2"})
    assert seen == ["/a/..%2Fc%3Fd%3D%252e%23e/b?y=1%26z%3D2"]


async def test_gidgethub_sleeps_on_our_clock(transport_to: To, clock: ManualClock) -> None:
    await transport_to("http://127.0.0.1:1").sleep(5)
    assert clock.slept == [5]


def test_a_credential_shows_no_value() -> None:
    assert "secret-of" not in repr(TOKEN) and "ey" not in repr(Credential(jwt="ey.secret-of"))

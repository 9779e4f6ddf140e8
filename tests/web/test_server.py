"""The server's manners: errors in JSON, no versions, no other origins, an orderly end."""

import asyncio
import os
import signal
import socket
import subprocess
import sys

import pytest
from aiohttp import web

from bot.web.app import make_app
from bot.web.deps import WebDeps
from bot.web.server import serve
from tests.web.conftest import HOOK, Site, running


async def raw(port: int, request: bytes) -> str:
    """What the server answers to *request*, to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer.decode()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("GET", "/", 404), ("GET", "/webhooks/github/", 404), ("GET", HOOK, 405), ("DELETE", "/readyz", 405)],
)
async def test_errors_are_json(site: Site, method: str, path: str, status: int) -> None:
    async with site.client.request(method, path) as response:
        assert response.status == status
        assert list(await response.json()) == ["error"]


async def test_a_wrong_method_is_told_the_right_ones(site: Site) -> None:
    async with site.client.get(HOOK) as response:
        assert response.headers["Allow"] == "POST"


@pytest.mark.parametrize("path", ["/healthz", "/nothing", HOOK])
async def test_no_answer_gives_anything_away(site: Site, path: str) -> None:
    async with site.client.get(path, headers={"Origin": "https://evil.example"}) as response:
        assert response.headers["Server"] == "issuewright"
        assert response.headers["X-Content-Type-Options"] == "nosniff"
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


async def test_a_preflight_from_another_origin_is_refused(site: Site) -> None:
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    async with site.client.options(HOOK, headers=headers) as response:
        assert response.status == 405
        assert not [name for name in response.headers if name.lower().startswith("access-control")]


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01 no http\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nA: " + b"a" * 9_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n"
        + b"".join(b"H%d: x\r\n" % number for number in range(101))
        + b"\r\n",
        b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n",
    ],
    ids=["noise", "long header", "many headers", "long path", "two lengths"],
)
async def test_what_is_no_good_http_is_answered_400_without_versions(
    site: Site, request_bytes: bytes
) -> None:
    answer = await raw(site.port, request_bytes)
    assert answer.startswith(("HTTP/1.1 400", "HTTP/1.0 400"))
    assert "aiohttp" not in answer and "Python" not in answer


@pytest.mark.parametrize("begun", [b"", b"POST /webhooks/github HTTP/1.1\r\nX-Slow: "])
async def test_a_connection_without_a_request_is_closed(deps: WebDeps, begun: bytes) -> None:
    async with running(make_app(deps), keepalive_seconds=0.01) as (_, port):
        assert await asyncio.wait_for(raw(port, begun), timeout=60) == ""


async def test_sigterm_finishes_what_has_begun_and_takes_no_more(deps: WebDeps) -> None:
    begun, on = asyncio.Event(), asyncio.Event()

    async def slow(_request: web.Request) -> web.Response:
        begun.set()
        await on.wait()
        return web.Response(text="done")

    app = make_app(deps)
    app.router.add_get("/slow", slow)
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    serving = asyncio.create_task(serve(app, listener))
    request = b"GET /slow HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    answering = asyncio.create_task(raw(port, request))
    await begun.wait()
    os.kill(os.getpid(), signal.SIGTERM)
    while listener.fileno() != -1:  # noqa: ASYNC110 - the server has no event for it
        await asyncio.sleep(0)
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", port)
    on.set()
    assert (await answering).endswith("done")
    await serving


def test_the_web_process_never_loads_the_model_s_or_github_s_library() -> None:
    code = "import bot.web.app, bot.web.server, bot.intake.inbox, bot.db.database, bot.logs"
    words = [sys.executable, "-X", "importtime", "-c", code]
    environ = {name: text for name, text in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environ)
    loaded = {line.rsplit("|", 1)[-1].strip().split(".")[0] for line in done.stderr.splitlines()}
    assert "aiohttp" in loaded and "sqlalchemy" in loaded
    assert not loaded & {"anthropic", "gidgethub", "github", "cryptography", "httpx", "pydantic"}

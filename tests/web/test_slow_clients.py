"""Clients that are slow on purpose, through real sockets: none holds a connection for ever."""

import asyncio
from itertools import repeat

import pytest

from bot.web.app import make_app
from bot.web.bodies import Bodies
from bot.web.deps import WebDeps
from tests.payloads import issues_event
from tests.web.conftest import Site, running

SHORT_SECONDS = 0.05
DRIP_SECONDS = 0.01
HEAD = b"POST /webhooks/github HTTP/1.1\r\nHost: x\r\n"
WHOLE = b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"


async def drip(port: int, begun: bytes, drop: bytes) -> bytes:
    """Send *begun*, then *drop* again and again, until the server closes; gives what it said."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(begun)
    said = b""
    async with asyncio.timeout(60):
        for one in repeat(drop):
            try:
                async with asyncio.timeout(DRIP_SECONDS):
                    piece = await reader.read(9_999)
            except TimeoutError:
                writer.write(one)
                continue
            except ConnectionError:
                break
            if not piece:
                break
            said += piece
    writer.close()
    return said


@pytest.mark.parametrize(
    ("begun", "said"),
    [
        (b"", b""),
        (HEAD, b""),
        (HEAD + b"X-Slow: ", b""),
        (WHOLE + HEAD, b"200 OK"),
        (WHOLE * 3 + HEAD + b"X-Slow: ", b"200 OK"),
    ],
    ids=["nothing yet", "a head", "a header", "a second head", "a fourth head"],
)
async def test_a_head_that_comes_byte_by_byte_is_given_up(deps: WebDeps, begun: bytes, said: bytes) -> None:
    async with running(make_app(deps), keepalive_seconds=SHORT_SECONDS) as (_, port):
        assert said in await drip(port, begun, b"a")


@pytest.mark.parametrize(
    ("length", "drop"),
    [(b"Content-Length: 9000\r\n\r\n{", b" "), (b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")],
    ids=["with its length", "in chunks"],
)
async def test_a_body_that_comes_byte_by_byte_is_given_up(deps: WebDeps, length: bytes, drop: bytes) -> None:
    app = make_app(deps, bodies=Bodies(read_seconds=SHORT_SECONDS))
    async with running(app, linger_seconds=SHORT_SECONDS) as (_, port):
        assert (await drip(port, HEAD + length, drop)).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("path", [b"/nothing", b"/healthz"])
async def test_a_body_that_nobody_reads_is_given_up_after_the_answer(deps: WebDeps, path: bytes) -> None:
    begun = b"POST " + path + b" HTTP/1.1\r\nHost: x\r\nContent-Length: 9000\r\n\r\n"
    async with running(make_app(deps), linger_seconds=SHORT_SECONDS) as (_, port):
        assert (await drip(port, begun, b" ")).startswith(b"HTTP/1.1 40")


async def test_a_post_without_length_or_chunks_has_an_empty_body(site: Site) -> None:
    assert (await drip(site.port, HEAD + b"Connection: close\r\n\r\n", b"")).startswith(b"HTTP/1.1 401")


async def test_hundreds_of_idle_connections_hinder_no_delivery(site: Site) -> None:
    idle = [await asyncio.open_connection("127.0.0.1", site.port) for _ in range(300)]
    for _, writer in idle:
        writer.write(HEAD)
    code, _ = await site.deliver(issues_event("labeled", label="agent"))
    assert (code, len(site.inbox.stored)) == (202, 1)
    for _, writer in idle:
        writer.close()

"""Pictures come from GitHub's own hosts, without a credential, bounded, and never from elsewhere."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from bot.cli.children import clean_environment
from bot.domain import images
from bot.domain.images import MAX_IMAGE_BYTES
from bot.github.images import MAX_HOPS, Gallery
from bot.standin.forge import attachments
from tests.github.conftest import REPOSITORY, Hub

PNG = b"\x89PNG\r\n\x1a\n" + b"\0" * 20
Serve = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Host:
    """A web server on loopback that keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[web.Request] = []
        self.serve: Serve = self._picture
        self.url = ""

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(request)
        return await self.serve(request)

    async def _picture(self, _request: web.Request) -> web.StreamResponse:
        return web.Response(body=PNG, content_type="image/png")


@pytest.fixture
async def host() -> AsyncIterator[Host]:
    made, application = Host(), web.Application()
    application.router.add_route("GET", "/{tail:.*}", made.answer)
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    made.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield made
    await runner.cleanup()


@pytest.fixture
def gallery(host: Host, session: aiohttp.ClientSession) -> Gallery:
    return Gallery(session, host.url)


async def test_a_picture_is_fetched_without_any_credential(host: Host, gallery: Gallery) -> None:
    picture = await gallery.fetch(f"{host.url}/user-attachments/assets/a")
    assert picture is not None
    assert (picture.media_type, picture.data) == ("image/png", PNG)
    (asked,) = host.asked
    assert not {"authorization", "cookie"} & {name.lower() for name in asked.headers}


async def test_no_password_of_the_accounts_netrc_goes_along_from_a_process_of_the_product(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the worker asks: with the environment that the supervisor gives it, and a session that minds it."""
    (tmp_path / ".netrc").write_text("machine 127.0.0.1 login me password hunter2\n")
    (tmp_path / ".netrc").chmod(0o600)
    monkeypatch.delenv("NETRC", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    async with aiohttp.ClientSession(trust_env=True) as session:
        async with session.get(host.url):
            assert "authorization" in host.asked.pop().headers, "so it would be"
        for name, value in clean_environment(os.environ).items():
            monkeypatch.setenv(name, value)
        assert await Gallery(session, host.url).fetch(f"{host.url}/user-attachments/assets/a")
        async with session.get(host.url, headers={"authorization": "Bearer ours"}):
            assert host.asked[-1].headers["authorization"] == "Bearer ours"
    assert "authorization" not in host.asked[0].headers


async def test_a_redirect_within_github_is_followed_and_not_for_ever(host: Host, gallery: Gallery) -> None:
    async def round_and_round(_request: web.Request) -> web.StreamResponse:
        raise web.HTTPFound("/again")

    host.serve = round_and_round
    assert await gallery.fetch(f"{host.url}/a") is None
    assert len(host.asked) == MAX_HOPS


@pytest.mark.parametrize("target", ["http://169.254.169.254/", "file:///etc/passwd", "//evil.example/x", ""])
async def test_a_redirect_to_elsewhere_is_not_followed(host: Host, gallery: Gallery, target: str) -> None:
    async def away(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=302, headers={"location": target})

    host.serve = away
    assert await gallery.fetch(f"{host.url}/a") is None


async def test_another_host_is_never_asked(host: Host, session: aiohttp.ClientSession) -> None:
    assert await Gallery(session, "https://github.com").fetch(f"{host.url}/a.png") is None
    assert host.asked == []


async def test_an_endless_body_ends_at_the_limit(host: Host, gallery: Gallery) -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for _ in range(MAX_IMAGE_BYTES // 65_536 + 4):
            await response.write(PNG[:8] + b"\0" * 65_528)
        return response

    host.serve = endless
    assert await gallery.fetch(f"{host.url}/a") is None


@pytest.mark.parametrize("status", [404, 500, 403])
async def test_an_error_is_no_picture(host: Host, gallery: Gallery, status: int) -> None:
    async def refused(_request: web.Request) -> web.StreamResponse:
        return web.Response(status=status, body=PNG)

    host.serve = refused
    assert await gallery.fetch(f"{host.url}/a") is None


ASSET = "0a1b2c3d-0000-4000-8000-1234567890ab"


@pytest.mark.parametrize("is_private", [False, True])
async def test_the_picture_of_an_issue_is_found_whether_it_is_open_or_signed(
    hub: Hub, session: aiohttp.ClientSession, is_private: bool
) -> None:
    url = attachments.attach(hub.forge.world, ASSET, PNG, is_private=is_private)
    number = await hub.forge.open_issue(REPOSITORY, "maria", "The dog", f"Look: ![dog]({url})")
    gallery = Gallery(session, hub.forge.git_url)
    direct = await gallery.fetch(url)
    assert (direct is None) is is_private
    html = await hub.api.rendered(number)
    shown = images.signed(html, ASSET, hub.forge.git_url)
    assert shown is not None
    assert await gallery.fetch(shown) == images.Picture("image/png", PNG)
    assert images.signed(html, ASSET.replace("a", "b"), hub.forge.git_url) is None

"""Pictures that people put into a text: public ones lie open, private ones behind a signed address."""

import html
import re
import secrets
from typing import Any, Final

from aiohttp import web

from bot.standin.forge.call import Call
from bot.standin.forge.state import Attachment
from bot.standin.forge.world import World

PATH = "/user-attachments/assets/{asset}"
SIGNED_PATH = "/signed-assets/{signature}/{asset}"
ACCEPT: Final = "application/vnd.github.html"


def attach(world: World, asset: str, data: bytes, *, is_private: bool) -> str:
    """Keep a picture; gives the address that a text shows it by."""
    world.attachments[asset] = Attachment(data, is_private, secrets.token_hex(8))
    return address(world, asset)


def address(world: World, asset: str) -> str:
    """The address that a text shows a picture by."""
    return world.url + PATH.format(asset=asset)


class Shelf:
    """Serves the attachments of one world."""

    def __init__(self, world: World) -> None:
        self._world = world

    async def serve(self, request: web.Request) -> web.Response:
        """A public one is redirected to its signed address; a private one is not there for a stranger."""
        asset = request.match_info["asset"]
        found = self._world.attachments.get(asset)
        if found is None or found.is_private:
            return web.Response(status=404)
        return web.Response(status=302, headers={"Location": signed(found, asset)})

    async def serve_signed(self, request: web.Request) -> web.Response:
        """The bytes, for whoever has the right address."""
        found = self._world.attachments.get(request.match_info["asset"])
        if found is None or found.signature != request.match_info["signature"]:
            return web.Response(status=403)
        return web.Response(body=found.data, content_type="application/octet-stream")


def signed(found: Attachment, asset: str) -> str:
    """Where a picture's bytes lie."""
    return SIGNED_PATH.format(signature=found.signature, asset=asset)


def rendered(call: Call, issue: dict[str, Any]) -> dict[str, Any]:
    """The issue with its text as HTML in place of the text, where `Accept` asks for that."""
    if ACCEPT not in call.headers.get("Accept", ""):
        return issue
    world, text = call.stage.world, html.escape(issue.get("body") or "")
    for asset, found in world.attachments.items():
        shown = html.escape(f"{world.url}{signed(found, asset)}")
        text = re.sub(re.escape(address(world, asset)), f'<img src="{shown}">', text)
    return {**{key: value for key, value in issue.items() if key != "body"}, "body_html": f"<p>{text}</p>"}

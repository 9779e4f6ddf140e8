"""A running forge with one repository, a client for its API and a receiver of its webhooks."""

import json
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import jwt
import pytest
from aiohttp import web

from bot.standin.forge.forge import Forge
from tests.openapi import ON_PURPOSE, check_all

REPO = "acme/calc"
SECRET = "a webhook secret of decent length"
FILES: Mapping[str, str] = {
    "README.md": "# Calc\n",
    "src/calc.py": "def add(a, b):\n    return a - b\n",
    "src/deep/note.txt": "deep\n",
}


@dataclass
class Answer:
    status: int
    headers: Mapping[str, str]
    raw: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.raw)

    @property
    def message(self) -> str:
        return str(self.json["message"])


class Api:
    """Calls as the App or with an installation token; nonsense must be marked as meant."""

    def __init__(self, forge: Forge, session: aiohttp.ClientSession) -> None:
        self.forge = forge
        self.session = session
        self.installation_id = 0
        self.default_token = ""

    def jwt(self, **claims: Any) -> str:
        now = int(self.forge.clock.now())
        whole = {"iat": now - 60, "exp": now + 540, "iss": str(self.forge.app_id), **claims}
        return jwt.encode(whole, self.forge.private_key, "RS256")

    async def send(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        credential: str | None,
        is_malformed: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        sent = {"X-GitHub-Api-Version": "2022-11-28", **(headers or {})}
        if credential is not None:
            sent["Authorization"] = f"Bearer {credential}"
        if is_malformed:
            sent[ON_PURPOSE] = "1"
        if body is not None:
            sent["Content-Type"] = "application/json"
        data = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        async with self.session.request(method, path, data=data, headers=sent) as response:
            return Answer(response.status, dict(response.headers), await response.read())

    async def as_app(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.send(method, path, body, credential=self.jwt(), **more)

    async def call(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        more.setdefault("credential", self.default_token)
        return await self.send(method, f"/repos/{REPO}{path}", body, **more)

    async def token(self, **body: Any) -> str:
        path = f"/app/installations/{self.installation_id}/access_tokens"
        answer = await self.as_app("POST", path, body or None)
        assert answer.status == 201
        return str(answer.json["token"])


@dataclass
class Hooks:
    """A receiver of webhooks that answers with `status`."""

    status: int = 202
    got: list[tuple[Mapping[str, str], bytes]] = field(default_factory=list)
    url: str = ""

    @property
    def names(self) -> list[str]:
        return [f"{headers['X-GitHub-Event']}.{json.loads(raw).get('action')}" for headers, raw in self.got]

    def last(self) -> Any:
        return json.loads(self.got[-1][1])

    async def receive(self, request: web.Request) -> web.Response:
        self.got.append((dict(request.headers), await request.read()))
        return web.Response(status=self.status, text="thank you")


@pytest.fixture
async def forge(tmp_path: Path) -> AsyncIterator[Forge]:
    """A forge with the repository `acme/calc`, which `ann` may write to; all exchanges are validated."""
    found = Forge(root=tmp_path / "forge")
    await found.start()
    await found.create_repository(REPO, FILES)
    found.set_permission(REPO, "ann", "write")
    try:
        yield found
    finally:
        await found.stop()
    check_all(found.requests)


@pytest.fixture
async def hooks() -> AsyncIterator[Hooks]:
    """A running receiver."""
    found = Hooks()
    app = web.Application()
    app.router.add_post("/hook", found.receive)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    found.url = f"http://127.0.0.1:{runner.addresses[0][1]}/hook"
    yield found
    await runner.cleanup()


@pytest.fixture
async def api(forge: Forge) -> AsyncIterator[Api]:
    """A client whose default token holds all permissions of the installation on `acme`."""
    async with aiohttp.ClientSession(forge.api_url) as session:
        found = Api(forge, session)
        found.installation_id = await forge.install("acme", [REPO])
        found.default_token = await found.token()
        yield found

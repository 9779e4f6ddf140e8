"""Git over HTTP: `git http-backend` behind the same tokens as the REST interface."""

import asyncio
from functools import partial

from aiohttp import web

from bot.standin.forge import auth, refusals
from bot.standin.forge.gate import Gate
from bot.standin.forge.permissions import allows
from bot.standin.forge.plumbing import Bare, environment, git_binary
from bot.standin.forge.pull_actions import branch_moved
from bot.standin.forge.record import Exchange
from bot.standin.forge.stage import Stage
from bot.standin.forge.state import Repository, Token, User

PATH = "/{owner}/{repo}.git/{service:info/refs|git-upload-pack|git-receive-pack}"
_TIMEOUT_SECONDS = 120.0
_MAY_PUSH = {"admin", "maintain", "write"}


class GitTransport:
    """Clone, fetch and push; public repositories are served to anyone only when allowed."""

    def __init__(self, stage: Stage, gate: Gate, *, is_anonymous_allowed: bool) -> None:
        self._stage = stage
        self._gate = gate
        self._is_anonymous_allowed = is_anonymous_allowed

    async def serve(self, request: web.Request) -> web.StreamResponse:
        """One request of the smart protocol; bodies stay as compressed as they come."""
        body = await request.read()
        return await self._gate.serve("git", request, b"", partial(self._answer, request, body))

    async def _answer(
        self, request: web.Request, body: bytes, exchange: Exchange, _delay_seconds: float
    ) -> web.Response:
        try:
            account = auth.git_account(self._stage.world, request.headers.get("Authorization"))
            if isinstance(account, Token):
                exchange.called_with(account)
            elif account is not None:
                exchange.caller = account.login
            is_write = "git-receive-pack" in {request.match_info["service"], request.query.get("service")}
            repository = self._admit(request, account, is_write=is_write)
            return await self._exchange(request, repository, body, account)
        except refusals.Refusal as refusal:
            challenge = {"WWW-Authenticate": 'Basic realm="GitHub"'} if refusal.status == 401 else {}
            return web.Response(status=refusal.status, text=refusal.message, headers=challenge)

    def _admit(self, request: web.Request, account: Token | User | None, *, is_write: bool) -> Repository:
        """The repository, when the account may do this there; raises 401, 403 or 404 refusals."""
        world = self._stage.world
        name = f"{request.match_info['owner']}/{request.match_info['repo']}"
        if account is None:
            found = world.repositories.get(name.lower())
            if is_write or not self._is_anonymous_allowed or found is None or found.is_private:
                raise refusals.unauthorized("Authentication required")
            return found
        repository = world.repository(name)
        if isinstance(account, Token):
            if not auth.reaches(world, account, repository):
                raise refusals.not_found("Repository not found.")
            is_allowed = allows(account.permissions, "contents", "write" if is_write else "read")
        else:
            level = world.level(repository, account)
            if level == "none":
                raise refusals.not_found("Repository not found.")
            is_allowed = not is_write or level in _MAY_PUSH
        if not is_allowed:
            raise refusals.forbidden("Write access to repository not granted.")
        return repository

    async def _exchange(
        self, request: web.Request, repository: Repository, body: bytes, account: Token | User | None
    ) -> web.Response:
        bare = Bare(repository.path)
        if request.match_info["service"] != "git-receive-pack":
            return await self._backend(request, repository, body)
        before = await bare.branches()
        response = await self._backend(request, repository, body)
        after = await bare.branches()
        sender = account if isinstance(account, User) else self._stage.world.app.bot
        for name in before.keys() | after.keys():
            if before.get(name) != after.get(name):
                await branch_moved(self._stage, repository, name, before.get(name), sender)
        return response

    async def _backend(self, request: web.Request, repository: Repository, body: bytes) -> web.Response:
        """Run the CGI program and turn its output into a response."""
        extra = {
            "GIT_PROJECT_ROOT": str(repository.path.parent),
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": f"/{repository.path.name}/{request.match_info['service']}",
            "REQUEST_METHOD": request.method,
            "QUERY_STRING": request.rel_url.raw_query_string,
            "CONTENT_TYPE": request.headers.get("Content-Type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": request.headers.get("Content-Encoding", ""),
            "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
            "REMOTE_USER": "git",
            "REMOTE_ADDR": request.remote or "127.0.0.1",
        }
        process = await asyncio.create_subprocess_exec(
            git_binary(),
            "http-backend",
            env=environment(repository.path, extra),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
        )
        out, _ = await asyncio.wait_for(process.communicate(body), _TIMEOUT_SECONDS)
        return _cgi_response(out)


def _cgi_response(out: bytes) -> web.Response:
    head, _, body = out.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200").split()[0]) if out else 500
    headers.pop("Content-Length", None)
    return web.Response(status=status, body=body, headers=headers)

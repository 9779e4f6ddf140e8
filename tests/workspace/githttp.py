"""A small git server over HTTP: `git http-backend` behind aiohttp, with a token and with faults on demand."""

import asyncio
import base64
import subprocess
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiohttp import web

TOKEN = "ghs_CANARY0123456789abcdefghijklmnop"
_ENVIRONMENT = {
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_AUTHOR_NAME": "Person",
    "GIT_AUTHOR_EMAIL": "person@example.com",
    "GIT_COMMITTER_NAME": "Person",
    "GIT_COMMITTER_EMAIL": "person@example.com",
}


def git(*arguments: str, cwd: Path, stdin: bytes = b"", **environment: str) -> str:
    """Run git on the test's own repositories and return what it says."""
    done = subprocess.run(
        ["git", *arguments],
        cwd=cwd,
        input=stdin,
        env={**_ENVIRONMENT, **environment},
        capture_output=True,
        check=True,
    )
    return done.stdout.decode().strip()


@dataclass
class GitServer:
    """The server's state: repositories below `root`, requests seen, and how it shall fail."""

    root: Path
    url: str = ""
    authorizations: list[str | None] = field(default_factory=list)
    fetches: int = 0
    knows_filters: bool = True
    status: int | None = None
    delay_seconds: float = 0.0
    location: str | None = None
    meanwhile: Callable[[], None] | None = None

    def repository(self, full_name: str, files: Mapping[str, bytes | str]) -> str:
        """Add a commit that holds exactly *files* to *full_name*; returns its SHA."""
        bare = self.bare(full_name)
        tree = self.tree(full_name, {path: ("100644", content) for path, content in files.items()})
        return git("commit-tree", tree, "-m", "files", cwd=bare)

    def bare(self, full_name: str) -> Path:
        """The bare repository's directory, made when missing."""
        bare = self.root / f"{full_name}.git"
        if not bare.exists():
            bare.mkdir(parents=True)
            git("init", "--bare", "--quiet", ".", cwd=bare)
            git("config", "uploadpack.allowAnySHA1InWant", "true", cwd=bare)
            git("config", "uploadpack.allowFilter", str(self.knows_filters).lower(), cwd=bare)
            git("config", "http.uploadpack", "true", cwd=bare)
        return bare

    def tree(self, full_name: str, files: Mapping[str, tuple[str, bytes | str]]) -> str:
        """A tree object with *files* (mode and content, or mode 160000 and a SHA), nested by slashes."""
        bare = self.bare(full_name)
        here: dict[str, tuple[str, bytes | str]] = {}
        below: dict[str, dict[str, tuple[str, bytes | str]]] = {}
        for path, entry in files.items():
            first, slash, rest = path.partition("/")
            if slash:
                below.setdefault(first, {})[rest] = entry
            else:
                here[first] = entry
        lines = [self._blob_line(bare, name, *entry) for name, entry in here.items()]
        lines += [f"040000 tree {self.tree(full_name, inner)}\t{name}" for name, inner in below.items()]
        return git(
            "mktree",
            "-z",
            "--missing",
            cwd=bare,
            stdin="\0".join([*lines, ""]).encode("utf-8", "surrogateescape"),
        )

    def commit(self, full_name: str, tree: str) -> str:
        """A commit of *tree*."""
        return git("commit-tree", tree, "-m", "tree", cwd=self.bare(full_name))

    @staticmethod
    def _blob_line(bare: Path, name: str, mode: str, content: bytes | str) -> str:
        if mode == "160000":
            return f"{mode} commit {content!s}\t{name}"
        data = content.encode() if isinstance(content, str) else content
        return f"{mode} blob {git('hash-object', '-w', '--stdin', cwd=bare, stdin=data)}\t{name}"


async def _backend(server: GitServer, request: web.Request) -> web.Response:
    """One request through `git http-backend` (a CGI program); aiohttp has unpacked its body."""
    body = await request.read()
    server.fetches += b"command=fetch" in body
    environment = {
        **_ENVIRONMENT,
        "GIT_PROJECT_ROOT": str(server.root),
        "GIT_HTTP_EXPORT_ALL": "1",
        "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
        "PATH_INFO": request.path,
        "QUERY_STRING": request.query_string,
        "REQUEST_METHOD": request.method,
        "CONTENT_TYPE": request.headers.get("Content-Type", ""),
        "CONTENT_LENGTH": str(len(body)),
    }
    process = await asyncio.create_subprocess_exec(
        "git", "http-backend", env=environment, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    answer, _ = await process.communicate(body)
    head, _, content = answer.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().split("\r\n") if ": " in line)
    status = int(headers.pop("Status", "200").split()[0])
    return web.Response(status=status, headers=headers, body=content)


def _credential() -> str:
    return "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()


@asynccontextmanager
async def serve(root: Path) -> AsyncIterator[GitServer]:
    """A running server; repositories are fetched only with `TOKEN`."""
    server = GitServer(root)

    async def handle(request: web.Request) -> web.Response:
        server.authorizations.append(request.headers.get("Authorization"))
        await asyncio.sleep(server.delay_seconds)
        if server.meanwhile is not None:
            await asyncio.to_thread(server.meanwhile)
        if server.status is not None:
            headers = {"Location": server.location} if server.location else {}
            return web.Response(status=server.status, headers=headers)
        if request.headers.get("Authorization") != _credential():
            return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="git"'})
        if not (root / request.path.split(".git/", 1)[0].lstrip("/")).with_suffix(".git").exists():
            return web.Response(status=404)
        return await _backend(server, request)

    application = web.Application(client_max_size=64 * 1024 * 1024)
    application.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(application, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    try:
        yield server
    finally:
        await runner.cleanup()

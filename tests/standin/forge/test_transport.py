"""Git over HTTP with the real git."""

import asyncio
import os
from pathlib import Path

from bot.standin.forge.faults import Reply
from bot.standin.forge.forge import Forge
from bot.standin.forge.plumbing import Bare
from tests.standin.forge.conftest import FILES, REPO, Api, Hooks

ENVIRONMENT = {"PATH": os.environ["PATH"], "GIT_TERMINAL_PROMPT": "0", "GIT_CONFIG_GLOBAL": "/dev/null"}
PERSON = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com")


async def git(folder: Path, *arguments: str) -> tuple[int, str]:
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=folder,
        env={**ENVIRONMENT, "HOME": str(folder)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await process.communicate()
    return process.returncode or 0, out.decode()


def url(forge: Forge, user: str, password: str, name: str = REPO) -> str:
    return forge.git_url.replace("://", f"://{user}:{password}@") + f"/{name}.git"


def app_url(api: Api, token: str | None = None) -> str:
    return url(api.forge, "x-access-token", token or api.default_token)


async def test_a_token_clones(api: Api, tmp_path: Path) -> None:
    code, out = await git(tmp_path, "clone", app_url(api), "tree")
    assert code == 0, out
    assert (tmp_path / "tree" / "src" / "calc.py").read_text() == FILES["src/calc.py"]


async def test_a_single_commit_is_fetched_by_its_sha_without_blobs(api: Api, tmp_path: Path) -> None:
    first = await Bare(api.forge.repository(REPO).path).branch("main")
    await api.forge.commit(REPO, "main", {"later": "1"}, "ann")
    await git(tmp_path, "init", "--bare", "mirror")
    arguments = ("fetch", "--depth=1", "--filter=blob:none", app_url(api), str(first))
    code, out = await git(tmp_path / "mirror", *arguments)
    assert code == 0, out


async def test_no_token_and_a_wrong_one_are_challenged(api: Api, tmp_path: Path) -> None:
    for address in (f"{api.forge.git_url}/{REPO}.git", app_url(api, "ghs_wrong"), url(api.forge, "ann", "x")):
        code, _ = await git(tmp_path, "ls-remote", address)
        last = api.forge.requests[-1]
        assert (code, last.status) == (128, 401)
        assert last.response_headers["WWW-Authenticate"].startswith("Basic")


async def test_another_repository_is_not_found(api: Api, tmp_path: Path) -> None:
    await api.forge.create_repository("acme/secret", {"a": "b"}, private=True)
    address = url(api.forge, "x-access-token", api.default_token, "acme/secret")
    assert (await git(tmp_path, "ls-remote", address))[0] == 128
    assert api.forge.requests[-1].status == 404
    stranger = url(api.forge, "stranger", api.forge.person_token("stranger"), "acme/secret")
    assert (await git(tmp_path, "ls-remote", stranger))[0] == 128
    assert api.forge.requests[-1].status == 404


async def test_reading_and_pushing_need_contents(api: Api, tmp_path: Path) -> None:
    blind = await api.token(permissions={"issues": "write"})
    assert (await git(tmp_path, "ls-remote", app_url(api, blind)))[0] == 128
    assert api.forge.requests[-1].status == 403
    reader = await api.token(permissions={"contents": "read"})
    await git(tmp_path, "clone", app_url(api, reader), "tree")
    assert (await git(tmp_path / "tree", "push", "origin", "HEAD:refs/heads/x"))[0] == 128
    assert api.forge.requests[-1].status == 403


async def test_a_push_of_the_app_arrives(api: Api, tmp_path: Path) -> None:
    await git(tmp_path, "clone", app_url(api), "tree")
    code, out = await git(tmp_path / "tree", "push", "origin", "HEAD:refs/heads/x")
    assert code == 0, out
    assert (await api.call("GET", "/branches/x")).status == 200


async def test_a_persons_push_to_a_pull_request_is_told(api: Api, hooks: Hooks, tmp_path: Path) -> None:
    await api.forge.commit(REPO, "topic", {"a": "1"}, "ann")
    await api.call("POST", "/pulls", {"title": "P", "head": "topic", "base": "main"})
    api.forge.set_webhook(hooks.url, "")
    address = url(api.forge, "ann", api.forge.person_token("ann"))
    await git(tmp_path, "clone", "-b", "topic", address, "tree")
    large = "".join(f"line {number}\n" for number in range(200_000))
    (tmp_path / "tree" / "large.txt").write_text(large)
    await git(tmp_path / "tree", "add", ".")
    await git(tmp_path / "tree", *PERSON, "commit", "-m", "more")
    code, out = await git(tmp_path / "tree", "push")
    assert code == 0, out
    await api.forge.settle()
    assert (hooks.names, hooks.last()["sender"]["login"]) == (["pull_request.synchronize"], "ann")


async def test_a_reader_does_not_push(api: Api, tmp_path: Path) -> None:
    address = url(api.forge, "guest", api.forge.person_token("guest"))
    await git(tmp_path, "clone", address, "tree")
    assert (await git(tmp_path / "tree", "push", "origin", "HEAD:refs/heads/x"))[0] == 128


async def test_a_suspended_installation_does_not_clone(api: Api, tmp_path: Path) -> None:
    await api.forge.suspend(api.installation_id)
    assert (await git(tmp_path, "ls-remote", app_url(api)))[0] == 128
    assert api.forge.requests[-1].status == 403


async def test_git_can_be_made_to_fail(api: Api, tmp_path: Path) -> None:
    api.forge.faults.add("GET", r"\.git/info/refs", Reply(503, "busy"))
    assert (await git(tmp_path, "ls-remote", app_url(api)))[0] == 128
    assert (await git(tmp_path, "ls-remote", app_url(api)))[0] == 0


async def test_public_repositories_are_open_where_the_forge_is_told_so(tmp_path: Path) -> None:
    forge = Forge(root=tmp_path / "f", is_anonymous_clone_allowed=True)
    await forge.start()
    await forge.create_repository(REPO, FILES)
    await forge.create_repository("acme/secret", FILES, private=True)
    assert (await git(tmp_path, "ls-remote", f"{forge.git_url}/{REPO}.git"))[0] == 0
    assert (await git(tmp_path, "ls-remote", f"{forge.git_url}/acme/secret.git"))[0] == 128
    await forge.stop()

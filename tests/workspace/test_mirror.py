"""Fetching from a real git server: exactly one commit, one at a time, and every failure in its class."""

import asyncio
import random
import re
from functools import partial
from pathlib import Path

import pytest

from bot.domain.values import RepositoryRef
from bot.errors import Forbidden, NotFound, Permanent, RetryLater, Unauthorized
from bot.workspace import mirror as mirror_module
from bot.workspace.git import Git, TooMuchOutput
from bot.workspace.mirror import Mirror
from bot.workspace.remote import Remote
from bot.workspace.workspace import Workspace
from tests.workspace.conftest import REPOSITORY
from tests.workspace.githttp import TOKEN, GitServer, git

OTHER = RepositoryRef(8, "octo/other")


@pytest.fixture
def sha(server: GitServer) -> str:
    """A commit of the repository."""
    return server.repository(REPOSITORY.full_name, {"a.txt": "one\n"})


def mirror_path(tmp_path: Path) -> Path:
    """Where the repository's mirror stands."""
    return tmp_path / "data" / "mirrors" / "7.git"


async def test_a_server_without_filters_gives_exactly_the_one_commit(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    server.knows_filters = False
    sha = server.repository(REPOSITORY.full_name, {"a.txt": "one\n"})
    bare = server.bare(REPOSITORY.full_name)
    tree = git("rev-parse", f"{sha}^{{tree}}", cwd=bare)
    child = git("commit-tree", tree, "-p", sha, "-m", "child", cwd=bare)
    await workspace.checkout(REPOSITORY, child, TOKEN, "job")
    commits = git("rev-list", "--all", cwd=mirror_path(tmp_path))
    assert commits.split() == [child]
    assert (await workspace.checkout(REPOSITORY, sha, TOKEN, "job")).base_sha == sha


async def test_a_commit_that_is_here_is_not_fetched_again(
    server: GitServer, workspace: Workspace, sha: str
) -> None:
    await workspace.checkout(REPOSITORY, sha, TOKEN, "one")
    count = len(server.authorizations)
    await workspace.checkout(REPOSITORY, sha, TOKEN, "two")
    assert len(server.authorizations) == count


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (401, Unauthorized),
        (403, Forbidden),
        (404, NotFound),
        (410, NotFound),
        (451, NotFound),
        (429, RetryLater),
        (500, RetryLater),
        (503, RetryLater),
    ],
)
async def test_each_answer_of_the_server_has_its_class(
    server: GitServer, workspace: Workspace, sha: str, status: int, error: type[Exception]
) -> None:
    server.status = status
    with pytest.raises(error) as caught:
        await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert TOKEN not in str(caught.value)


async def test_a_wrong_token_is_unauthorized_and_not_shown(workspace: Workspace, sha: str) -> None:
    with pytest.raises(Unauthorized) as caught:
        await workspace.checkout(REPOSITORY, sha, "ghs_wrong_canary", "job")
    assert "canary" not in str(caught.value)


async def test_a_redirect_is_not_followed(server: GitServer, workspace: Workspace, sha: str) -> None:
    server.status, server.location = 301, f"{server.url}/octo/elsewhere.git/info/refs?service=git-upload-pack"
    with pytest.raises(NotFound, match="moved"):
        await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert len(server.authorizations) == 1


async def test_a_commit_that_does_not_exist_is_permanent(workspace: Workspace, sha: str) -> None:
    with pytest.raises(Permanent, match="is not in the repository any more") as caught:
        await workspace.checkout(REPOSITORY, "0123456789" * 4, TOKEN, "job")
    assert not isinstance(caught.value, NotFound)


async def test_an_unknown_repository_is_not_found(workspace: Workspace) -> None:
    with pytest.raises(NotFound):
        await workspace.checkout(OTHER, "a" * 40, TOKEN, "job")


async def test_a_server_that_is_away_is_for_later(tmp_path: Path, sha: str) -> None:
    away = Workspace(tmp_path / "data", git_url="http://127.0.0.1:1", verify_timeout_seconds=1)
    with pytest.raises(RetryLater, match="the fetch failed"):
        await away.checkout(REPOSITORY, sha, TOKEN, "job")


async def test_a_server_that_hangs_is_left(
    server: GitServer, workspace: Workspace, sha: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.delay_seconds = 60
    monkeypatch.setattr(mirror_module, "FETCH_TIMEOUT_SECONDS", 0.3)
    monkeypatch.setattr(mirror_module, "HISTORY_TIMEOUT_SECONDS", 0.3)
    with pytest.raises(RetryLater, match=re.escape("longer than 0.3 seconds")):
        await workspace.checkout(REPOSITORY, sha, TOKEN, "job")


async def test_what_a_killed_git_left_behind_is_no_obstacle(
    server: GitServer, workspace: Workspace, sha: str, tmp_path: Path
) -> None:
    await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    stale = [mirror_path(tmp_path) / "shallow.lock", mirror_path(tmp_path) / "objects/pack/tmp_pack_x"]
    for path in stale:
        path.touch()
    newer = server.repository(REPOSITORY.full_name, {"a.txt": "two\n"})
    checkout = await workspace.checkout(REPOSITORY, newer, TOKEN, "job")
    assert (checkout.tree / "a.txt").read_text() == "two\n"
    assert not any(path.exists() for path in stale)


async def test_a_half_made_mirror_is_made_anew(workspace: Workspace, sha: str, tmp_path: Path) -> None:
    (tmp_path / "data" / "mirrors" / "7.new" / "junk").mkdir(parents=True)
    await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert not (tmp_path / "data" / "mirrors" / "7.new").exists()


async def test_a_broken_mirror_is_thrown_away_and_the_next_try_works(
    workspace: Workspace, sha: str, tmp_path: Path
) -> None:
    await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    objects = mirror_path(tmp_path) / "objects"
    for file in objects.rglob("*"):
        if file.is_file() and file.suffix != ".idx":
            file.chmod(0o644)
            file.write_bytes(b"broken")
    with pytest.raises(RetryLater):
        await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert not mirror_path(tmp_path).exists()
    assert (await workspace.checkout(REPOSITORY, sha, TOKEN, "job")).tree.exists()


async def test_a_mirror_with_a_hole_is_thrown_away_too(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    server.knows_filters = False
    sha = server.repository(REPOSITORY.full_name, {"a.txt": "one\n"})
    await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    blob = git("rev-parse", f"{sha}:a.txt", cwd=server.bare(REPOSITORY.full_name))
    (mirror_path(tmp_path) / "objects" / blob[:2] / blob[2:]).unlink()
    with pytest.raises(RetryLater, match="the checkout failed"):
        await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert (await workspace.checkout(REPOSITORY, sha, TOKEN, "job")).tree.exists()


async def test_a_pack_that_is_too_big_is_refused_in_words(
    server: GitServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    big = server.repository(REPOSITORY.full_name, {"big": random.Random(7).randbytes(300_000)})
    monkeypatch.setattr("bot.workspace.git.MAX_PACK_BYTES", 100_000)
    with pytest.raises(Permanent, match="too big"):
        await workspace.checkout(REPOSITORY, big, TOKEN, "job")


async def test_a_mirror_that_has_grown_too_big_begins_anew(
    server: GitServer, workspace: Workspace, sha: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    (mirror_path(tmp_path) / "objects/pack/old.pack").write_bytes(b"x" * 2000)
    monkeypatch.setattr(mirror_module, "MAX_MIRROR_BYTES", 1000)
    newer = server.repository(REPOSITORY.full_name, {"a.txt": "two\n"})
    await workspace.checkout(REPOSITORY, newer, TOKEN, "job")
    assert not (mirror_path(tmp_path) / "objects/pack/old.pack").exists()


async def test_ten_jobs_at_once_take_their_turn(workspace: Workspace, server: GitServer, sha: str) -> None:
    shas = [server.repository(REPOSITORY.full_name, {"a.txt": f"{number}\n"}) for number in range(10)]
    jobs = [workspace.checkout(REPOSITORY, each, TOKEN, f"job{number}") for number, each in enumerate(shas)]
    checkouts = await asyncio.gather(*jobs)
    assert [(c.tree / "a.txt").read_text() for c in checkouts] == [f"{number}\n" for number in range(10)]


async def test_a_mirror_that_stays_taken_is_for_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror_module, "LOCK_TIMEOUT_SECONDS", 0.05)
    monkeypatch.setattr("bot.workspace.lock.POLL_SECONDS", 0.01)
    mirror = Mirror(tmp_path, Git(tmp_path, Remote("https://github.com")), REPOSITORY)
    async with mirror.held():
        with pytest.raises(RetryLater, match="another job"):
            async with mirror.held():
                raise AssertionError
    async with mirror.held():
        assert mirror.path == tmp_path / "7.git"


async def test_a_mirror_is_made_whole_without_hooks_and_with_raw_attributes(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "7.new").symlink_to("/proc/none")
    mirror = Mirror(tmp_path, Git(tmp_path / "home", Remote("https://github.com")), REPOSITORY)
    await mirror._make()
    assert "-filter" in (mirror.path / "info" / "attributes").read_text()
    assert not (mirror.path / "hooks").exists()


async def test_a_mirror_that_cannot_be_made_is_for_later(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    (tmp_path / "file").touch()
    mirror = Mirror(tmp_path / "file", Git(tmp_path / "home", Remote("https://github.com")), REPOSITORY)
    with pytest.raises(RetryLater, match="could not be made"):
        await mirror._make()


async def test_a_machine_without_git_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.workspace.git.SEARCH_PATH", str(tmp_path))
    with pytest.raises(Permanent, match="git is not installed"):
        await Git(tmp_path, Remote("https://github.com")).run("version", timeout_seconds=5)


async def test_git_that_says_too_much_is_stopped_however_much_of_it_is_unread(
    server: GitServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sha = server.repository(REPOSITORY.full_name, {"big": "x" * 3_000_000})
    # Reading stops at twice so many unread bytes, and nobody reads them any more.
    monkeypatch.setattr(
        asyncio, "create_subprocess_exec", partial(asyncio.create_subprocess_exec, limit=1024)
    )
    bare = server.bare(REPOSITORY.full_name)
    (tmp_path / "home").mkdir()
    runner = Git(tmp_path / "home", Remote(server.url))
    async with asyncio.timeout(60):
        with pytest.raises(TooMuchOutput):
            await runner.run(
                f"--git-dir={bare}", "show", f"{sha}:big", timeout_seconds=30, max_output_bytes=1
            )

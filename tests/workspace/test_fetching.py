"""What is fetched, and how often: history without contents, contents in one request, nothing by itself."""

import asyncio
from pathlib import Path

import pytest

from bot.errors import Permanent
from bot.workspace import listing, mirror
from bot.workspace.workspace import Workspace
from tests.workspace.conftest import REPOSITORY, log
from tests.workspace.githttp import TOKEN, GitServer, git

NAME = REPOSITORY.full_name


def mirror_path(tmp_path: Path) -> Path:
    """Where the repository's mirror stands."""
    return tmp_path / "data" / "mirrors" / "7.git"


def chain(server: GitServer, count: int) -> list[str]:
    """Commits on top of each other; each changes `a.txt` and keeps `same.txt`."""
    bare = server.bare(NAME)
    shas: list[str] = []
    for number in range(count):
        files: dict[str, tuple[str, bytes | str]] = {
            "a.txt": ("100644", f"{number}\n"),
            "same.txt": ("100644", "same\n"),
        }
        parent = ["-p", shas[-1]] if shas else []
        words = ("commit-tree", server.tree(NAME, files), *parent, "-m", f"change {number}")
        shas.append(git(*words, cwd=bare))
    return shas


def missing(tmp_path: Path, sha: str) -> list[str]:
    """The objects of the history of *sha* that the mirror does not have."""
    said = git("rev-list", "--objects", "--missing=print", sha, cwd=mirror_path(tmp_path))
    return [line for line in said.splitlines() if line.startswith("?")]


async def test_the_history_comes_without_the_contents_that_nobody_asked_for(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    shas = chain(server, 3)
    await workspace.checkout(REPOSITORY, shas[-1], TOKEN, "job")
    assert git("rev-list", "--all", cwd=mirror_path(tmp_path)).split() == shas[::-1]
    assert len(missing(tmp_path, shas[-1])) == 2
    assert server.fetches == 2


async def test_all_contents_of_a_commit_come_in_one_request(server: GitServer, workspace: Workspace) -> None:
    sha = server.repository(NAME, {f"file{number}": f"{number}\n" for number in range(300)})
    checkout = await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert len(list(checkout.tree.iterdir())) == 300
    assert server.fetches == 2


async def test_twenty_jobs_at_once_fetch_once(server: GitServer, workspace: Workspace) -> None:
    sha = server.repository(NAME, {"a": "1", "b": "2"})
    jobs = [workspace.checkout(REPOSITORY, sha, TOKEN, f"job{number}") for number in range(20)]
    checkouts = await asyncio.gather(*jobs)
    assert len({checkout.tree for checkout in checkouts}) == 20
    assert all((checkout.tree / "b").read_text() == "2" for checkout in checkouts)
    assert server.fetches == 2, "the history, then the contents"


async def test_of_a_commit_that_the_history_has_only_the_contents_are_fetched(
    server: GitServer, workspace: Workspace
) -> None:
    shas = chain(server, 3)
    await workspace.checkout(REPOSITORY, shas[-1], TOKEN, "job")
    count = len(server.authorizations)
    older = await workspace.checkout(REPOSITORY, shas[0], TOKEN, "other")
    assert (older.tree / "a.txt").read_text() == "0\n"
    assert server.fetches <= 4
    again = len(server.authorizations)
    assert again > count
    await workspace.checkout(REPOSITORY, shas[0], TOKEN, "third")
    assert len(server.authorizations) == again


async def test_nothing_that_reads_the_mirror_reaches_the_server_and_no_promise_is_written_down(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    shas = chain(server, 2)
    await workspace.checkout(REPOSITORY, shas[-1], TOKEN, "job")
    config = (mirror_path(tmp_path) / "config").read_text()
    assert "promisor" not in config
    assert "partialclone" not in config.casefold()
    assert server.url not in config
    url = f"{server.url}/{NAME}.git"
    git("config", f"remote.{url}.promisor", "true", cwd=mirror_path(tmp_path))
    git("config", "extensions.partialClone", url, cwd=mirror_path(tmp_path))
    git("config", "core.repositoryFormatVersion", "1", cwd=mirror_path(tmp_path))
    count = len(server.authorizations)
    gone = missing(tmp_path, shas[-1])
    words = (f"--git-dir={mirror_path(tmp_path)}", "cat-file", "-p", gone[0].removeprefix("?"))
    output = await workspace._git.run(*words, timeout_seconds=20)
    assert output.exit_code != 0
    assert len(server.authorizations) == count, "not even where a promise stands in the configuration"


@pytest.mark.parametrize(("limit", "value"), [("MAX_HISTORY_BYTES", 2_000), ("HISTORY_TIMEOUT_SECONDS", 0.0)])
async def test_a_history_that_is_too_big_is_left_out(
    server: GitServer,
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    limit: str,
    value: float,
) -> None:
    shas = chain(server, 60)
    monkeypatch.setattr(mirror, limit, value)
    checkout = await workspace.checkout(REPOSITORY, shas[-1], TOKEN, "job")
    assert (checkout.tree / "a.txt").read_text() == "59\n"
    assert git("rev-list", "--all", cwd=mirror_path(tmp_path)).split() == [shas[-1]]
    assert "was fetched" in await log(workspace, shas[-1], path=None, limit=5)


async def test_too_many_files_are_refused_before_their_contents_are_fetched(
    server: GitServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_TREE_FILES", 20)
    sha = server.repository(NAME, {f"file{number}": f"{number}\n" for number in range(30)})
    with pytest.raises(Permanent, match="ask again"):
        await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert server.fetches == 1


async def test_a_mirror_with_too_many_packs_begins_anew(
    server: GitServer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shas = chain(server, 2)
    await workspace.checkout(REPOSITORY, shas[0], TOKEN, "job")
    (mirror_path(tmp_path) / "mark").touch()
    monkeypatch.setattr(mirror, "MAX_PACKS", 1)
    await workspace.checkout(REPOSITORY, shas[1], TOKEN, "job")
    assert not (mirror_path(tmp_path) / "mark").exists()

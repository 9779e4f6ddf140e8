"""`git_log`: the history from the mirror, as bounded text that cannot act, without any network."""

from pathlib import Path

import pytest

from bot.domain.paths import RefusedPath
from bot.workspace.workspace import Workspace
from tests.workspace.conftest import REPOSITORY, log
from tests.workspace.githttp import TOKEN, GitServer, git

NAME = REPOSITORY.full_name
SECRET = "ghp_" + "aB3dE5fG7hJ9kL1mN2pQ4rS6tU8vW0xY1zA2"


def history(server: GitServer) -> str:
    """Two commits: `a` made, then `b` by somebody with a name full of tricks."""
    bare = server.bare(NAME)
    one = server.tree(NAME, {"a": ("100644", "1"), "[b]": ("100644", "1")})
    two = server.tree(NAME, {"a": ("100644", "1"), "[b]": ("100644", "2")})
    first = git("commit-tree", one, "-m", "make a", cwd=bare)
    trick = "root\u202e\x1b[31m" + "x" * 100
    return git("commit-tree", two, "-p", first, "-m", "change b\t\x07", cwd=bare, GIT_AUTHOR_NAME=trick)


async def test_the_history_is_read_without_the_server_and_without_what_acts(
    server: GitServer, workspace: Workspace
) -> None:
    sha = history(server)
    checkout = await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    server.status = 500
    count = len(server.authorizations)
    host = await workspace.open_host(checkout)
    answer = await host.call("git_log", {}, timeout_seconds=20)
    await host.close()
    lines = answer.text.splitlines()
    assert [line.rsplit('" ', 1)[1].rstrip() for line in lines] == ["change b", "make a"]
    assert sha.startswith(lines[0].split()[0])
    assert answer.text.replace("\n", "").isprintable()
    assert len(lines[0]) < 120
    assert len(server.authorizations) == count


async def test_a_path_is_taken_literally_and_a_limit_holds(server: GitServer, workspace: Workspace) -> None:
    sha = history(server)
    await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert "change b" in await log(workspace, sha, path="[b]", limit=1)
    assert (await log(workspace, sha, path=None, limit=1)).count("\n") == 0
    assert "No commit" in await log(workspace, sha, path="[a]", limit=5)
    assert "No commit" in await log(workspace, sha, path="--all", limit=5)
    for path in ("../x", ".git/config", "/etc"):
        with pytest.raises(RefusedPath):
            await log(workspace, sha, path=path, limit=5)


async def test_a_secret_in_a_commits_words_is_masked_also_where_it_would_be_cut(
    server: GitServer, workspace: Workspace
) -> None:
    bare, tree = server.bare(NAME), server.tree(NAME, {"a": ("100644", "1")})
    first = git("commit-tree", tree, "-m", f"use {SECRET} now", cwd=bare)
    words = f"{'x' * 180} {SECRET}"
    sha = git("commit-tree", tree, "-p", first, "-m", words, cwd=bare, GIT_AUTHOR_NAME=SECRET)
    host = await workspace.open_host(await workspace.checkout(REPOSITORY, sha, TOKEN, "job"))
    answer = await host.call("git_log", {}, timeout_seconds=20)
    await host.close()
    assert "use [secret: GitHub token] now" in answer.text
    assert '"[secret: GitHub token]"' in answer.text
    assert "ghp_" not in answer.text


@pytest.mark.parametrize("path", ["private", "./Private/deep/x", "a.pem", "src/a.PEM"])
async def test_the_history_of_an_excluded_path_is_refused(
    server: GitServer, workspace: Workspace, path: str
) -> None:
    checkout = await workspace.checkout(REPOSITORY, history(server), TOKEN, "job")
    host = await workspace.open_host(checkout, {"exclude": ["/private/", "*.pem"]})
    answer = await host.call("git_log", {"path": path}, timeout_seconds=20)
    other = await host.call("git_log", {"path": "a"}, timeout_seconds=20)
    await host.close()
    assert answer.refused
    assert "excluded by the repository's configuration" in answer.text
    assert "make a" in other.text


@pytest.mark.parametrize("arguments", [{"limit": "5"}, {"path": 3}, {"revision": "x"}, {"limit": True}])
async def test_wrong_arguments_are_an_answer(
    server: GitServer, workspace: Workspace, arguments: dict[str, object]
) -> None:
    checkout = await workspace.checkout(REPOSITORY, history(server), TOKEN, "job")
    host = await workspace.open_host(checkout)
    answer = await host.call("git_log", arguments, timeout_seconds=20)
    refused = await host.call("git_log", {"path": ".git"}, timeout_seconds=20)
    await host.close()
    assert answer.is_error
    assert refused.refused


async def test_a_history_that_is_not_here_is_said_to_be_so(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    server.knows_filters = False
    sha = history(server)
    await workspace.checkout(REPOSITORY, sha, TOKEN, "job")
    assert "not here: only the newest" in await log(workspace, sha, path=None, limit=5)
    (tmp_path / "data" / "mirrors" / "7.git").rename(tmp_path / "away")
    assert "not here any more" in await log(workspace, sha, path=None, limit=5)

"""The next commit of a repository that is known: one request, few refs, and a verdict that is remembered."""

import json
import os
import time
from pathlib import Path

import pytest

from bot.errors import Permanent
from bot.workspace import listing, mirror, verdict
from bot.workspace.workspace import Workspace
from tests.workspace.conftest import REPOSITORY, log
from tests.workspace.githttp import TOKEN, GitServer, git
from tests.workspace.test_fetching import chain, mirror_path

NAME = REPOSITORY.full_name


async def test_the_next_commit_comes_with_its_contents_in_one_request(
    server: GitServer, workspace: Workspace
) -> None:
    first, second = chain(server, 2)
    await workspace.checkout(REPOSITORY, first, TOKEN, "one")
    count = server.fetches
    checkout = await workspace.checkout(REPOSITORY, second, TOKEN, "two")
    assert (checkout.tree / "a.txt").read_text() == "1\n"
    assert server.fetches == count + 1


async def test_contents_that_an_older_commit_had_or_that_are_large_are_asked_for_by_name(
    server: GitServer, workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "NO_LARGE_CONTENTS", "blob:limit=10")
    bare = server.bare(NAME)
    parent: list[str] = []
    shas: list[str] = []
    for text in ("old\n", "new\n", "old\n" + "long" * 9):
        tree = server.tree(NAME, {"a": ("100644", text), "b": ("100644", "old\n" if shas[1:] else "-")})
        shas.append(git("commit-tree", tree, *parent, "-m", text, cwd=bare))
        parent = ["-p", shas[-1]]
    await workspace.checkout(REPOSITORY, shas[1], TOKEN, "one")
    checkout = await workspace.checkout(REPOSITORY, shas[2], TOKEN, "two")
    assert (checkout.tree / "a").read_text() == "old\n" + "long" * 9
    assert (checkout.tree / "b").read_text() == "old\n"


@pytest.mark.parametrize("obstacle", ["the filter is refused", "it is too much", "it is long ago"])
async def test_where_one_request_is_not_to_be_had_two_do(
    server: GitServer,
    workspace: Workspace,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    obstacle: str,
) -> None:
    first, second, third = chain(server, 3)
    await workspace.checkout(REPOSITORY, first, TOKEN, "one")
    if obstacle == "the filter is refused":
        git("config", "uploadpackfilter.blob:limit.allow", "false", cwd=server.bare(NAME))
    elif obstacle == "it is too much":
        monkeypatch.setattr(mirror, "MAX_NEAR_BYTES", 10)
    else:
        monkeypatch.setattr(mirror, "NEAR_SECONDS", -1.0)
    for number, sha in enumerate((second, third), start=1):
        checkout = await workspace.checkout(REPOSITORY, sha, TOKEN, f"job{number}")
        assert (checkout.tree / "a.txt").read_text() == f"{number}\n"
    assert mirror_path(tmp_path).exists()
    assert (mirror_path(tmp_path) / "issuewright-no-limits").exists() is (obstacle == "the filter is refused")


async def test_only_the_newest_refs_are_kept_and_an_older_commit_still_works(
    server: GitServer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mirror, "MAX_REFS", 2)
    shas = chain(server, 4)
    refs = mirror_path(tmp_path) / "refs" / "issuewright"
    for number, sha in enumerate(shas):
        await workspace.checkout(REPOSITORY, sha, TOKEN, f"job{number}")
        os.utime(refs / sha, (number, number))
    assert sorted(ref.name for ref in refs.iterdir()) == sorted(shas[-2:])
    assert "change 0" in await log(workspace, shas[0], path=None, limit=5)
    checkout = await workspace.checkout(REPOSITORY, shas[0], TOKEN, "again")
    assert (checkout.tree / "a.txt").read_text() == "0\n"


async def test_a_commit_that_is_too_big_is_not_fetched_again_for_a_day(
    server: GitServer, workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "MAX_TREE_FILES", 20)
    sha = server.repository(NAME, {f"file{number}": f"{number}\n" for number in range(30)})
    small = server.repository(NAME, {"a": "1"})
    with pytest.raises(Permanent, match="too big"):
        await workspace.checkout(REPOSITORY, sha, TOKEN, "one")
    git("update-ref", "-d", f"refs/issuewright/{sha}", cwd=mirror_path(tmp_path))
    count = len(server.authorizations)
    again = Workspace(tmp_path / "data", git_url=server.url, verify_timeout_seconds=1)
    with pytest.raises(Permanent, match="too big"):
        await again.checkout(REPOSITORY, sha, TOKEN, "two")
    assert len(server.authorizations) == count
    assert (await again.checkout(REPOSITORY, small, TOKEN, "three")).tree.exists()
    notes = tmp_path / "data" / "mirrors" / "7.too-big"
    notes.write_text(json.dumps({sha: time.time() - verdict.REMEMBERED_SECONDS}))
    monkeypatch.undo()
    assert len(list((await again.checkout(REPOSITORY, sha, TOKEN, "four")).tree.iterdir())) == 30


@pytest.mark.parametrize("notes", ["", "[1]", '{"a": "x"}', '{"a": 99999999999}'])
def test_notes_that_cannot_be_read_or_come_from_the_future_remember_nothing(
    tmp_path: Path, notes: str
) -> None:
    (tmp_path / "notes").write_text(notes)
    before = verdict.TooBigBefore(tmp_path / "notes")
    assert not before.holds("a", 1000.0)
    for number in range(verdict.MAX_REMEMBERED + 1):
        before.add(str(number), 1000.0 + number)
    assert not before.holds("0", 1200.0)
    assert before.holds("1", 1200.0)


async def test_a_tree_that_waits_is_kept_when_the_fetch_fails(
    server: GitServer, workspace: Workspace, tmp_path: Path
) -> None:
    first, second = chain(server, 2)
    await workspace.discard(await workspace.checkout(REPOSITORY, first, TOKEN, "one"))
    (tree,) = (tmp_path / "data" / "pool").glob("7/*/tree")
    inode = tree.stat().st_ino
    server.status = 404
    with pytest.raises(Permanent):
        await workspace.checkout(REPOSITORY, second, TOKEN, "two")
    server.status = None
    checkout = await workspace.checkout(REPOSITORY, second, TOKEN, "three")
    assert checkout.tree.stat().st_ino == inode
    assert (checkout.tree / "a.txt").read_text() == "1\n"

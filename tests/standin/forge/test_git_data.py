"""Refs, blobs, trees and commits over the API, compared with what git itself says."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest

from bot.standin.forge.refusals import Refusal
from bot.standin.forge.trees import check_path
from tests.standin.forge.conftest import FILES, REPO, Api

ZERO = "0" * 40


def git(path: Path, *arguments: str) -> str:
    return subprocess.run(
        ["git", *arguments], cwd=path, check=True, capture_output=True, text=True
    ).stdout.strip()


def bare(api: Api) -> Path:
    return api.forge.repository(REPO).path


async def main_sha(api: Api) -> str:
    return str((await api.call("GET", "/git/ref/heads/main")).json["object"]["sha"])


def line(path: str, content: str | None = "x\n", **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"path": path, "mode": "100644", "type": "blob"}
    return {**found, "content": content, **more} if content is not None else {**found, **more}


async def tree(api: Api, *lines: dict[str, Any], **more: Any) -> str:
    body = {"base_tree": await main_sha(api), "tree": list(lines), **more}
    answer = await api.call("POST", "/git/trees", body)
    assert answer.status == 201, answer.raw
    return str(answer.json["sha"])


async def commit(api: Api, tree_sha: str, **more: Any) -> str:
    body = {"message": "change", "tree": tree_sha, "parents": [await main_sha(api)], **more}
    answer = await api.call("POST", "/git/commits", body)
    assert answer.status == 201, answer.raw
    return str(answer.json["sha"])


async def test_a_ref_names_the_commit_that_git_names(api: Api) -> None:
    assert await main_sha(api) == git(bare(api), "rev-parse", "main")
    assert (await api.call("GET", "/git/ref/heads/nowhere")).status == 404
    assert (await api.call("GET", "/git/ref/heads/mai")).status == 404


async def test_a_tree_is_the_base_with_the_entries_over_it(api: Api) -> None:
    sha = await tree(api, line("src/calc.py", "new\n"), line("tools/run", "#!\n", mode="100755"))
    names = git(bare(api), "ls-tree", "-r", "--name-only", sha).splitlines()
    assert names == ["README.md", "src/calc.py", "src/deep/note.txt", "tools/run"]
    assert git(bare(api), "show", f"{sha}:src/calc.py") == "new"
    assert git(bare(api), "ls-tree", sha, "tools/").startswith("100755")


async def test_a_null_sha_removes_a_file_or_a_folder(api: Api) -> None:
    sha = await tree(api, line("README.md", None, sha=None), line("src/deep", None, sha=None, mode="040000"))
    assert git(bare(api), "ls-tree", "-r", "--name-only", sha) == "src/calc.py"


async def test_a_file_can_take_the_place_of_a_folder_and_the_other_way_round(api: Api) -> None:
    sha = await tree(api, line("src", "now a file"), line("README.md/part", "now a folder"))
    assert git(bare(api), "ls-tree", "-r", "--name-only", sha).splitlines() == ["README.md/part", "src"]


async def test_a_tree_takes_blobs_and_trees_by_sha(api: Api) -> None:
    blob = (await api.call("POST", "/git/blobs", {"content": "by sha"})).json["sha"]
    deep = git(bare(api), "rev-parse", "main:src/deep")
    sha = await tree(
        api, line("one", None, sha=blob), line("copy", None, sha=deep, mode="040000", type="tree")
    )
    assert git(bare(api), "show", f"{sha}:one") == "by sha"
    assert git(bare(api), "show", f"{sha}:copy/note.txt") == "deep"


async def test_a_tree_without_a_base_holds_only_its_entries(api: Api) -> None:
    answer = await api.call("POST", "/git/trees", {"tree": [line("only", "1")]})
    assert [one["path"] for one in answer.json["tree"]] == ["only"]


@pytest.mark.parametrize(
    "path",
    [
        "/abs",
        "a//b",
        "../up",
        "a/../b",
        "a/.",
        ".git/config",
        "a/.GIT/hooks/x",
        ".git ",
        ".g\u200cit/x",
        "git~1/x",
        ".git::$INDEX_ALLOCATION/x",
        "a\\b",
        "nul\0",
    ],
)
async def test_a_path_that_git_would_not_take_is_refused(api: Api, path: str) -> None:
    body = {"base_tree": await main_sha(api), "tree": [line(path)]}
    answer = await api.call("POST", "/git/trees", body)
    assert answer.status == 422
    assert "tree.path" in answer.message


@pytest.mark.parametrize("path", [".gitignore", ".github/x", "a/.gitkeep", "...", "a b/ç"])
def test_an_ordinary_path_is_taken(path: str) -> None:
    check_path(path)


def test_a_slash_at_the_start_has_its_own_sentence() -> None:
    with pytest.raises(Refusal, match="cannot start with a slash"):
        check_path("/a")


@pytest.mark.parametrize(
    "entry",
    [
        line("", "x"),
        line("gone", None, sha=None),
        line("a", "x", sha=ZERO),
        line("a", None),
        line("a", None, sha=ZERO),
        line("a", None, sha="no sha", mode="160000", type="commit"),
    ],
)
async def test_an_entry_that_cannot_be_is_refused(api: Api, entry: dict[str, Any]) -> None:
    body = {"base_tree": await main_sha(api), "tree": [entry]}
    assert (await api.call("POST", "/git/trees", body)).status == 422


@pytest.mark.parametrize(
    "entry", [{**line("a"), "mode": "777"}, {**line("a"), "mode": 1}, {**line("a"), "content": 5}, "a"]
)
async def test_an_entry_of_wrong_types_is_refused(api: Api, entry: Any) -> None:
    body = {"base_tree": await main_sha(api), "tree": [entry]}
    assert (await api.call("POST", "/git/trees", body, is_malformed=True)).status == 422


async def test_a_tree_needs_a_real_base(api: Api) -> None:
    assert (await api.call("POST", "/git/trees", {"base_tree": ZERO, "tree": [line("a")]})).status == 422


async def test_a_blob_keeps_its_bytes_in_both_encodings(api: Api) -> None:
    raw = bytes(range(256))
    made = await api.call(
        "POST", "/git/blobs", {"content": base64.b64encode(raw).decode(), "encoding": "base64"}
    )
    found = (await api.call("GET", f"/git/blobs/{made.json['sha']}")).json
    assert (base64.b64decode(found["content"]), found["size"]) == (raw, 256)
    assert (await api.call("GET", f"/git/blobs/{ZERO}")).status == 404


@pytest.mark.parametrize("body", [{"content": 5}, {"content": "x", "encoding": "hex"}])
async def test_a_blob_of_wrong_types_is_refused(api: Api, body: Any) -> None:
    assert (await api.call("POST", "/git/blobs", body, is_malformed=True)).status == 422


async def test_a_blob_that_is_no_base64_is_refused(api: Api) -> None:
    assert (await api.call("POST", "/git/blobs", {"content": "a", "encoding": "base64"})).status == 422


async def test_a_tree_is_read_flat_or_whole(api: Api) -> None:
    flat = (await api.call("GET", "/git/trees/main")).json["tree"]
    whole = (await api.call("GET", "/git/trees/main?recursive=1")).json["tree"]
    assert [one["path"] for one in flat] == ["README.md", "src"]
    assert [one["path"] for one in whole if one["type"] == "blob"] == sorted(FILES)
    assert (await api.call("GET", "/git/trees/nowhere")).status == 404


async def test_a_commit_of_the_app_carries_its_name_and_is_verified(api: Api) -> None:
    sha = await commit(api, await tree(api, line("a")), message="subject\n\nbody: ç")
    found = (await api.call("GET", f"/git/commits/{sha}")).json
    assert found["author"]["name"] == "issuewright[bot]"
    assert found["author"]["email"].endswith("+issuewright[bot]@users.noreply.github.com")
    assert found["verification"]["verified"] is True
    assert found["message"] == "subject\n\nbody: ç" == git(bare(api), "log", "-1", "--format=%B", sha)


async def test_a_commit_may_name_its_people(api: Api) -> None:
    author = {"name": "Ann", "email": "ann@example.com", "date": "2026-01-02T03:04:05Z"}
    sha = await commit(api, await tree(api, line("a")), author=author)
    found = (await api.call("GET", f"/git/commits/{sha}")).json
    assert found["author"] == found["committer"] == author
    assert found["verification"]["verified"] is False
    committer = {"name": "Bob", "email": "bob@example.com"}
    sha = await commit(api, await tree(api, line("a")), committer=committer)
    assert git(bare(api), "log", "-1", "--format=%an %cn", sha) == "issuewright[bot] Bob"


@pytest.mark.parametrize(
    "author",
    [
        {"name": "A<", "email": "a"},
        {"name": "A", "email": "a\n"},
        {"name": "A", "email": "a", "date": "today"},
    ],
)
async def test_people_that_no_commit_can_hold_are_refused(api: Api, author: dict[str, str]) -> None:
    body = {"message": "m", "tree": await tree(api, line("a")), "author": author}
    assert (await api.call("POST", "/git/commits", body, is_malformed=True)).status == 422


async def test_a_commit_needs_a_message_a_tree_and_real_parents(api: Api) -> None:
    sha = await tree(api, line("a"))
    for body in ({"message": "m", "tree": ZERO}, {"message": "m", "tree": sha, "parents": [ZERO]}):
        assert (await api.call("POST", "/git/commits", body)).status == 422
    for body in ({"message": "", "tree": sha}, {"tree": sha}, {"message": "m", "tree": sha, "author": "Ann"}):
        assert (await api.call("POST", "/git/commits", body, is_malformed=True)).status == 422
    assert (await api.call("GET", f"/git/commits/{ZERO}")).status == 404


async def test_a_root_commit_has_no_parents(api: Api) -> None:
    sha = await commit(api, await tree(api, line("a")), parents=[])
    assert (await api.call("GET", f"/git/commits/{sha}")).json["parents"] == []


async def test_writing_git_data_needs_contents_write(api: Api) -> None:
    token = await api.token(permissions={"contents": "read"})
    answer = await api.call("POST", "/git/blobs", {"content": "x"}, credential=token)
    assert (answer.status, answer.headers["X-Accepted-GitHub-Permissions"]) == (403, "contents=write")


async def test_an_empty_repository_says_so(api: Api) -> None:
    await api.forge.create_repository("acme/empty", {})
    await api.forge.change_repositories(api.installation_id, added=["acme/empty"])
    token, path = await api.token(), "/repos/acme/empty"
    for method, rest, body in (
        ("GET", "/git/ref/heads/main", None),
        ("POST", "/git/trees", {"tree": [line("a")]}),
        ("GET", "/commits", None),
    ):
        answer = await api.send(method, path + rest, body, credential=token)
        assert (answer.status, answer.message) == (409, "Git Repository is empty.")
    contents = await api.send("GET", path + "/contents/README.md", credential=token)
    assert (contents.status, contents.message) == (404, "This repository is empty.")
    assert (await api.send("GET", path + "/branches/main", credential=token)).status == 404

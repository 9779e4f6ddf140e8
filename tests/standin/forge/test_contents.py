"""Files, commits, comparisons, repositories and accounts over the API."""

import base64

import pytest

from tests.standin.forge.conftest import FILES, REPO, Api

RAW = {"Accept": "application/vnd.github.raw+json"}


async def test_a_file_comes_in_base64_or_raw(api: Api) -> None:
    found = (await api.call("GET", "/contents/src/calc.py")).json
    assert base64.b64decode(found["content"]).decode() == FILES["src/calc.py"]
    assert (found["name"], found["path"], found["type"]) == ("calc.py", "src/calc.py", "file")
    raw = await api.call("GET", "/contents/src/calc.py", headers=RAW)
    assert raw.raw.decode() == FILES["src/calc.py"]
    assert raw.headers["Content-Type"].startswith("application/vnd.github.raw")


async def test_a_file_of_another_branch_is_read_by_ref(api: Api) -> None:
    sha = await api.forge.commit(REPO, "topic/a", {"src/calc.py": "topic\n", "README.md": None}, "ann")
    for ref in ("topic/a", sha):
        raw = await api.call("GET", f"/contents/src/calc.py?ref={ref}", headers=RAW)
        assert raw.raw == b"topic\n"
    assert (await api.call("GET", "/contents/README.md?ref=topic/a")).status == 404
    assert (await api.call("GET", "/contents/README.md?ref=nowhere")).message.startswith("No commit found")


async def test_a_folder_is_a_list(api: Api) -> None:
    top = (await api.call("GET", "/contents")).json
    assert [(one["path"], one["type"]) for one in top] == [("README.md", "file"), ("src", "dir")]
    inside = (await api.call("GET", "/contents/src/")).json
    assert [one["path"] for one in inside] == ["src/calc.py", "src/deep"]
    assert (await api.call("GET", "/contents/nowhere")).status == 404


async def test_a_symlink_shows_its_target(api: Api) -> None:
    sha = (await api.call("GET", "/git/ref/heads/main")).json["object"]["sha"]
    entry = {"path": "link", "mode": "120000", "type": "blob", "content": "README.md"}
    tree = await api.call("POST", "/git/trees", {"base_tree": sha, "tree": [entry]})
    body = {"message": "m", "tree": tree.json["sha"], "parents": [sha]}
    commit = (await api.call("POST", "/git/commits", body)).json["sha"]
    found = (await api.call("GET", f"/contents/link?ref={commit}")).json
    assert (found["type"], found["target"]) == ("symlink", "README.md")


async def test_a_large_file_comes_only_raw(api: Api) -> None:
    await api.forge.commit(REPO, "main", {"large": "x" * 1_048_577}, "ann")
    found = (await api.call("GET", "/contents/large")).json
    assert (found["content"], found["encoding"], found["size"]) == ("", "none", 1_048_577)
    assert len((await api.call("GET", "/contents/large", headers=RAW)).raw) == 1_048_577


async def test_commits_are_listed_newest_first(api: Api) -> None:
    sha = await api.forge.commit(REPO, "main", {"src/calc.py": "x"}, "ann", "Second")
    found = (await api.call("GET", "/commits")).json
    assert [one["commit"]["message"] for one in found] == ["Second", "Initial commit"]
    only = (await api.call("GET", "/commits?path=README.md")).json
    assert [one["commit"]["message"] for one in only] == ["Initial commit"]
    assert (await api.call("GET", f"/commits?sha={sha}&per_page=1")).json[0]["sha"] == sha
    assert (await api.call("GET", "/commits?sha=nowhere")).status == 404


async def test_a_commit_shows_its_files(api: Api) -> None:
    sha = await api.forge.commit(
        REPO, "main", {"README.md": None, "new": "1\n2\n", "src/calc.py": "x\n"}, "ann"
    )
    found = (await api.call("GET", "/commits/heads/main")).json
    assert found["sha"] == sha
    assert {one["filename"]: one["status"] for one in found["files"]} == {
        "README.md": "removed",
        "new": "added",
        "src/calc.py": "modified",
    }
    assert found["stats"] == {"additions": 3, "deletions": 3, "total": 6}


async def test_only_the_sha_of_a_commit_can_be_asked_for(api: Api) -> None:
    answer = await api.call("GET", "/commits/main", headers={"Accept": "application/vnd.github.sha"})
    assert len(answer.raw) == 40
    assert (await api.call("GET", "/commits/nowhere")).status == 422


async def test_the_first_commit_and_binary_files_are_counted(api: Api) -> None:
    await api.forge.create_repository("acme/raw", {"blob.bin": b"\0\1\2"})
    await api.forge.change_repositories(api.installation_id, added=["acme/raw"])
    answer = await api.send("GET", "/repos/acme/raw/commits/main", credential=await api.token())
    assert [(one["filename"], one["changes"]) for one in answer.json["files"]] == [("blob.bin", 0)]


@pytest.mark.parametrize(
    ("basehead", "status", "ahead", "behind"),
    [
        ("main...topic", "diverged", 1, 1),
        ("main...main", "identical", 0, 0),
        ("old...main", "ahead", 1, 0),
        ("main...old", "behind", 0, 1),
    ],
)
async def test_branches_are_compared(api: Api, basehead: str, status: str, ahead: int, behind: int) -> None:
    start = (await api.call("GET", "/git/ref/heads/main")).json["object"]["sha"]
    await api.call("POST", "/git/refs", {"ref": "refs/heads/old", "sha": start})
    await api.forge.commit(REPO, "topic", {"a": "1"}, "ann")
    await api.forge.commit(REPO, "main", {"b": "1"}, "ann")
    found = (await api.call("GET", f"/compare/{basehead}")).json
    assert (found["status"], found["ahead_by"], found["behind_by"]) == (status, ahead, behind)
    assert len(found["commits"]) == ahead


@pytest.mark.parametrize("basehead", ["main", "main...nowhere", "nowhere...main"])
async def test_what_cannot_be_compared_is_not_found(api: Api, basehead: str) -> None:
    assert (await api.call("GET", f"/compare/{basehead}")).status == 404


async def test_a_repository_describes_itself(api: Api) -> None:
    found = (await api.call("GET", "")).json
    assert (found["full_name"], found["default_branch"], found["private"]) == (REPO, "main", False)
    assert found["clone_url"] == f"{api.forge.git_url}/{REPO}.git"


async def test_names_are_found_in_any_case(api: Api) -> None:
    assert (await api.send("GET", "/repos/ACME/Calc", credential=api.default_token)).status == 200


@pytest.mark.parametrize("role", ["admin", "maintain", "write", "triage", "read", "none"])
async def test_a_role_is_given_coarse_and_fine(api: Api, role: str) -> None:
    api.forge.set_permission(REPO, "Someone", role)
    found = (await api.call("GET", "/collaborators/someone/permission")).json
    assert found["permission"] == {"maintain": "write", "triage": "read"}.get(role, role)
    assert found["role_name"] == role
    assert found["user"]["login"] == "Someone"
    assert found["user"]["permissions"]["push"] is (role in {"admin", "maintain", "write"})


async def test_strangers_read_what_is_public_and_nothing_else(api: Api) -> None:
    api.forge.create_user("stranger")
    path = "/collaborators/stranger/permission"
    assert (await api.call("GET", path)).json["permission"] == "read"
    api.forge.repository(REPO).is_private = True
    assert (await api.call("GET", path)).json["permission"] == "none"


async def test_the_owner_administers(api: Api) -> None:
    assert (await api.call("GET", "/collaborators/acme/permission")).json["permission"] == "admin"


@pytest.mark.parametrize("login", ["nobody", "issuewright[bot]"])
async def test_who_is_no_person_has_no_permission(api: Api, login: str) -> None:
    answer = await api.call("GET", f"/collaborators/{login}/permission")
    assert (answer.status, answer.message) == (404, f"{login} is not a user")


async def test_accounts_are_public(api: Api) -> None:
    bot = await api.send("GET", "/users/issuewright%5Bbot%5D", credential=None)
    assert (bot.json["type"], bot.json["id"]) == ("Bot", api.forge.world.app.bot.id)
    api.forge.create_user("shop", "Organization")
    assert (await api.send("GET", "/users/shop", credential=api.default_token)).json["type"] == "Organization"
    assert (await api.send("GET", "/users/nobody", credential=None)).status == 404
    assert (await api.send("GET", "/users/ann", credential="wrong")).status == 401


async def test_the_rate_limit_is_told(api: Api) -> None:
    answer = await api.send("GET", "/rate_limit", credential=api.default_token)
    assert answer.json["resources"]["core"]["limit"] == 5000
    assert answer.headers["X-RateLimit-Limit"] == "5000"


async def test_what_the_forge_does_not_know_is_not_found(api: Api) -> None:
    answer = await api.call("PUT", "/topics", {"names": []})
    assert answer.status == 404
    api.forge.requests.pop()


async def test_an_unknown_version_of_the_api_is_refused(api: Api) -> None:
    answer = await api.call("GET", "", headers={"X-GitHub-Api-Version": "2001-01-01"})
    assert answer.status == 400


async def test_a_request_without_a_user_agent_is_refused(api: Api) -> None:
    assert (await api.call("GET", "", headers={"User-Agent": ""})).status == 403

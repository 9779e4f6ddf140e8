"""Branches and refs over the API."""

import pytest

from tests.standin.forge.conftest import REPO, Api
from tests.standin.forge.test_git_data import ZERO, bare, commit, git, line, main_sha, tree


async def test_a_branch_is_made_once(api: Api) -> None:
    sha = await commit(api, await tree(api, line("a")))
    body = {"ref": "refs/heads/issuewright/1-abc", "sha": sha}
    assert (await api.call("POST", "/git/refs", body)).status == 201
    again = await api.call("POST", "/git/refs", body)
    assert (again.status, again.message) == (422, "Reference already exists")
    assert git(bare(api), "rev-parse", "issuewright/1-abc") == sha
    branch = (await api.call("GET", "/branches/issuewright/1-abc")).json
    assert (branch["name"], branch["commit"]["sha"]) == ("issuewright/1-abc", sha)
    assert branch["commit"]["author"]["login"] == "issuewright[bot]"
    assert (await api.call("GET", "/branches/nowhere")).status == 404


async def test_a_branch_cannot_stand_below_another(api: Api) -> None:
    answer = await api.call("POST", "/git/refs", {"ref": "refs/heads/main/x", "sha": await main_sha(api)})
    assert answer.status == 422


@pytest.mark.parametrize("ref", ["main", "refs/heads/a..b", "refs/heads/", "refs/notes/x", "refs/heads/a b"])
async def test_a_ref_needs_a_proper_name(api: Api, ref: str) -> None:
    answer = await api.call("POST", "/git/refs", {"ref": ref, "sha": await main_sha(api)})
    assert answer.status == 422


async def test_a_ref_needs_a_real_commit(api: Api) -> None:
    blob = git(bare(api), "rev-parse", "main:README.md")
    for sha in (ZERO, blob, "short"):
        answer = await api.call("POST", "/git/refs", {"ref": "refs/heads/x", "sha": sha})
        assert (answer.status, answer.message) == (422, "Object does not exist")


async def test_refs_are_found_by_their_beginning(api: Api) -> None:
    sha = await main_sha(api)
    for name in ("refs/heads/topic/a", "refs/heads/topic/b", "refs/tags/v1"):
        await api.call("POST", "/git/refs", {"ref": name, "sha": sha})
    found = (await api.call("GET", "/git/matching-refs/heads/topic")).json
    assert [one["ref"] for one in found] == ["refs/heads/topic/a", "refs/heads/topic/b"]
    assert (await api.call("GET", "/git/matching-refs/heads/none")).json == []


async def test_a_branch_moves_forward_and_only_by_force_elsewhere(api: Api) -> None:
    start = await main_sha(api)
    one, other = await commit(api, await tree(api, line("a"))), await commit(api, await tree(api, line("b")))
    await api.call("POST", "/git/refs", {"ref": "refs/heads/topic", "sha": start})
    assert (await api.call("PATCH", "/git/refs/heads/topic", {"sha": one})).status == 200
    refused = await api.call("PATCH", "/git/refs/heads/topic", {"sha": other})
    assert (refused.status, refused.message) == (422, "Update is not a fast forward")
    assert (await api.call("PATCH", "/git/refs/heads/topic", {"sha": other, "force": True})).status == 200
    assert (await api.call("PATCH", "/git/refs/heads/none", {"sha": other})).status == 422
    wrong = await api.call("PATCH", "/git/refs/heads/topic", {"sha": one, "force": "yes"}, is_malformed=True)
    assert wrong.status == 422


async def test_a_branch_is_deleted_once(api: Api) -> None:
    await api.call("POST", "/git/refs", {"ref": "refs/heads/topic", "sha": await main_sha(api)})
    assert (await api.call("DELETE", "/git/refs/heads/topic")).status == 204
    again = await api.call("DELETE", "/git/refs/heads/topic")
    assert (again.status, again.message) == (422, "Reference does not exist")


async def test_workflow_files_need_their_own_permission(api: Api) -> None:
    sha = await commit(api, await tree(api, line(".github/workflows/x.yml", "on: push")))
    body = {"ref": "refs/heads/evil", "sha": sha}
    refused = await api.call("POST", "/git/refs", body)
    assert refused.status == 403
    assert refused.headers["X-Accepted-GitHub-Permissions"] == "contents=write,workflows=write"
    api.forge.installation(api.installation_id).permissions["workflows"] = "write"
    assert (await api.call("POST", "/git/refs", body, credential=await api.token())).status == 201


async def test_an_unchanged_workflow_does_no_harm(api: Api) -> None:
    await api.forge.commit(REPO, "main", {".github/workflows/ci.yml": "on: push"}, "ann")
    sha = await commit(api, await tree(api, line("a")))
    assert (await api.call("POST", "/git/refs", {"ref": "refs/heads/ok", "sha": sha})).status == 201

"""Pull requests over the API, and what moving branches does to them."""

from typing import Any

import pytest

from tests.standin.forge.conftest import REPO, Api, Hooks


@pytest.fixture
async def topic(api: Api) -> str:
    """The SHA of branch `topic`, one commit ahead of main."""
    return await api.forge.commit(REPO, "topic", {"src/calc.py": "fixed\n", "new": "1\n"}, "ann", "Fix")


async def pull(api: Api, **more: Any) -> Any:
    body = {"title": "Fix", "head": "topic", "base": "main", "draft": True, **more}
    return (await api.call("POST", "/pulls", body)).json


async def test_a_draft_pull_request_is_made_and_read(api: Api, topic: str) -> None:
    made = await pull(api, body="Closes #1")
    assert made == (await api.call("GET", f"/pulls/{made['number']}")).json
    assert (made["draft"], made["state"], made["merged"]) == (True, "open", False)
    assert (made["head"]["sha"], made["head"]["label"], made["base"]["ref"]) == (topic, "acme:topic", "main")
    assert (made["commits"], made["changed_files"], made["additions"], made["deletions"]) == (1, 2, 2, 2)
    assert made["user"]["login"] == "issuewright[bot]"
    assert made["mergeable_state"] == "draft"


async def test_a_pull_request_is_an_issue_too(api: Api, topic: str) -> None:
    number = (await pull(api))["number"]
    found = (await api.call("GET", f"/issues/{number}")).json
    assert found["pull_request"]["url"].endswith(f"/pulls/{number}") and found["draft"] is True
    assert [one["number"] for one in (await api.call("GET", "/issues")).json] == [number]
    await api.call("POST", f"/issues/{number}/labels", {"labels": ["x"]})
    assert (await api.call("GET", f"/pulls/{number}")).json["labels"][0]["name"] == "x"


async def test_issues_and_pull_requests_share_their_numbers(api: Api, topic: str) -> None:
    issue = await api.forge.open_issue(REPO, "ann", "Bug")
    assert (await pull(api))["number"] == issue + 1
    assert (await api.call("GET", f"/pulls/{issue}")).status == 404


async def test_a_second_pull_request_for_the_same_head_is_refused(api: Api, topic: str) -> None:
    await pull(api)
    answer = await api.call("POST", "/pulls", {"title": "Fix", "head": "acme:topic", "base": "main"})
    message = "A pull request already exists for acme:topic."
    assert (answer.status, answer.json["errors"][0]["message"]) == (422, message)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"head": "nowhere"}, "head"),
        ({"head": "stranger:topic"}, "head"),
        ({"base": "nowhere"}, "base"),
        ({"title": " "}, "title"),
        ({"body": "x" * 65_537}, "body"),
    ],
)
async def test_a_pull_request_needs_real_branches_and_a_title(
    api: Api, topic: str, change: dict[str, str], field: str
) -> None:
    body = {"title": "Fix", "head": "topic", "base": "main", **change}
    answer = await api.call("POST", "/pulls", body)
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, field)


async def test_a_pull_request_without_commits_is_refused(api: Api) -> None:
    sha = (await api.call("GET", "/git/ref/heads/main")).json["object"]["sha"]
    await api.call("POST", "/git/refs", {"ref": "refs/heads/same", "sha": sha})
    answer = await api.call("POST", "/pulls", {"title": "x", "head": "same", "base": "main"})
    assert answer.json["errors"][0]["message"] == "No commits between main and same"


async def test_a_pull_request_of_unrelated_history_is_refused(api: Api) -> None:
    entry = {"path": "a", "mode": "100644", "type": "blob", "content": "x"}
    tree = (await api.call("POST", "/git/trees", {"tree": [entry]})).json["sha"]
    sha = (await api.call("POST", "/git/commits", {"message": "m", "tree": tree})).json["sha"]
    await api.call("POST", "/git/refs", {"ref": "refs/heads/alien", "sha": sha})
    answer = await api.call("POST", "/pulls", {"title": "x", "head": "alien", "base": "main"})
    assert "no history in common" in answer.json["errors"][0]["message"]


@pytest.mark.parametrize("body", [{"head": "topic", "base": "main"}, {"title": "x", "base": "main"}])
async def test_a_pull_request_of_missing_fields_is_refused(api: Api, topic: str, body: Any) -> None:
    assert (await api.call("POST", "/pulls", body, is_malformed=True)).status == 422


async def test_pull_requests_are_filtered_by_head_base_and_state(api: Api, topic: str) -> None:
    await api.forge.commit(REPO, "other", {"a": "1"}, "ann")
    first, second = (await pull(api))["number"], (await pull(api, head="other"))["number"]

    async def numbers(query: str) -> list[int]:
        return [one["number"] for one in (await api.call("GET", f"/pulls?{query}")).json]

    assert await numbers("state=open") == [second, first]
    assert await numbers("head=acme:topic") == [first]
    assert await numbers("head=stranger:topic") == []
    assert await numbers("head=topic") == [second, first], "without an owner GitHub ignores the filter"
    assert await numbers("base=other") == []
    await api.forge.close_issue(REPO, first, "ann")
    assert (await numbers("state=closed"), await numbers("state=all")) == ([first], [second, first])


async def test_a_pull_request_is_changed_closed_and_opened_again(api: Api, topic: str) -> None:
    path = f"/pulls/{(await pull(api))['number']}"
    assert (await api.call("PATCH", path, {"title": "Better", "body": "B"})).json["title"] == "Better"
    assert (await api.call("PATCH", path, {"state": "closed"})).json["mergeable"] is None
    assert (await api.call("PATCH", path, {"state": "open"})).json["state"] == "open"
    assert (await api.call("PATCH", path, {"base": "nowhere"})).status == 422
    as_issue = await api.call("PATCH", path.replace("pulls", "issues"), {"state": "closed"})
    assert as_issue.json["state"] == "closed"


async def test_files_and_commits_are_listed(api: Api, topic: str) -> None:
    path = f"/pulls/{(await pull(api))['number']}"
    files = (await api.call("GET", f"{path}/files")).json
    assert [(one["filename"], one["status"]) for one in files] == [
        ("new", "added"),
        ("src/calc.py", "modified"),
    ]
    assert [one["sha"] for one in (await api.call("GET", f"{path}/commits")).json] == [topic]


async def test_a_push_to_the_branch_is_told_as_synchronize(api: Api, topic: str, hooks: Hooks) -> None:
    number = (await pull(api))["number"]
    api.forge.set_webhook(hooks.url, "")
    sha = await api.forge.commit(REPO, "topic", {"more": "1"}, "ann")
    await api.forge.settle()
    event = hooks.last()
    assert hooks.names == ["pull_request.synchronize"]
    assert (event["number"], event["before"], event["after"]) == (number, topic, sha)
    assert event["pull_request"]["commits"] == 2


async def test_deleting_the_branch_closes_the_pull_request_for_good(api: Api, topic: str) -> None:
    path = f"/pulls/{(await pull(api))['number']}"
    assert (await api.call("DELETE", "/git/refs/heads/topic")).status == 204
    found = (await api.call("GET", path)).json
    assert (found["state"], found["head"]["sha"]) == ("closed", topic)
    assert (await api.call("PATCH", path, {"state": "open"})).status == 422


async def test_merging_moves_the_base_and_closes(api: Api, topic: str) -> None:
    number = (await pull(api))["number"]
    await api.forge.merge_pull(REPO, number, "ann")
    found = (await api.call("GET", f"/pulls/{number}")).json
    assert (found["merged"], found["merged_by"]["login"], found["state"]) == (True, "ann", "closed")
    main = (await api.call("GET", "/commits/main")).json
    assert main["sha"] == found["merge_commit_sha"] and len(main["parents"]) == 2
    assert (await api.call("PATCH", f"/pulls/{number}", {"state": "open"})).status == 422


async def test_pull_requests_need_their_own_permission(api: Api, topic: str) -> None:
    token = await api.token(permissions={"contents": "write", "issues": "write", "pull_requests": "read"})
    body = {"title": "x", "head": "topic", "base": "main"}
    assert (await api.call("POST", "/pulls", body, credential=token)).status == 403
    assert (await api.call("GET", "/pulls", credential=token)).status == 200

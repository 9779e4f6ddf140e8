"""Issues, labels and assignees over the API."""

from typing import Any

import pytest

from tests.standin.forge.conftest import REPO, Api


async def issue(api: Api, **more: Any) -> int:
    return int((await api.call("POST", "/issues", {"title": "Bug", **more})).json["number"])


async def test_an_issue_of_the_app_is_by_its_bot(api: Api) -> None:
    answer = await api.call("POST", "/issues", {"title": "Bug", "body": "words", "labels": ["bug"]})
    assert answer.status == 201
    assert answer.json["user"]["login"] == "issuewright[bot]"
    assert answer.json["user"]["type"] == "Bot"
    assert answer.json["performed_via_github_app"]["id"] == api.forge.app_id
    assert [one["name"] for one in answer.json["labels"]] == ["bug"]


async def test_an_issue_of_a_person_is_by_nobodys_app(api: Api) -> None:
    number = await api.forge.open_issue(REPO, "ann", "Bug")
    found = (await api.call("GET", f"/issues/{number}")).json
    assert (found["user"]["login"], found["performed_via_github_app"]) == ("ann", None)
    assert (found["author_association"], found["state"]) == ("COLLABORATOR", "open")


@pytest.mark.parametrize(("login", "word"), [("acme", "OWNER"), ("ann", "COLLABORATOR"), ("zoe", "NONE")])
async def test_an_author_is_associated(api: Api, login: str, word: str) -> None:
    number = await api.forge.open_issue(REPO, login, "Bug")
    assert (await api.call("GET", f"/issues/{number}")).json["author_association"] == word


async def test_a_title_may_be_a_number(api: Api) -> None:
    assert (await api.call("POST", "/issues", {"title": 7})).json["title"] == "7"


@pytest.mark.parametrize("title", ["", "  ", "x" * 257])
async def test_an_issue_needs_a_title_of_decent_length(api: Api, title: str) -> None:
    answer = await api.call("POST", "/issues", {"title": title})
    assert (answer.status, answer.json["errors"][0]["field"]) == (422, "title")


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"title": ["x"]},
        {"title": "x", "body": 1},
        {"title": "x", "labels": "bug"},
        {"title": "x", "labels": [{"color": "red"}]},
        {"title": "x", "assignees": [1]},
    ],
)
async def test_an_issue_of_wrong_types_is_refused(api: Api, body: Any) -> None:
    assert (await api.call("POST", "/issues", body, is_malformed=True)).status == 422


@pytest.mark.parametrize("raw", [b"{", b"[]"])
async def test_a_body_that_is_no_json_object_is_refused(api: Api, raw: bytes) -> None:
    assert (await api.call("POST", "/issues", raw, is_malformed=True)).status == 400


async def test_a_body_of_65536_characters_fits_and_one_more_does_not(api: Api) -> None:
    assert (await api.call("POST", "/issues", {"title": "x", "body": "x" * 65_536})).status == 201
    assert (await api.call("POST", "/issues", {"title": "x", "body": "x" * 65_537})).status == 422


async def test_issues_are_listed_newest_first_and_filtered(api: Api) -> None:
    first = await issue(api, labels=["bug", "agent"])
    second = await issue(api)
    await api.forge.close_issue(REPO, first, "ann")
    listed = await api.call("GET", "/issues?state=all")
    assert [one["number"] for one in listed.json] == [second, first]
    assert [one["number"] for one in (await api.call("GET", "/issues")).json] == [second]
    labelled = await api.call("GET", "/issues?state=closed&labels=bug,AGENT")
    assert [one["number"] for one in labelled.json] == [first]
    assert (await api.call("GET", "/issues?state=all&since=2099-01-01T00:00:00Z")).json == []


async def test_an_unknown_issue_is_not_found_and_a_deleted_one_is_gone(api: Api) -> None:
    number = await issue(api)
    assert (await api.call("GET", "/issues/99")).status == 404
    await api.forge.delete_issue(REPO, number, "ann")
    answer = await api.call("GET", f"/issues/{number}")
    assert (answer.status, answer.message) == (410, "This issue was deleted")
    assert (await api.call("GET", "/issues")).json == []


async def test_an_issue_is_closed_with_a_reason_and_opened_again(api: Api) -> None:
    number = await issue(api)
    closed = await api.call("PATCH", f"/issues/{number}", {"state": "closed", "state_reason": "not_planned"})
    assert (closed.json["state"], closed.json["state_reason"]) == ("closed", "not_planned")
    assert closed.json["closed_by"]["login"] == "issuewright[bot]"
    again = await api.call("PATCH", f"/issues/{number}", {"state": "open"})
    assert (again.json["state_reason"], again.json["closed_at"]) == ("reopened", None)


async def test_title_body_labels_and_assignees_are_replaced(api: Api) -> None:
    number = await issue(api, labels=["bug", "old"], assignees=["acme"])
    change = {"title": "T", "body": "B", "labels": ["BUG", "new"], "assignees": ["ann"]}
    found = (await api.call("PATCH", f"/issues/{number}", change)).json
    assert (found["title"], found["body"]) == ("T", "B")
    assert [one["name"] for one in found["labels"]] == ["bug", "new"]
    assert [one["login"] for one in found["assignees"]] == ["ann"]


@pytest.mark.parametrize("change", [{"state": "gone"}, {"state_reason": "bored"}])
async def test_an_unknown_state_is_refused(api: Api, change: dict[str, str]) -> None:
    number = await issue(api)
    assert (await api.call("PATCH", f"/issues/{number}", change, is_malformed=True)).status == 422


@pytest.mark.parametrize("change", [{"title": " "}, {"body": "x" * 65_537}])
async def test_a_change_keeps_to_the_same_limits(api: Api, change: dict[str, str]) -> None:
    number = await issue(api)
    assert (await api.call("PATCH", f"/issues/{number}", change)).status == 422


async def test_labels_are_added_once_in_any_case_set_and_removed(api: Api) -> None:
    path = f"/issues/{await issue(api)}/labels"
    assert (await api.call("POST", path, {"labels": ["Bug", "bug", "agent:fix"]})).status == 200
    assert [one["name"] for one in (await api.call("GET", path)).json] == ["Bug", "agent:fix"]
    removed = await api.call("DELETE", f"{path}/agent%3Afix")
    assert [one["name"] for one in removed.json] == ["Bug"]
    assert (await api.call("DELETE", f"{path}/agent%3Afix")).message == "Label does not exist"
    replaced = await api.call("PUT", path, {"labels": ["new"]})
    assert [one["name"] for one in replaced.json] == ["new"]


async def test_labels_may_be_given_as_objects(api: Api) -> None:
    path = f"/issues/{await issue(api)}/labels"
    assert [one["name"] for one in (await api.call("POST", path, {"labels": [{"name": "x"}]})).json] == ["x"]


@pytest.mark.parametrize("name", ["", "x" * 51])
async def test_a_label_needs_a_name_of_decent_length(api: Api, name: str) -> None:
    path = f"/issues/{await issue(api)}/labels"
    assert (await api.call("POST", path, {"labels": [name]})).status == 422


async def test_labels_must_be_given(api: Api) -> None:
    assert (await api.call("POST", f"/issues/{await issue(api)}/labels", {})).status == 422


async def test_only_those_with_access_are_assigned_and_at_most_ten(api: Api) -> None:
    path = f"/issues/{await issue(api)}/assignees"
    api.forge.create_user("stranger")
    answer = await api.call("POST", path, {"assignees": ["ann", "ann", "stranger", "nobody"]})
    assert (answer.status, [one["login"] for one in answer.json["assignees"]]) == (201, ["ann"])
    assert answer.json["assignee"]["login"] == "ann"
    many = [f"person-{number}" for number in range(12)]
    for login in many:
        api.forge.set_permission(REPO, login, "read")
    assert len((await api.call("POST", path, {"assignees": many})).json["assignees"]) == 10
    fewer = await api.call("DELETE", path, {"assignees": ["ANN", "nobody"]})
    assert len(fewer.json["assignees"]) == 9


async def test_reading_issues_needs_the_issues_permission(api: Api) -> None:
    number = await issue(api)
    token = await api.token(permissions={"pull_requests": "write"})
    answer = await api.call("GET", f"/issues/{number}", credential=token)
    assert (answer.status, answer.headers["X-Accepted-GitHub-Permissions"]) == (403, "issues=read")


async def test_an_archived_repository_is_read_only(api: Api) -> None:
    number = await issue(api)
    api.forge.repository(REPO).is_archived = True
    assert (await api.call("GET", f"/issues/{number}")).status == 200
    assert (await api.call("POST", "/issues", {"title": "x"})).status == 403

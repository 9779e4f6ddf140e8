"""Comments and reactions over the API."""

from typing import Any

import pytest

from tests.standin.forge.conftest import REPO, Api


@pytest.fixture
async def number(api: Api) -> int:
    return await api.forge.open_issue(REPO, "ann", "Bug", "words")


async def comment(api: Api, number: int, body: str = "hello") -> int:
    return int((await api.call("POST", f"/issues/{number}/comments", {"body": body})).json["id"])


async def test_a_comment_of_the_app_is_by_its_bot(api: Api, number: int) -> None:
    answer = await api.call("POST", f"/issues/{number}/comments", {"body": "hello"})
    assert (answer.status, answer.json["user"]["login"]) == (201, "issuewright[bot]")
    assert answer.json["performed_via_github_app"]["slug"] == "issuewright"
    assert answer.json["html_url"].endswith(f"/{REPO}/issues/{number}#issuecomment-{answer.json['id']}")


async def test_a_comment_is_read_edited_and_deleted(api: Api, number: int) -> None:
    path = f"/issues/comments/{await comment(api, number)}"
    assert (await api.call("GET", path)).json["body"] == "hello"
    assert (await api.call("PATCH", path, {"body": "changed"})).json["body"] == "changed"
    assert (await api.call("DELETE", path)).status == 204
    assert (await api.call("GET", path)).status == 404


async def test_ids_of_comments_do_not_fit_in_32_bits_signed(api: Api, number: int) -> None:
    assert await comment(api, number) > 2**31


@pytest.mark.parametrize("body", ["  ", "x" * 65_537])
async def test_an_empty_or_too_long_comment_is_refused(api: Api, number: int, body: str) -> None:
    assert (await api.call("POST", f"/issues/{number}/comments", {"body": body})).status == 422
    path = f"/issues/comments/{await comment(api, number)}"
    assert (await api.call("PATCH", path, {"body": body})).status == 422


async def test_a_comment_without_a_body_is_refused(api: Api, number: int) -> None:
    answer = await api.call("POST", f"/issues/{number}/comments", {}, is_malformed=True)
    assert (answer.status, answer.json["errors"][0]["code"]) == (422, "missing_field")


async def test_a_locked_issue_takes_no_comment(api: Api, number: int) -> None:
    await api.forge.lock_issue(REPO, number, "ann")
    answer = await api.call("POST", f"/issues/{number}/comments", {"body": "x"})
    assert (answer.status, answer.message) == (403, "Unable to create comment because issue is locked.")


async def test_a_deleted_issue_takes_no_comment_and_hides_its_own(api: Api, number: int) -> None:
    one = await comment(api, number)
    await api.forge.delete_issue(REPO, number, "ann")
    assert (await api.call("POST", f"/issues/{number}/comments", {"body": "x"})).status == 410
    assert (await api.call("GET", f"/issues/{number}/comments")).status == 410
    assert (await api.call("GET", f"/issues/comments/{one}")).status == 404


async def test_comments_come_in_pages_with_links(api: Api, number: int) -> None:
    for position in range(5):
        await comment(api, number, str(position))
    seen: list[str] = []
    path: Any = f"/issues/{number}/comments?per_page=2"
    while path:
        answer = await api.call("GET", path)
        seen += [one["body"] for one in answer.json]
        links = {
            part.split("; ")[1]: part.split("; ")[0].strip("<>")
            for part in answer.headers.get("Link", "").split(", ")
            if part
        }
        following = links.get('rel="next"')
        path = following.partition(f"/repos/{REPO}")[2] if following else None
    assert seen == ["0", "1", "2", "3", "4"]
    assert 'rel="prev"' in answer.headers["Link"] and 'rel="last"' not in answer.headers["Link"]


async def test_a_page_size_that_is_no_number_is_the_default(api: Api, number: int) -> None:
    for _ in range(31):
        await api.forge.comment(REPO, number, "ann", "x")
    path = f"/issues/{number}/comments"
    assert len((await api.call("GET", f"{path}?per_page=many", is_malformed=True)).json) == 30
    assert len((await api.call("GET", f"{path}?per_page=500")).json) == 31


async def test_comments_can_be_asked_for_since_a_time(api: Api, number: int) -> None:
    await comment(api, number)
    path = f"/issues/{number}/comments?since=2099-01-01T00:00:00Z"
    assert (await api.call("GET", path)).json == []


@pytest.mark.parametrize("kind", ["issue", "comment"])
async def test_a_reaction_is_new_once(api: Api, number: int, kind: str) -> None:
    one = f"/issues/{number}" if kind == "issue" else f"/issues/comments/{await comment(api, number)}"
    path = f"{one}/reactions"
    first = await api.call("POST", path, {"content": "eyes"})
    second = await api.call("POST", path, {"content": "eyes"})
    assert (first.status, second.status, first.json["id"]) == (201, 200, second.json["id"])
    await api.call("POST", path, {"content": "+1"})
    assert [it["content"] for it in (await api.call("GET", path)).json] == ["eyes", "+1"]
    assert len((await api.call("GET", f"{path}?content=eyes")).json) == 1
    assert (await api.call("GET", one)).json["reactions"]["eyes"] == 1
    assert (await api.call("DELETE", f"{path}/{first.json['id']}")).status == 204
    assert (await api.call("DELETE", f"{path}/{first.json['id']}")).status == 404


async def test_an_unknown_reaction_is_refused(api: Api, number: int) -> None:
    answer = await api.call("POST", f"/issues/{number}/reactions", {"content": "shrug"}, is_malformed=True)
    assert answer.status == 422


async def test_reactions_of_people_are_counted(api: Api, number: int) -> None:
    one = await comment(api, number)
    await api.forge.react(REPO, one, "ann", "-1")
    found = (await api.call("GET", f"/issues/comments/{one}/reactions")).json
    assert [(it["user"]["login"], it["content"]) for it in found] == [("ann", "-1")]


async def test_writing_to_an_issue_needs_the_issues_permission(api: Api, number: int) -> None:
    token = await api.token(permissions={"pull_requests": "write", "issues": "read"})
    answer = await api.call("POST", f"/issues/{number}/comments", {"body": "x"}, credential=token)
    assert answer.status == 403
    one = await comment(api, number)
    answer = await api.call("PATCH", f"/issues/comments/{one}", {"body": "x"}, credential=token)
    assert answer.status == 403


async def test_the_pull_request_permission_is_enough_on_a_pull_request(api: Api) -> None:
    await api.forge.commit(REPO, "topic", {"a": "1"}, "ann")
    pull = await api.call("POST", "/pulls", {"title": "P", "head": "topic", "base": "main"})
    token = await api.token(permissions={"pull_requests": "write"})
    path = f"/issues/{pull.json['number']}/comments"
    assert (await api.call("POST", path, {"body": "x"}, credential=token)).status == 201

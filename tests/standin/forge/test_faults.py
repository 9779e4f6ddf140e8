"""The forge misbehaves exactly as it was told, and as often."""

import asyncio

import aiohttp
import pytest

from bot.standin.forge.faults import Delay, Drop, Hang, Reply
from tests.standin.forge.conftest import REPO, Api

COMMENTS = r"/issues/\d+/comments$"


@pytest.fixture
async def number(api: Api) -> int:
    return await api.forge.open_issue(REPO, "ann", "Bug")


def count(api: Api, number: int) -> int:
    return len(api.forge.thread(REPO, number).comments)


async def test_a_reply_comes_as_often_as_asked_and_nothing_is_done(api: Api, number: int) -> None:
    api.forge.faults.add("POST", COMMENTS, Reply(502), times=2)
    path = f"/issues/{number}/comments"
    statuses = [(await api.call("POST", path, {"body": "x"})).status for _ in range(3)]
    assert statuses == [502, 502, 201]
    assert count(api, number) == 1
    assert [one.fault for one in api.forge.requests[-3:]] == ["Reply", "Reply", None]


async def test_a_reply_after_the_fact_has_landed(api: Api, number: int) -> None:
    api.forge.faults.add("POST", COMMENTS, Reply(500, is_after=True))
    assert (await api.call("POST", f"/issues/{number}/comments", {"body": "x"})).status == 500
    assert count(api, number) == 1


async def test_a_reply_may_have_any_body_and_headers(api: Api) -> None:
    api.forge.faults.add("*", "", Reply(502, "<html>Unicorn!</html>", {"Content-Type": "text/html"}))
    api.forge.faults.add("*", "", Reply(429, headers={"Retry-After": "7"}))
    page, limited = await api.call("GET", ""), await api.call("GET", "")
    assert (page.status, page.raw) == (502, b"<html>Unicorn!</html>")
    assert (limited.status, limited.headers["Retry-After"]) == (429, "7")


@pytest.mark.parametrize(("is_after", "landed"), [(False, 0), (True, 1)])
async def test_a_connection_is_cut_before_or_after_the_fact(
    api: Api, number: int, is_after: bool, landed: int
) -> None:
    api.forge.faults.add("POST", COMMENTS, Drop(is_after=is_after))
    with pytest.raises(aiohttp.ClientError):
        await api.call("POST", f"/issues/{number}/comments", {"body": "x"})
    assert count(api, number) == landed
    assert (api.forge.requests[-1].status, api.forge.requests[-1].fault) == (None, "Drop")


@pytest.mark.parametrize(("is_after", "landed"), [(False, 0), (True, 1)])
async def test_a_request_hangs_until_the_faults_are_cleared(
    api: Api, number: int, is_after: bool, landed: int
) -> None:
    api.forge.faults.add("POST", COMMENTS, Hang(is_after=is_after), times=None)
    waiting = asyncio.create_task(api.call("POST", f"/issues/{number}/comments", {"body": "x"}))
    await api.forge.faults.until_hanging()
    assert (waiting.done(), count(api, number)) == (False, landed)
    api.forge.faults.clear()
    with pytest.raises(aiohttp.ClientError):
        await waiting
    assert count(api, number) == landed
    assert (await api.call("POST", f"/issues/{number}/comments", {"body": "x"})).status == 201


@pytest.mark.parametrize("is_after", [False, True])
async def test_a_slow_answer_comes_in_the_end(api: Api, is_after: bool) -> None:
    api.forge.faults.add("GET", "", Hang(0.001, is_after=is_after))
    assert (await api.call("GET", "")).status == 200


async def test_a_new_comment_can_be_seen_late(api: Api, number: int) -> None:
    api.forge.faults.add("POST", COMMENTS, Delay(30))
    path = f"/issues/{number}/comments"
    made = (await api.call("POST", path, {"body": "x"})).json
    assert (await api.call("GET", path)).json == []
    assert (await api.call("GET", f"/issues/comments/{made['id']}")).status == 404
    api.forge.clock.advance(30)
    assert len((await api.call("GET", path)).json) == 1


async def test_a_new_branch_can_be_seen_late_but_is_there(api: Api) -> None:
    sha = (await api.call("GET", "/git/ref/heads/main")).json["object"]["sha"]
    body = {"ref": "refs/heads/late", "sha": sha}
    api.forge.faults.add("POST", "/git/refs$", Delay(30))
    assert (await api.call("POST", "/git/refs", body)).status == 201
    reads = ("/git/ref/heads/late", "/branches/late", "/contents/README.md?ref=late")
    assert [(await api.call("GET", path)).status for path in reads] == [404, 404, 404]
    assert (await api.call("GET", "/git/matching-refs/heads/late")).json == []
    assert (await api.call("POST", "/git/refs", body)).status == 422
    api.forge.clock.advance(31)
    assert [(await api.call("GET", path)).status for path in reads] == [200, 200, 200]


async def test_a_new_pull_request_can_be_seen_late_but_is_there(api: Api) -> None:
    await api.forge.commit(REPO, "topic", {"a": "1"}, "ann")
    body = {"title": "P", "head": "topic", "base": "main"}
    api.forge.faults.add("POST", "/pulls$", Delay(30))
    number = (await api.call("POST", "/pulls", body)).json["number"]
    assert (await api.call("GET", "/pulls?head=acme:topic")).json == []
    assert (await api.call("GET", f"/pulls/{number}")).status == 404
    assert (await api.call("POST", "/pulls", body)).status == 422
    api.forge.clock.advance(31)
    assert len((await api.call("GET", "/pulls?head=acme:topic")).json) == 1


async def test_a_rule_for_another_method_or_path_does_nothing(api: Api) -> None:
    api.forge.faults.add("POST", "", Reply(500), times=None)
    api.forge.faults.add("GET", "/elsewhere", Reply(500), times=None)
    assert (await api.call("GET", "")).status == 200

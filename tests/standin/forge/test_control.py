"""The levers that another process pulls over HTTP."""

import json
from collections.abc import AsyncIterator
from typing import Any, cast

import aiohttp
import pytest
from aiohttp import web

from bot.standin.forge.control import PEOPLE_ACTIONS, Control
from bot.standin.forge.forge import Forge
from tests.standin.forge.conftest import REPO, SECRET, Api, Hooks


class Levers:
    """JSON in, status and JSON out."""

    def __init__(self, session: aiohttp.ClientSession) -> None:
        self.session = session

    async def pull(self, method: str, path: str, body: Any = None) -> tuple[int, Any]:
        async with self.session.request(method, f"/_forge/{path}", json=body) as response:
            return response.status, await response.json()

    async def person(self, action: str, **arguments: Any) -> Any:
        status, body = await self.pull("POST", f"people/{action}", arguments)
        assert status == 200, body
        return body["result"]


@pytest.fixture
async def levers(forge: Forge) -> AsyncIterator[Levers]:
    async with aiohttp.ClientSession(forge.api_url) as session:
        yield Levers(session)


async def test_people_act_and_the_state_shows_it(levers: Levers, hooks: Hooks) -> None:
    await levers.pull("POST", "webhook", {"url": hooks.url, "secret": SECRET, "ping": True})
    await levers.person("create_repository", full_name="shop/cart", files={"a.txt": "x"})
    await levers.person("set_permission", repository="shop/cart", login="eve", level="write")
    installation = await levers.person("install", account="shop", repositories=["shop/cart"])
    number = await levers.person(
        "open_issue", repository="shop/cart", author="eve", title="Bug", labels=["bug"]
    )
    comment = await levers.person("comment", repository="shop/cart", number=number, author="eve", body="hi")
    _, state = await levers.pull("GET", "state")
    assert [one["id"] for one in state["installations"]] == [installation]
    shop = next(one for one in state["repositories"] if one["full_name"] == "shop/cart")
    (thread,) = shop["threads"]
    assert (thread["number"], thread["labels"][0]["name"], thread["is_deleted"]) == (number, "bug", False)
    assert [one["id"] for one in thread["comment_list"]] == [comment]
    assert (list(shop["branches"]), shop["levels"]) == (["main"], {"eve": "write"})


async def test_a_pull_request_shows_its_branches(levers: Levers, api: Api) -> None:
    sha = await levers.person("commit", repository=REPO, branch="topic", files={"a": "1"}, author="ann")
    await api.call("POST", "/pulls", {"title": "P", "head": "topic", "base": "main", "draft": True})
    _, state = await levers.pull("GET", "state")
    (thread,) = state["repositories"][0]["threads"]
    shown = thread["pull_request"]
    assert (shown["head"], shown["base"], shown["head_sha"], thread["draft"]) == ("topic", "main", sha, True)


async def test_requests_are_shown_without_any_token(levers: Levers, api: Api) -> None:
    await api.call("GET", "")
    _, all_of_them = await levers.pull("GET", "requests")
    _, last = await levers.pull("GET", f"requests?since={len(all_of_them) - 1}")
    assert len(last) == 1 and (last[0]["path"], last[0]["status"]) == (f"/repos/{REPO}", 200)
    assert last[0]["permissions"]["contents"] == "write" and last[0]["token_id"] == 1
    assert api.default_token not in json.dumps(all_of_them)
    assert "uthorization" not in json.dumps([one["request_headers"] for one in all_of_them])


async def test_deliveries_are_shown_and_sent_again(levers: Levers, hooks: Hooks, forge: Forge) -> None:
    hooks.status = 500
    await levers.pull("POST", "webhook", {"url": hooks.url, "secret": SECRET, "ping": True})
    await forge.settle()
    _, shown = await levers.pull("GET", "deliveries")
    assert (shown[0]["event"], shown[0]["status_code"]) == ("ping", 500)
    assert await levers.pull("POST", "redeliver") == (200, {"redelivered": 1})
    status, again = await levers.pull("POST", "redeliver", {"id": shown[0]["id"]})
    await forge.settle()
    assert (status, len(hooks.got), again["id"]) == (200, 3, forge.deliveries[-1].id)
    assert (await levers.pull("POST", "redeliver", {"id": 1}))[0] == 404


async def test_a_webhook_can_be_set_without_a_greeting(levers: Levers, hooks: Hooks, forge: Forge) -> None:
    assert await levers.pull("POST", "webhook", {"url": hooks.url, "secret": SECRET}) == (200, {})
    await forge.settle()
    assert hooks.got == []


async def test_faults_are_added_and_cleared(levers: Levers, api: Api) -> None:
    rule = {"method": "GET", "path": "/repos/", "action": "reply", "status": 503, "times": None}
    assert await levers.pull("POST", "faults", rule) == (200, {})
    assert (await api.call("GET", "")).status == 503
    assert await levers.pull("DELETE", "faults") == (200, {})
    assert (await api.call("GET", "")).status == 200


async def test_the_clock_is_moved(levers: Levers, forge: Forge) -> None:
    before = forge.clock.now()
    _, body = await levers.pull("POST", "clock", {"seconds": 3600})
    assert body["now"] >= before + 3600


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("people/start", {}, 404),
        ("people/open_issue", {"repository": "no/where", "author": "ann", "title": "x"}, 404),
        ("people/open_issue", {"colour": "red"}, 400),
        ("people/set_permission", {"repository": REPO, "login": "ann", "level": "god"}, 422),
        ("faults", {"action": "explode"}, 422),
        ("faults", {"action": "reply", "status": 500, "colour": "red"}, 400),
        ("clock", [1], 400),
    ],
)
async def test_nonsense_is_refused(levers: Levers, path: str, body: Any, status: int) -> None:
    assert (await levers.pull("POST", path, body))[0] == status


def test_every_action_of_people_exists() -> None:
    assert [name for name in PEOPLE_ACTIONS if not callable(getattr(Forge, name, None))] == []


async def test_a_caller_from_elsewhere_is_refused(forge: Forge) -> None:
    class Elsewhere:
        remote = "192.0.2.7"

    control = Control(forge)
    response = await control.guarded(control.state)(cast(web.Request, Elsewhere()))
    assert response.status == 403

"""What the forge tells, to whom, signed how, and how failed deliveries are sent again."""

import asyncio
import hashlib
import hmac
import json
from pathlib import Path

import pytest
from aiohttp import web

from bot.standin.forge.forge import Forge
from tests.standin.forge.conftest import REPO, SECRET, Api, Hooks

SAMPLES = Path(__file__).parents[2] / "samples" / "webhooks"
REPOSITORY_KEYS = {"id", "node_id", "name", "full_name", "private", "owner", "default_branch", "archived"}


@pytest.fixture
async def told(api: Api, hooks: Hooks) -> Hooks:
    """The receiver, told of everything from now on."""
    api.forge.set_webhook(hooks.url, SECRET)
    return hooks


async def test_a_delivery_is_signed_and_has_githubs_headers(api: Api, told: Hooks) -> None:
    await api.forge.open_issue(REPO, "ann", "Bug – ç")
    await api.forge.settle()
    headers, raw = told.got[0]
    signature = "sha256=" + hmac.new(SECRET.encode(), raw, hashlib.sha256).hexdigest()
    assert headers["X-Hub-Signature-256"] == signature
    assert headers["User-Agent"].startswith("GitHub-Hookshot/")
    assert headers["Content-Type"] == "application/json"
    assert headers["X-GitHub-Event"] == "issues"
    assert headers["X-GitHub-Hook-Installation-Target-ID"] == str(api.forge.app_id)
    assert headers["X-GitHub-Hook-Installation-Target-Type"] == "integration"
    assert headers["X-GitHub-Hook-ID"].isdigit()
    assert headers["X-GitHub-Delivery"] == api.forge.deliveries[0].guid


async def test_without_a_secret_nothing_is_signed(api: Api, hooks: Hooks) -> None:
    api.forge.set_webhook(hooks.url, "")
    api.forge.ping()
    await api.forge.settle()
    assert not [name for name in hooks.got[0][0] if name.startswith("X-Hub-Signature")]
    assert hooks.last()["zen"] and hooks.last()["hook"]["app_id"] == api.forge.app_id


async def test_the_life_of_an_issue_is_told_in_order(api: Api, told: Hooks) -> None:
    forge = api.forge
    number = await forge.open_issue(REPO, "ann", "Bug", labels=["bug"])
    await forge.add_label(REPO, number, "agent", "ann")
    await forge.add_label(REPO, number, "AGENT", "ann")
    await forge.edit_issue(REPO, number, "ann", title="Bug!")
    await forge.edit_issue(REPO, number, "ann", title="Bug!")
    await forge.remove_label(REPO, number, "agent", "ann")
    await forge.close_issue(REPO, number, "ann")
    await forge.close_issue(REPO, number, "ann")
    await forge.reopen_issue(REPO, number, "ann")
    await forge.lock_issue(REPO, number, "ann")
    await forge.delete_issue(REPO, number, "ann")
    await forge.settle()
    told_actions = [name.removeprefix("issues.") for name in told.names]
    expected = "opened labeled labeled edited unlabeled closed reopened locked deleted"
    assert told_actions == expected.split()


async def test_the_life_of_a_comment_is_told(api: Api, told: Hooks) -> None:
    number = await api.forge.open_issue(REPO, "ann", "Bug")
    one = await api.forge.comment(REPO, number, "bob", "/agent fix")
    await api.forge.edit_comment(REPO, one, "bob", "changed")
    edited = told
    await api.forge.settle()
    assert edited.last()["changes"] == {"body": {"from": "/agent fix"}}
    await api.forge.delete_comment(REPO, one, "bob")
    await api.forge.settle()
    assert told.names[1:] == ["issue_comment.created", "issue_comment.edited", "issue_comment.deleted"]
    event = json.loads(told.got[1][1])
    assert event["comment"]["body"] == "/agent fix"
    assert (event["sender"]["login"], event["issue"]["number"]) == ("bob", number)
    assert event["installation"]["id"] == api.installation_id


async def test_the_apps_own_writes_are_told_too(api: Api, told: Hooks) -> None:
    number = await api.forge.open_issue(REPO, "ann", "Bug")
    await api.call("POST", f"/issues/{number}/comments", {"body": "x"})
    await api.call("POST", f"/issues/{number}/assignees", {"assignees": ["ann"]})
    await api.call("DELETE", f"/issues/{number}/assignees", {"assignees": ["ann"]})
    await api.forge.settle()
    assert told.names[1:] == ["issue_comment.created", "issues.assigned", "issues.unassigned"]
    assert told.last()["sender"]["type"] == "Bot"
    assert json.loads(told.got[1][1])["comment"]["performed_via_github_app"]["id"] == api.forge.app_id


async def test_a_pull_request_is_told_from_opened_to_closed(api: Api, told: Hooks) -> None:
    await api.forge.commit(REPO, "topic", {"a": "1"}, "ann")
    number = (await api.call("POST", "/pulls", {"title": "P", "head": "topic", "base": "main"})).json[
        "number"
    ]
    await api.forge.comment(REPO, number, "ann", "nice")
    await api.forge.merge_pull(REPO, number, "ann")
    await api.forge.settle()
    assert told.names == ["pull_request.opened", "issue_comment.created", "pull_request.closed"]
    assert told.last()["pull_request"]["merged"] is True
    assert "pull_request" in json.loads(told.got[1][1])["issue"]


async def test_the_life_of_an_installation_is_told(api: Api, told: Hooks) -> None:
    forge = api.forge
    await forge.create_repository("acme/more", {})
    await forge.change_repositories(api.installation_id, added=["acme/more"])
    await forge.change_repositories(api.installation_id, removed=["acme/more"])
    await forge.suspend(api.installation_id)
    await forge.open_issue(REPO, "ann", "unheard")
    await forge.unsuspend(api.installation_id)
    await forge.uninstall(api.installation_id)
    await forge.open_issue(REPO, "ann", "unheard")
    await forge.install("acme", [REPO])
    await forge.settle()
    names = [
        "installation_repositories.added",
        "installation_repositories.removed",
        "installation.suspend",
        "installation.unsuspend",
        "installation.deleted",
        "installation.created",
    ]
    assert told.names == names
    added = json.loads(told.got[0][1])
    assert [one["full_name"] for one in added["repositories_added"]] == ["acme/more"]
    assert [one["full_name"] for one in told.last()["repositories"]] == [REPO]


async def test_only_what_the_app_may_read_and_asked_for_is_told(api: Api, told: Hooks) -> None:
    await api.forge.uninstall(api.installation_id)
    await api.forge.install("acme", [REPO], {"contents": "write"})
    await api.forge.settle()
    told.got.clear()
    await api.forge.open_issue(REPO, "ann", "unheard")
    await api.forge.create_repository("other/repo", {})
    await api.forge.open_issue("other/repo", "ann", "unheard")
    api.forge.world.app.events.remove("issues")
    await api.forge.open_issue(REPO, "ann", "unheard")
    await api.forge.settle()
    assert told.got == []


async def test_an_organizations_events_name_it(forge: Forge, hooks: Hooks) -> None:
    forge.create_user("guild", "Organization")
    await forge.create_repository("guild/tool", {"a": "b"}, private=True)
    await forge.install("guild")
    forge.set_webhook(hooks.url, SECRET)
    await forge.open_issue("guild/tool", "ann", "Bug")
    await forge.settle()
    assert hooks.last()["organization"]["login"] == "guild"
    assert hooks.last()["repository"]["private"] is True


@pytest.mark.parametrize("event", ["issues", "issue_comment", "pull_request"])
async def test_payloads_have_the_members_of_recorded_ones(api: Api, told: Hooks, event: str) -> None:
    """The newest recorded example of `labeled`, `created` or `opened` has no member that ours lacks."""
    number = await api.forge.open_issue(REPO, "ann", "Bug", labels=["bug"])
    await api.forge.comment(REPO, number, "ann", "x")
    await api.forge.commit(REPO, "topic", {"a": "1"}, "ann")
    await api.call("POST", "/pulls", {"title": "P", "head": "topic", "base": "main"})
    await api.forge.settle()
    action = {"issues": "labeled", "issue_comment": "created", "pull_request": "opened"}[event]
    ours = json.loads(told.got[told.names.index(f"{event}.{action}")][1])
    records = json.loads((SAMPLES / f"{event}.json").read_text(encoding="utf-8"))
    recorded = next(one["payload"] for one in records if one["action"] == action)
    subject = {"issues": "issue", "issue_comment": "comment", "pull_request": "pull_request"}[event]
    assert set(recorded) - {"organization"} <= set(ours)
    assert set(recorded[subject]) - set(ours[subject]) <= {"draft"}
    assert set(ours["repository"]) >= REPOSITORY_KEYS


async def test_a_failed_delivery_is_not_repeated_by_itself(api: Api, told: Hooks) -> None:
    told.status = 503
    api.forge.ping()
    await api.forge.settle()
    assert len(told.got) == 1
    assert (api.forge.deliveries[0].status_code, api.forge.deliveries[0].is_ok) == (503, False)


async def test_failed_deliveries_are_sent_again_on_demand_with_the_same_guid(api: Api, told: Hooks) -> None:
    told.status = 500
    api.forge.ping()
    await api.forge.settle()
    told.status = 202
    api.forge.ping()
    await api.forge.settle()
    assert api.forge.redeliver_failed() == 1
    await api.forge.settle()
    first, again = told.got[0], told.got[2]
    assert first[1] == again[1]
    assert first[0]["X-GitHub-Delivery"] == again[0]["X-GitHub-Delivery"]
    assert api.forge.deliveries[-1].is_redelivery
    assert api.forge.redeliver_failed() == 0


async def test_a_receiver_that_is_away_or_slow_is_a_failure(api: Api) -> None:
    api.forge.set_webhook("http://127.0.0.1:9/hook", SECRET)
    api.forge.ping()
    await api.forge.settle()
    assert api.forge.deliveries[0].status_code == 502


async def test_a_receiver_that_takes_too_long_is_a_failure(tmp_path: Path) -> None:
    forge, release = Forge(root=tmp_path / "f"), asyncio.Event()
    forge.stage.deliveries.answer_seconds = 0.05

    async def hang(_: web.Request) -> web.Response:
        await release.wait()
        return web.Response()

    app = web.Application()
    app.router.add_post("/hook", hang)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await forge.start()
    forge.set_webhook(f"http://127.0.0.1:{runner.addresses[0][1]}/hook", SECRET)
    forge.ping()
    await forge.settle()
    release.set()
    assert (forge.deliveries[0].status_code, forge.deliveries[0].status) == (504, "timed out")
    await forge.stop()
    await runner.cleanup()


async def test_without_an_address_nothing_is_kept(api: Api) -> None:
    api.forge.set_webhook(None, "")
    api.forge.ping()
    assert api.forge.deliveries == []


async def test_the_app_lists_reads_and_repeats_its_deliveries(api: Api, told: Hooks) -> None:
    number = await api.forge.open_issue(REPO, "ann", "Bug")
    for _ in range(2):
        await api.forge.comment(REPO, number, "ann", "x")
    await api.forge.settle()
    listed = await api.as_app("GET", "/app/hook/deliveries?per_page=2")
    assert [one["event"] for one in listed.json] == ["issue_comment", "issue_comment"]
    following = listed.headers["Link"].split(";")[0].strip("<>").removeprefix(api.forge.api_url)
    rest = await api.as_app("GET", following)
    assert [one["event"] for one in rest.json] == ["issues"] and "Link" not in rest.headers
    path = f"/app/hook/deliveries/{rest.json[0]['id']}"
    whole = (await api.as_app("GET", path)).json
    assert whole["request"]["payload"]["issue"]["number"] == number
    assert whole["request"]["headers"]["X-GitHub-Event"] == "issues"
    assert whole["response"]["payload"] == "thank you"
    assert (await api.as_app("POST", f"{path}/attempts")).status == 202
    await api.forge.settle()
    assert told.got[-1][1] == told.got[0][1]
    assert (await api.as_app("GET", "/app/hook/deliveries")).json[0]["redelivery"] is True


async def test_deliveries_are_kept_for_three_days(api: Api, told: Hooks) -> None:
    api.forge.ping()
    await api.forge.settle()
    (one,) = (await api.as_app("GET", "/app/hook/deliveries")).json
    api.forge.clock.advance(3 * 24 * 3600 + 1)
    assert (await api.as_app("GET", "/app/hook/deliveries")).json == []
    assert (await api.as_app("GET", f"/app/hook/deliveries/{one['id']}")).status == 404


async def test_a_broken_cursor_is_refused(api: Api) -> None:
    answer = await api.as_app("GET", "/app/hook/deliveries?cursor=x", is_malformed=True)
    assert answer.status == 422


async def test_what_waits_when_the_forge_stops_stays_pending(tmp_path: Path, hooks: Hooks) -> None:
    forge = Forge(root=tmp_path / "f")
    forge.set_webhook(hooks.url, SECRET)
    forge.ping()
    await forge.stop()
    assert (forge.deliveries[0].status_code, hooks.got) == (0, [])

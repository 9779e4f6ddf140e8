"""`POST /webhooks/github` from outside: what is let in, what is refused, and what each answer says."""

import hashlib
from dataclasses import replace

import orjson
import pytest
from multidict import CIMultiDict

from bot.config import Secret
from bot.db.deliveries import PART_BYTES
from bot.domain.enums import DeliveryState
from bot.web.app import make_app
from bot.web.deps import WebDeps
from tests.payloads import Sample, comment_event, issues_event, samples
from tests.web.conftest import HOOK, OLD_SECRET, Site, running, signature, signed

LABELED = issues_event("labeled", label="agent")


async def test_a_handled_event_is_stored_and_the_worker_is_rung(site: Site) -> None:
    assert await site.deliver(LABELED) == (202, {"delivery": "d0"})
    stored = site.inbox.stored[0]
    assert (stored.event, stored.action, stored.installation_id) == ("issues", "labeled", 77)
    assert (stored.guid, stored.target_type, stored.target_id) == ("guid-1", "integration", "4242")
    assert (stored.state, stored.payload) == (DeliveryState.RECEIVED, orjson.dumps(LABELED))
    assert (stored.repository, stored.number, stored.sender) == ("octo/shop", 7, "mona")
    assert stored.received_at == site.clock.now()
    assert len(site.rings) == 1


async def test_the_digest_is_that_of_the_raw_body(site: Site) -> None:
    body = b'{ "zen" : "a" }'
    await site.deliver(body, event="ping")
    assert site.inbox.stored[0].digest == hashlib.sha256(body).hexdigest()


@pytest.mark.parametrize("event", ["ping", "meta", "star", "a_new_event_of_tomorrow"])
async def test_an_event_that_nothing_acts_on_is_answered_calmly(site: Site, event: str) -> None:
    assert await site.deliver({"zen": "x"}, event=event) == (200, {"delivery": "d0", "state": "ignored"})
    assert (site.inbox.stored[0].state, site.inbox.stored[0].payload) == (DeliveryState.IGNORED, None)
    assert not site.rings


async def test_an_action_that_nothing_acts_on_is_answered_calmly(site: Site) -> None:
    code, said = await site.deliver(issues_event("pinned"))
    assert (code, said["state"]) == (200, "ignored")


@pytest.mark.parametrize("sample", samples(), ids=lambda sample: sample.id)
async def test_every_sample_payload_is_taken_in(site: Site, sample: Sample) -> None:
    code, said = await site.deliver(sample.payload, event=sample.event)
    stored = site.inbox.stored[0]
    assert code == (200 if stored.state is DeliveryState.IGNORED else 202)
    assert said["delivery"] == "d0"
    assert (stored.event, stored.action) == (sample.event, sample.action)
    assert (stored.installation_id is not None) == sample.has_installation


async def test_a_redelivery_is_answered_like_the_first_and_rings_nobody(site: Site) -> None:
    assert [await site.deliver(LABELED) for _ in range(2)] == [(202, {"delivery": "d0"})] * 2
    assert len(site.inbox.stored) == len(site.rings) == 1


async def test_the_same_body_under_a_fresh_id_is_known(site: Site) -> None:
    answers = [await site.deliver(LABELED, guid=f"guid-{number}") for number in range(3)]
    assert answers == [(202, {"delivery": "d0"})] * 3
    assert len(site.rings) == 1


async def test_a_body_under_another_event_s_name_does_nothing(site: Site) -> None:
    await site.deliver(LABELED)
    assert await site.deliver(LABELED, event="issue_comment", guid="guid-2") == (202, {"delivery": "d0"})
    assert len(site.inbox.stored) == len(site.rings) == 1


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "sha256=",
        "sha1=d3dda1a5b4f4f4c0f8a3a4d8f3e5f1e5b0c7f0a2",
        signature(b"something else"),
        signature(b"{}").upper().replace("SHA256", "sha256"),
        signature(b"{}")[:-1],
        signature(b"{}") + "0",
        signature(b"{}")[:-1] + "g",
        signature(b"{}").removeprefix("sha256="),
        f"{signature(b'{}')}, {signature(b'{}')}",
        "sha256=" + "é" * 64,
    ],
)
async def test_what_github_did_not_sign_is_refused(site: Site, header: str | None) -> None:
    headers = signed(b"{}")
    del headers["X-Hub-Signature-256"]
    headers |= {} if header is None else {"X-Hub-Signature-256": header}
    code, said = await site.post(b"{}", headers)
    assert code == 401
    assert "X-Hub-Signature-256" in said["error"] and len(said["error"]) < 100
    assert not site.inbox.stored


async def test_sha_1_alone_is_refused(site: Site) -> None:
    headers = signed(b"{}") | {"X-Hub-Signature": "sha1=" + "0" * 40}
    del headers["X-Hub-Signature-256"]
    assert (await site.post(b"{}", headers))[0] == 401


async def test_two_signatures_are_refused(site: Site) -> None:
    headers = CIMultiDict(signed(b"{}"))
    headers.add("X-Hub-Signature-256", signature(b"{}"))
    assert (await site.post(b"{}", headers))[0] == 401


async def test_a_body_written_anew_is_refused(site: Site) -> None:
    headers = signed(orjson.dumps(LABELED))
    assert (await site.post(orjson.dumps(LABELED, option=orjson.OPT_INDENT_2), headers))[0] == 401


async def test_the_signature_is_looked_at_before_anything_else(site: Site) -> None:
    assert (await site.post(b"no json", {"X-Hub-Signature-256": "sha256=00"}))[0] == 401


async def test_both_secrets_hold_during_a_change_and_then_only_the_new_one(site: Site, deps: WebDeps) -> None:
    body = orjson.dumps(LABELED)
    old = signed(body, secret=OLD_SECRET)
    assert (await site.post(body, old))[0] == (await site.post(body, signed(body)))[0] == 202
    after = make_app(replace(deps, webhook_secrets=deps.webhook_secrets[:1]))
    async with running(after) as (client, _), client.post(HOOK, data=body, headers=old) as response:
        assert response.status == 401


@pytest.mark.parametrize("secrets", [(), (Secret(""),)])
def test_there_is_no_application_without_a_secret(deps: WebDeps, secrets: tuple[Secret, ...]) -> None:
    with pytest.raises(ValueError, match="webhook secret"):
        make_app(replace(deps, webhook_secrets=secrets))


@pytest.mark.parametrize("name", ["X-GitHub-Event", "X-GitHub-Delivery"])
async def test_a_missing_header_is_named(site: Site, name: str) -> None:
    headers = signed(b"{}")
    del headers[name]
    assert await site.post(b"{}", headers) == (400, {"error": f"the header {name} is missing"})


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("X-GitHub-Event", "Issues; drop"),
        ("X-GitHub-Event", ""),
        ("X-GitHub-Delivery", "x" * 65),
        ("X-GitHub-Delivery", "../../etc"),
        ("X-GitHub-Hook-Installation-Target-ID", "é"),
        ("X-GitHub-Hook-Installation-Target-Type", "x" * 33),
    ],
)
async def test_a_header_of_another_form_is_refused(site: Site, name: str, text: str) -> None:
    code, said = await site.post(b"{}", signed(b"{}") | {name: text})
    assert code == 400
    assert name in said["error"]


async def test_target_headers_may_be_missing(site: Site) -> None:
    headers = {name: text for name, text in signed(b"{}").items() if "Target" not in name}
    assert (await site.post(b"{}", headers))[0] == 200


async def test_a_form_is_refused_with_what_to_change(site: Site) -> None:
    code, said = await site.deliver(b"payload=%7B%7D", Content_Type="application/x-www-form-urlencoded")
    assert code == 415
    assert "application/json" in said["error"]


async def test_a_charset_beside_the_content_type_is_fine(site: Site) -> None:
    assert (await site.deliver(LABELED, Content_Type="Application/JSON; charset=utf-8"))[0] == 202


async def test_no_content_type_is_refused(site: Site) -> None:
    assert (await site.deliver(LABELED, Content_Type=""))[0] == 415


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b'"x"',
        b"null",
        b"17",
        b'{"action":NaN}',
        b'{"a":' * 40_000 + b"1" + b"}" * 40_000,
        b"[" * 100_000,
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"action":1}',
        b'{"action":["opened"]}',
        b'{"action":"opened\\u0000"}',
        b"[" + b"1," * PART_BYTES + b"1]",
    ],
    ids=range(16),
)
async def test_a_signed_body_of_another_form_is_refused(site: Site, body: bytes) -> None:
    code, said = await site.deliver(body)
    assert (code, list(said)) == (400, ["error"])
    assert not site.inbox.stored


@pytest.mark.parametrize("installation", [None, [], {}, {"id": "1"}, {"id": True}, {"id": -1}, {"id": 2**63}])
async def test_an_installation_of_another_form_is_none(site: Site, installation: object) -> None:
    await site.deliver({"action": "labeled", "installation": installation})
    assert site.inbox.stored[0].installation_id is None


async def test_the_last_of_two_equal_keys_counts(site: Site) -> None:
    await site.deliver(b'{"action":"pinned","action":"labeled"}')
    assert site.inbox.stored[0].action == "labeled"


async def test_a_large_body_is_stored_for_the_worker_to_read(site: Site) -> None:
    body = orjson.dumps(comment_event("x" * PART_BYTES))
    assert (await site.deliver(body, event="issue_comment"))[0] == 202
    stored = site.inbox.stored[0]
    assert (stored.action, stored.installation_id, stored.payload) == (None, None, None)
    assert (b"".join(stored.parts), {len(part) for part in stored.parts[:-1]}) == (body, {PART_BYTES})


async def test_a_large_body_that_nothing_acts_on_is_ignored(site: Site) -> None:
    body = orjson.dumps({"commits": "x" * PART_BYTES})
    assert (await site.deliver(body, event="push"))[0] == 200
    assert site.inbox.stored[0].payload is None


async def test_one_changed_byte_of_a_large_body_is_refused(site: Site) -> None:
    body = orjson.dumps({"commits": "x" * PART_BYTES})
    assert (await site.post(body.replace(b"x", b"y", 1), signed(body)))[0] == 401

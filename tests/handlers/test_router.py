"""The table, the real sample payloads, and 10,000 broken ones (R-32)."""

import copy
import json
import random
from collections.abc import Iterator

import pytest

from bot.domain.enums import ThreadKind
from bot.domain.intents import (
    CancelJobs,
    EndReview,
    Event,
    Intent,
    PostHelp,
    RemoveInstallation,
    SaveInstallation,
    Speak,
    StartJob,
)
from bot.domain.values import Json
from bot.handlers.router import ROUTES, is_handled, route
from tests import payloads
from tests.payloads import Sample

MUTATIONS = 10_000
HOSTILE: list[object] = [
    None,
    True,
    0,
    -1,
    2**80,
    1.5,
    float("nan"),
    "",
    "x" * 70_000,
    "\0",
    "\ud800",
    "agent",
    "Bot",
]
HOSTILE += [
    [],
    [None],
    [[]],
    {},
    {"id": "1"},
    {"id": 1, "login": []},
    "created",
    "/agent fix",
    "../..",
    {"a": {"b": {}}},
]


def routed(event: Event) -> list[Intent]:
    return route(event, own_app_id=payloads.OWN_APP_ID)


def test_there_are_211_samples() -> None:
    assert len(payloads.samples()) == 211 == len({sample.id for sample in payloads.samples()})


@pytest.mark.parametrize("sample", payloads.samples(), ids=lambda sample: sample.id)
def test_a_sample_gives_intents_only_where_it_should(sample: Sample) -> None:
    found = routed(Event(sample.event, sample.action, sample.payload))
    expected: list[type[Intent]] = []
    if sample.event in ("installation", "installation_repositories"):
        expected = [RemoveInstallation if sample.action == "deleted" else SaveInstallation]
    if (sample.event, sample.action) == ("pull_request", "closed") and sample.has_installation:
        expected = [EndReview]
    if (sample.event, sample.action) == ("issue_comment", "created") and sample.has_installation:
        expected = [Speak]
    assert [type(intent) for intent in found] == expected
    assert is_handled(sample.event, sample.action) or not expected


def test_the_samples_of_installations_are_read_in_full() -> None:
    sample = next(one for one in payloads.samples() if one.id.startswith("installation.created"))
    (found,) = routed(Event(sample.event, sample.action, sample.payload))
    assert isinstance(found, SaveInstallation)
    assert (found.installation_id, found.account_login, found.account_type) == (957_387, "Codertocat", "User")
    assert [one.full_name for one in found.repositories] == ["Codertocat/Hello-World"]
    assert ("issues", "write") in found.permissions


def test_a_real_comment_with_a_command_starts_a_job() -> None:
    sample = next(one for one in payloads.samples() if one.event == "issue_comment" and one.has_installation)
    payload = copy.deepcopy(sample.payload)
    payload["comment"]["body"] = "/agent fix"
    (found,) = routed(Event(sample.event, sample.action, payload))
    assert isinstance(found, StartJob)
    assert (found.repository.full_name, found.kind) == ("Codertocat/Hello-World", ThreadKind.ISSUE)


@pytest.mark.parametrize(
    "name", ["ping", "meta", "push", "pull_request", "star", "", "no_such_event", "issues"]
)
@pytest.mark.parametrize("action", [None, "", "created!", "assigned"])
def test_other_events_and_actions_are_not_handled(name: str, action: str | None) -> None:
    assert not is_handled(name, action)
    assert routed(Event(name, action, {})) == []


def test_every_row_is_handled_and_stands_once() -> None:
    keys = [(row.name, row.action) for row in ROUTES]
    assert all(is_handled(*key) for key in keys) and len(keys) == len(set(keys))


@pytest.mark.parametrize("body", [None, [], "text", 3, [{"action": "opened"}]])
def test_a_body_that_is_no_object_gives_nothing(body: Json) -> None:
    assert all(routed(Event(row.name, row.action, body)) == [] for row in ROUTES)


def test_every_event_under_every_other_header_gives_nothing() -> None:
    real = {
        "issues": payloads.issues_event("opened", label="agent", of=payloads.issue(body="/agent fix")),
        "issue_comment": payloads.comment_event("/agent fix"),
        "installation": payloads.installation_event("created"),
        "installation_repositories": payloads.installation_repositories_event("added"),
    }
    for own, payload in real.items():
        for row in ROUTES:
            if row.name != own and {row.name, own} != {"installation", "installation_repositories"}:
                assert routed(Event(row.name, row.action, payload | {"action": row.action})) == [], (own, row)


def test_one_event_gives_at_most_one_intent_and_never_one_by_a_bot_that_spends() -> None:
    bot = payloads.user("evil-helper[bot]", 1, "Bot")
    for payload, name in _acting(bot):
        assert all(isinstance(one, CancelJobs) for one in routed(payloads.event(name, payload)))
    for payload, name in _acting(payloads.user()):
        assert [type(one) for one in routed(payloads.event(name, payload))] in (
            [StartJob],
            [PostHelp],
            [CancelJobs],
        )


def test_ten_thousand_broken_payloads_never_raise() -> None:
    chance = random.Random(32)
    sources, acted = [*_sources()], 0
    for _ in range(MUTATIONS):
        name, payload = chance.choice(sources)
        broken = json.loads(payload)
        for _ in range(chance.randint(1, 4)):
            _break(broken, chance)
        action = broken.get("action") if isinstance(broken, dict) else None
        event = Event(name, action if isinstance(action, str) else None, broken)
        found = routed(event)
        acted += len(found)
        assert len(found) <= 1
        chance_row = chance.choice(ROUTES)
        assert len(routed(Event(chance_row.name, chance_row.action, broken))) <= 1
    assert MUTATIONS / 10 < acted < MUTATIONS


def _acting(sender: Json) -> Iterator[tuple[Json, str]]:
    issue = payloads.issue(body="/agent fix", author=sender)
    yield payloads.issues_event("labeled", label="agent", sender=sender), "issues"
    yield payloads.issues_event("unlabeled", label="agent", sender=sender), "issues"
    yield payloads.issues_event("opened", of=issue, sender=sender), "issues"
    yield payloads.issues_event("closed", sender=sender), "issues"
    yield payloads.comment_event("/agent fix", sender=sender), "issue_comment"
    yield payloads.comment_event("/agent help", sender=sender), "issue_comment"
    yield payloads.comment_event("/agent nonsense", sender=sender), "issue_comment"


def _sources() -> Iterator[tuple[str, str]]:
    """Payloads that act, and the real ones that come near, as JSON."""
    for payload, name in _acting(payloads.user()):
        yield name, json.dumps(payload)
    yield "installation", json.dumps(payloads.installation_event("created"))
    yield "installation", json.dumps(payloads.installation_event("deleted"))
    for sample in payloads.samples():
        if is_handled(sample.event, sample.action):
            yield sample.event, json.dumps(sample.payload)


def _break(value: object, chance: random.Random) -> None:
    """Put something hostile at one place, or take that place away."""
    while isinstance(value, dict | list) and value:
        keys = [*value] if isinstance(value, dict) else [*range(len(value))]
        key = chance.choice(keys)
        below = value[key]
        if isinstance(below, dict | list) and below and chance.random() < 0.7:
            value = below
        elif chance.random() < 0.3:
            del value[key]
            return
        else:
            value[key] = chance.choice(HOSTILE)
            return

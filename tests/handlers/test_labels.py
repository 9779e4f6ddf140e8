"""Labels `agent`, `agent:fix`, `agent:ask` and `agent:plan`."""

import pytest

from bot.domain.enums import ThreadKind
from bot.domain.intents import CancelJobs, Intent, StartJob
from bot.domain.values import Actor, Json, RepositoryRef, Snapshot
from bot.handlers.router import route
from tests import payloads

REPOSITORY = RepositoryRef(id=500, full_name="octo/shop", default_branch="main", is_private=False)


def routed(payload: Json, name: str = "issues") -> list[Intent]:
    return route(payloads.event(name, payload), own_app_id=payloads.OWN_APP_ID)


@pytest.mark.parametrize(
    ("label", "named", "verb"),
    [
        ("agent", "agent", "work"),
        ("agent:fix", "agent:fix", "fix"),
        ("Agent:Fix", "agent:fix", "fix"),
        ("agent:ask", "agent:ask", "ask"),
        ("AGENT:plan", "agent:plan", "plan"),
    ],
)
def test_our_label_starts_its_verb(label: str, named: str, verb: str) -> None:
    issue = payloads.issue("Totals", "Off by one", labels=("bug", label))
    assert routed(payloads.issues_event("labeled", label=label, of=issue)) == [
        StartJob(
            repository=REPOSITORY,
            installation_id=77,
            number=7,
            kind=ThreadKind.ISSUE,
            verb=verb,
            actor=Actor(100, "mona"),
            trigger=f"label:{named}",
            trigger_key=f"500:7:{verb}:label:{named}:2026-11-22T12:00:00Z",
            snapshot=Snapshot("Totals", "Off by one", labels=("bug", label), author="mona"),
        )
    ]


def test_the_snapshot_names_the_author_and_the_actor_is_who_put_the_label() -> None:
    issue = payloads.issue(labels=("agent",), author=payloads.user("stranger", 900))
    found = routed(payloads.issues_event("labeled", label="agent", of=issue))
    assert isinstance(found[0], StartJob)
    assert (found[0].snapshot.author, found[0].actor) == ("stranger", Actor(100, "mona"))


def test_the_same_label_put_on_again_has_another_key() -> None:
    keys = {
        start.trigger_key
        for moment in ("2026-11-22T12:00:00Z", "2026-11-22T13:00:00Z", "2026-11-22T12:00:00Z")
        for start in routed(
            payloads.issues_event("labeled", label="agent", of=payloads.issue(updated_at=moment))
        )
        if isinstance(start, StartJob)
    }
    assert len(keys) == 2


@pytest.mark.parametrize("label", ["bug", "agents", "agent:review", "agent ", "", "an agent"])
def test_other_labels_do_nothing(label: str) -> None:
    assert routed(payloads.issues_event("labeled", label=label)) == []
    assert routed(payloads.issues_event("unlabeled", label=label)) == []


def test_an_issue_opened_with_the_label_starts_one_job_by_the_labeled_event_alone() -> None:
    issue = payloads.issue(labels=("agent",))
    both = routed(payloads.issues_event("opened", of=issue)) + routed(
        payloads.issues_event("labeled", label="agent", of=issue)
    )
    assert [type(one) for one in both] == [StartJob]


@pytest.mark.parametrize(
    ("label", "verb"),
    [
        ("agent", "work"),
        ("agent:fix", "fix"),
        ("AGENT", "work"),
        ("agent:ask", "ask"),
        ("agent:plan", "plan"),
    ],
)
def test_taking_the_label_away_ends_its_jobs(label: str, verb: str) -> None:
    assert routed(payloads.issues_event("unlabeled", label=label)) == [
        CancelJobs(
            REPOSITORY, payloads.INSTALLATION_ID, 7, verb, f"the label `{label.casefold()}` was removed"
        )
    ]


@pytest.mark.parametrize(
    "payload",
    [
        payloads.issues_event("labeled", label="agent", installation_id=None),
        payloads.issues_event("labeled"),
        payloads.issues_event("labeled", label="agent", of=payloads.issue(is_pull_request=True)),
        payloads.issues_event("labeled", label="agent", of=payloads.issue(updated_at="")),
        payloads.issues_event("labeled", label="agent", sender={}),
        payloads.issues_event("labeled", label="agent", extra={"comment": payloads.comment("x")}),
        payloads.issues_event("unlabeled", label="agent", installation_id=None),
    ],
)
def test_an_event_that_lacks_something_or_is_another_ones_does_nothing(payload: Json) -> None:
    assert routed(payload) == []

"""Issues that end."""

import pytest

from bot.domain.intents import CancelJobs, EndReview, Intent
from bot.domain.values import Json, RepositoryRef
from bot.handlers.router import route
from tests import payloads

REPOSITORY = RepositoryRef(id=500, full_name="octo/shop", default_branch="main", is_private=False)


def routed(payload: Json, name: str = "issues") -> list[Intent]:
    return route(payloads.event(name, payload), own_app_id=payloads.OWN_APP_ID)


@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("closed", "the issue was closed"),
        ("deleted", "the issue was deleted"),
        ("transferred", "the issue was moved to another repository"),
    ],
)
@pytest.mark.parametrize("sender", [payloads.user(), payloads.user("stale[bot]", 901, "Bot"), {}])
def test_an_issue_that_ends_ends_its_jobs_whoever_did_it(action: str, reason: str, sender: Json) -> None:
    assert routed(payloads.issues_event(action, sender=sender)) == [
        CancelJobs(REPOSITORY, payloads.INSTALLATION_ID, 7, None, reason)
    ]


@pytest.mark.parametrize("action", ["reopened", "edited", "assigned", "locked", "pinned", "milestoned"])
def test_other_actions_end_nothing(action: str) -> None:
    assert routed(payloads.issues_event(action)) == []


def test_a_deleted_comment_under_the_header_of_issues_ends_nothing() -> None:
    assert routed(payloads.comment_event("x", action="deleted")) == []


def test_an_event_without_an_installation_ends_nothing() -> None:
    assert routed(payloads.issues_event("closed", installation_id=None)) == []


def closed_pull(**changes: object) -> Json:
    """A pull request of a person is closed."""
    pull = {"number": 8, "merged": False, **changes}
    return {
        "action": "closed",
        "pull_request": pull,
        "repository": payloads.repository(),
        "installation": {"id": payloads.INSTALLATION_ID},
        "sender": payloads.user(),
    }


@pytest.mark.parametrize("is_merged", [True, False])
def test_a_closed_pull_request_ends_the_wait_for_it_merged_or_not(is_merged: bool) -> None:
    assert routed(closed_pull(merged=is_merged), "pull_request") == [
        EndReview(REPOSITORY, payloads.INSTALLATION_ID, 8, is_merged)
    ]


def test_what_is_no_closed_pull_request_ends_no_review() -> None:
    assert routed(closed_pull(merged="true"), "pull_request") == [
        EndReview(REPOSITORY, payloads.INSTALLATION_ID, 8, is_merged=False)
    ]
    for part in ("pull_request", "repository", "installation"):
        assert routed({**closed_pull(), part: None}, "pull_request") == []
    assert routed(payloads.issues_event("closed"), "pull_request") == []
    assert routed({**closed_pull(), "action": "reopened"}, "pull_request") == []

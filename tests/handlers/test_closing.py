"""Issues that end."""

import pytest

from bot.domain.intents import CancelJobs, Intent
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

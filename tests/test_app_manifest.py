"""`app.yml` is a manifest that GitHub takes, and asks for no more than the docs explain."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.handlers.router import ROUTES
from tests.generated import manifest_lines

ROOT = Path(__file__).parent.parent
MANIFEST: dict[str, Any] = yaml.safe_load((ROOT / "app.yml").read_text())
PERMISSIONS: dict[str, str] = MANIFEST["default_permissions"]

# https://docs.github.com/en/webhooks/webhook-events-and-payloads, "To subscribe to this event, a
# GitHub App must have at least read-level access for …"; any one of the named permissions is enough.
NEEDED = {
    "issues": {"issues"},
    "issue_comment": {"issues"},
    "pull_request": {"pull_requests"},
    "pull_request_review": {"pull_requests"},
    "pull_request_review_comment": {"pull_requests"},
    "check_run": {"checks"},
    "check_suite": {"checks"},
}

# The promise of DESIGN.md: what a taken-over service could never do, whatever it tried.
FORBIDDEN = {
    "actions_variables",
    "administration",
    "codespaces",
    "deployments",
    "environments",
    "members",
    "organization_administration",
    "organization_hooks",
    "packages",
    "pages",
    "repository_hooks",
    "secrets",
    "security_events",
    "statuses",
    "workflows",
}


@pytest.mark.parametrize("event", MANIFEST["default_events"])
def test_each_event_has_its_permission(event: str) -> None:
    assert NEEDED[event] & set(PERMISSIONS)


def test_the_events_are_those_of_the_design() -> None:
    assert set(MANIFEST["default_events"]) == set(NEEDED)
    assert len(MANIFEST["default_events"]) == len(NEEDED)


def test_events_that_come_by_themselves_are_not_listed() -> None:
    """GitHub refuses a manifest that lists them (cyrusagents/cyrus#1406, oblien/openship#842)."""
    assert not [
        event for event in MANIFEST["default_events"] if event.startswith(("installation", "github_app"))
    ]


def test_only_the_needed_permissions_are_asked_for() -> None:
    assert PERMISSIONS == {
        "metadata": "read",
        "contents": "write",
        "issues": "write",
        "pull_requests": "write",
        "checks": "write",
    }
    assert not FORBIDDEN & set(PERMISSIONS)


def test_the_required_parts_are_there() -> None:
    # https://docs.github.com/en/apps/sharing-github-apps/registering-a-github-app-from-a-manifest
    assert MANIFEST["url"].startswith("https://")
    assert MANIFEST["hook_attributes"]["url"].endswith("/webhooks/github")
    assert MANIFEST["public"] is False
    assert "request_oauth_on_install" not in MANIFEST


def test_every_permission_and_event_says_why() -> None:
    reasons = {name: why for name, _, why in manifest_lines()}
    assert set(reasons) == set(PERMISSIONS) | set(MANIFEST["default_events"])


def test_an_event_that_nobody_handles_says_so() -> None:
    handled = {route.name for route in ROUTES}
    for name, level, why in manifest_lines():
        assert level or ("stored as ignored" in why) == (name not in handled), name

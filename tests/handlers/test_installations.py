"""The App's installations and their repositories."""

import pytest

from bot.domain.intents import Intent, RemoveInstallation, SaveInstallation
from bot.domain.values import Json, RepositoryRef
from bot.handlers.router import route
from tests import payloads

SHOP = RepositoryRef(id=500, full_name="octo/shop")
PERMISSIONS = (("contents", "write"), ("issues", "write"), ("metadata", "read"))


def routed(payload: Json, name: str = "installation") -> list[Intent]:
    return route(payloads.event(name, payload), own_app_id=payloads.OWN_APP_ID)


def saved(repositories: tuple[RepositoryRef, ...] = (), **different: object) -> SaveInstallation:
    facts: dict[str, object] = {
        "installation_id": 77,
        "account_id": 90,
        "account_login": "octo",
        "account_type": "Organization",
        "is_suspended": False,
        "permissions": PERMISSIONS,
        "repositories": repositories,
    }
    return SaveInstallation(**(facts | different))  # type: ignore[arg-type]


def test_a_new_installation_is_kept_with_its_repositories() -> None:
    both = (payloads.repository(), payloads.repository("octo/cart", 501, private=True))
    assert routed(payloads.installation_event("created", repositories=both)) == [
        saved((SHOP, RepositoryRef(501, "octo/cart", is_private=True)))
    ]


@pytest.mark.parametrize(
    ("action", "suspended_at", "is_suspended"),
    [
        ("suspend", "2026-11-22T12:00:00Z", True),
        ("suspend", None, True),
        ("unsuspend", None, False),
        ("unsuspend", "2026-11-22T12:00:00Z", False),
        ("new_permissions_accepted", None, False),
        ("new_permissions_accepted", "2026-11-22T12:00:00Z", True),
        ("created", "2026-11-22T12:00:00Z", True),
    ],
)
def test_whether_it_is_suspended_is_kept(action: str, suspended_at: str | None, is_suspended: bool) -> None:
    payload = payloads.installation_event(action, suspended_at=suspended_at, repositories=())
    assert routed(payload) == [saved(is_suspended=is_suspended)]


def test_an_uninstalled_app_is_removed() -> None:
    assert routed(payloads.installation_event("deleted")) == [RemoveInstallation(77)]


def test_repositories_that_come_and_go_are_kept() -> None:
    cart = payloads.repository("octo/cart", 501)
    added = payloads.installation_repositories_event("added", added=(payloads.repository(),))
    assert routed(added, "installation_repositories") == [saved((SHOP,))]
    removed = payloads.installation_repositories_event("removed", removed=(cart,))
    assert routed(removed, "installation_repositories") == [saved(removed_repository_ids=(501,))]


def test_a_bot_may_install_too() -> None:
    payload = payloads.installation_event("deleted", sender=payloads.user("installer[bot]", 5, "Bot"))
    assert routed(payload) == [RemoveInstallation(77)]


def test_an_enterprise_has_a_slug_and_no_type() -> None:
    payload = payloads.installation_event("unsuspend", account={"id": 91, "slug": "acme"})
    assert routed(payload) == [saved(account_id=91, account_login="acme")]


@pytest.mark.parametrize(
    "payload",
    [
        payloads.issues_event("deleted"),
        payloads.comment_event("x"),
        payloads.installation_event("created", account={}),
        payloads.installation_event("deleted") | {"repository": payloads.repository()},
        payloads.installation_event("created") | {"installation": {"id": 77}},
        payloads.installation_event("deleted") | {"installation": None},
    ],
)
def test_another_events_payload_under_this_header_changes_nothing(payload: Json) -> None:
    assert routed(payload) == []


def test_unsound_repositories_and_permissions_are_left_out() -> None:
    payload = payloads.installation_event("created")
    payload["repositories"] = [None, 1, {}, {"id": 5, "full_name": "a/../b"}, payloads.repository()]
    payload["installation"]["permissions"] = {"issues": "write", "contents": None, "metadata": 3}
    assert routed(payload) == [saved((SHOP,), permissions=(("issues", "write"),))]

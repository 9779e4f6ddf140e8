"""Reading the edge: typed getters that never raise."""

import pytest

from bot.domain.values import Actor, RepositoryRef
from bot.handlers import payload
from tests import payloads

ODD: list[object] = [None, True, 0, -1, 1.5, 2**70, "x", "", [], [1], {}, {"a": {"b": []}}]


@pytest.mark.parametrize("odd", ODD)
def test_no_shape_makes_a_getter_raise(odd: object) -> None:
    around = {"key": odd, "id": odd, "login": odd, "full_name": odd, "name": odd, "labels": odd, "issue": odd}
    assert isinstance(payload.child(around, "key"), dict) and isinstance(payload.child(odd, "key"), dict)
    assert isinstance(payload.children(around, "key"), list) and payload.children(odd, "key") == []
    assert isinstance(payload.text(around, "key"), str)
    assert payload.number(around, "key") is None
    assert payload.actor(around, "key") is None
    assert payload.repository(around) is None
    assert payload.repositories(around, "key") == ()
    assert payload.label_names(around) == ()
    assert payload.thread(around) is None and payload.issue_thread(around) is None
    assert payload.made_by_app(around, 1) is False


@pytest.mark.parametrize(
    ("value", "number"), [(1, 1), (2**63 - 1, 2**63 - 1), (2**63, None), (True, None), ("1", None)]
)
def test_ids_are_positive_whole_numbers_that_a_database_holds(value: object, number: int | None) -> None:
    assert payload.number({"id": value}, "id") == number


@pytest.mark.parametrize(
    "name", ["octo", "../x", "octo/", "/shop", "octo/..", "octo/.", "o c/x", "octo/x/y", "octo/x\n", "é/x"]
)
def test_a_full_name_that_would_bend_a_path_is_no_repository(name: str) -> None:
    assert payload.repository({"id": 1, "full_name": name}) is None


@pytest.mark.parametrize("name", ["octo/shop", "o_corp/.github", "a-b/c.d_e-f", "o/...", "-o/x"])
def test_the_names_that_github_gives_are_repositories(name: str) -> None:
    assert payload.repository({"id": 1, "full_name": name}) == RepositoryRef(1, name)


@pytest.mark.parametrize("login", ["", "a b", "a/b", "@a", "a\n", "[bot]", "x" * 101])
def test_a_login_that_github_never_gives_is_no_account(login: str) -> None:
    assert payload.actor({"sender": {"id": 1, "login": login}}, "sender") is None


def test_a_bot_is_known_by_its_type() -> None:
    accounts = {"a": payloads.user("x[bot]", 1), "b": payloads.user("x", 2, "Bot")}
    assert payload.actor(accounts, "a") == Actor(1, "x[bot]", is_bot=False)
    assert payload.actor(accounts, "b") == Actor(2, "x", is_bot=True)


def test_labels_are_bounded_in_number_and_length() -> None:
    names = payload.label_names(
        {"labels": [{"name": "x" * 999}, {"name": ""}, {"name": 3}, *[{"name": "y"}] * 500]}
    )
    assert len(names) == 98 and max(map(len, names)) == 255


def test_a_repository_without_a_default_branch_has_main() -> None:
    assert payload.repository({"id": 1, "full_name": "o/x", "default_branch": "trunk"}) == RepositoryRef(
        1, "o/x", "trunk"
    )
    assert payload.repository({"id": 1, "full_name": "o/x", "default_branch": None}) == RepositoryRef(
        1, "o/x"
    )


def test_made_by_our_app_needs_an_app_of_our_own() -> None:
    made = payloads.comment("x", app_id=5)
    assert payload.made_by_app(made, 5) and not payload.made_by_app(made, 6)
    assert not payload.made_by_app(made, None)

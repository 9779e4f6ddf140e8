"""What is known of a write before it is sent: its permissions, what it refers to, its text."""

from bot.domain.enums import OperationKind
from bot.publish import writes
from bot.publish.drafts import Draft
from bot.publish.writes import WRITES, permissions_of, referred_keys
from tests.publish.kinds import KINDS


def test_permissions_are_joined_and_write_wins() -> None:
    kinds = [OperationKind.PULL_REQUEST, OperationKind.BRANCH, OperationKind.PULL_REQUEST]
    assert permissions_of(kinds) == {"pull_requests": "write", "contents": "write"}
    assert permissions_of(reversed(kinds)) == {"pull_requests": "write", "contents": "write"}
    assert permissions_of([]) == {}


def test_a_payload_refers_to_its_comment_its_pull_and_its_links() -> None:
    assert referred_keys({"comment_key": "a", "links": {"x": "b"}}) == {"a", "b"}
    assert referred_keys({"pull_key": "c"}) == {"c"}
    assert referred_keys({"body": "nothing"}) == set()


def test_every_kind_has_its_write() -> None:
    assert set(writes.WRITES) == set(OperationKind) == set(KINDS)
    assert all(WRITES[kind].is_idempotent is not found.is_looked_for for kind, found in KINDS.items())


def test_a_text_without_links_is_itself() -> None:
    assert Draft("k", {"body": "as it is"}, {}).text("body") == "as it is"


def test_a_text_has_other_words_where_what_it_refers_to_stood_there_before() -> None:
    payload = {"body": "New: P", "links": {"P": "pull"}, "instead": {"key": "pull", "body": "Old: P"}}
    assert Draft("k", payload, {"pull": 7}).text("body") == "New: #7"
    assert Draft("k", payload, {"pull": 7}, found=frozenset({"other"})).text("body") == "New: #7"
    assert Draft("k", payload, {"pull": 7}, found=frozenset({"pull"})).text("body") == "Old: #7"


def test_a_text_that_an_earlier_version_froze_has_no_other_words() -> None:
    assert Draft("k", {"body": "as it is"}, {}, found=frozenset({"pull"})).text("body") == "as it is"

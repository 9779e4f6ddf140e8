"""Our own writes are known again, and nobody else's are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain.markers import has_marker, marker, request_name
from bot.domain.text import normalise

KEY = b"k" * 32


def test_a_marker_is_a_hidden_comment_of_fixed_form() -> None:
    assert marker(KEY, "job:1:living") == "<!-- issuewright:1:4adeccb6b4e9b5c9d395077bac3f5f25 -->"


def test_a_marker_is_found_anywhere_in_a_body() -> None:
    body = f"Some words\n{marker(KEY, 'job:1:living')}\nmore"
    assert has_marker(body, KEY, "job:1:living")


@pytest.mark.parametrize(("key", "operation"), [(b"x" * 32, "job:1:living"), (KEY, "job:2:living")])
def test_another_key_or_operation_is_not_found(key: bytes, operation: str) -> None:
    assert not has_marker(marker(KEY, "job:1:living"), key, operation)


def test_a_marker_without_a_key_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="key"):
        marker(b"", "job:1:living")


@given(st.text(), st.text())
def test_two_operations_never_share_a_marker(one: str, other: str) -> None:
    assert (marker(KEY, one) == marker(KEY, other)) == (one == other)


def test_the_text_that_a_model_reads_holds_no_marker() -> None:
    assert normalise(f"words\n{marker(KEY, 'job:1:living')}").text == "words\n"


def test_a_request_has_one_name_for_ever() -> None:
    assert request_name(KEY, "1:2:fix:comment:3") == "f36e170e88db59d96a25e14dc5467769"


@given(st.text(), st.text())
def test_two_requests_never_share_a_name(one: str, other: str) -> None:
    assert (request_name(KEY, one) == request_name(KEY, other)) == (one == other)


def test_nobody_knows_the_name_of_a_request_without_the_key() -> None:
    assert request_name(KEY, "1:2:fix:comment:3") != request_name(b"x" * 32, "1:2:fix:comment:3")
    with pytest.raises(ValueError, match="key"):
        request_name(b"", "1:2:fix:comment:3")


def test_the_name_of_a_request_is_no_part_of_a_marker() -> None:
    assert request_name(KEY, "job:1:living") not in marker(KEY, "job:1:living")

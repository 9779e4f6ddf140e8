"""The word around a stranger's text cannot be guessed, and cannot stand in the text itself."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import delimiter


def test_no_two_are_alike_and_each_is_long_enough() -> None:
    made = [delimiter.new() for _ in range(100)]
    assert len(set(made)) == 100
    for one in made:
        delimiter.check(one)


def test_a_short_one_is_refused() -> None:
    delimiter.check("a" * 16)
    with pytest.raises(ValueError, match="at least 16"):
        delimiter.check("a" * 15)


@given(st.lists(st.sampled_from(["text-", "0123456789abcdef", "[delimiter]", " ", "\n"]), max_size=30))
def test_no_text_holds_it_afterwards_and_nothing_else_is_changed(parts: list[str]) -> None:
    word, text = "text-0123456789abcdef", "".join(parts)
    shown = delimiter.inert(text, word)
    assert word not in shown and delimiter.inert(shown, word) == shown
    assert shown == text or word in text

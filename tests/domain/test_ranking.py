"""Which text a few words are about."""

from hypothesis import given
from hypothesis import strategies as st

from bot.domain import ranking

TEXTS = [
    "The parser drops the last line of a CSV file",
    "Dark mode for the settings page",
    "CSV export writes numbers as text; the export is slow",
    "Parser crash on an empty file",
]


def test_the_text_with_the_rarest_words_comes_first() -> None:
    assert ranking.best("csv export", TEXTS, limit=5) == [2, 0]


def test_a_text_without_any_of_the_words_is_not_found() -> None:
    assert ranking.best("websocket", TEXTS, limit=5) == []
    assert ranking.best("", TEXTS, limit=5) == []
    assert ranking.best("csv", [], limit=5) == []


def test_names_in_code_are_found_by_their_parts() -> None:
    assert ranking.best("parse_csv.settings", TEXTS, limit=1) == [1]


@given(st.text(max_size=40), st.lists(st.text(max_size=60), max_size=8), st.integers(1, 4))
def test_at_most_the_limit_is_found_and_each_text_once(query: str, texts: list[str], limit: int) -> None:
    found = ranking.best(query, texts, limit=limit)
    assert len(found) == len(set(found)) <= limit
    wanted = set(ranking.words_of(query))
    assert all(wanted & set(ranking.words_of(texts[place])) for place in found)


@given(st.lists(st.text(max_size=60), min_size=1, max_size=8))
def test_a_text_that_is_asked_for_by_its_own_words_is_among_the_found(texts: list[str]) -> None:
    found = ranking.best(texts[0], texts, limit=len(texts))
    assert (0 in found) == bool(ranking.words_of(texts[0]))

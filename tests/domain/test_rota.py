"""Whose turn it is."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.domain import rota as module
from bot.domain.rota import Rota


def test_whoever_was_never_served_goes_first() -> None:
    rota: Rota[str] = Rota()
    rota.serve("one")
    assert sorted(("one", "two"), key=rota.last) == ["two", "one"]


@given(st.lists(st.integers(min_value=0, max_value=5)))
def test_whoever_was_served_longest_ago_goes_next(served: list[int]) -> None:
    rota: Rota[int] = Rota()
    for each in served:
        rota.serve(each)
    seen = set(served)
    last_times = sorted(seen, key=lambda each: max(at for at, one in enumerate(served) if one == each))
    assert sorted(seen, key=rota.last) == last_times
    assert all(rota.last(each) > 0 for each in seen)


def test_only_the_last_ones_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_REMEMBERED", 2)
    rota: Rota[str] = Rota()
    for each in ("one", "two", "one", "three"):
        rota.serve(each)
    assert rota.last("two") == 0
    assert 0 < rota.last("one") < rota.last("three")

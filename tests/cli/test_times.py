"""Instants and spans as people write and read them."""

from datetime import UTC, datetime, timedelta

import pytest

from bot.cli import times

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("90s", NOW - timedelta(seconds=90)),
        (" 2h ", NOW - timedelta(hours=2)),
        ("2w", NOW - timedelta(days=14)),
        ("2026-11-20", datetime(2026, 11, 20, tzinfo=UTC)),
        ("2026-11-20T10:00+02:00", datetime(2026, 11, 20, 8, tzinfo=UTC)),
    ],
)
def test_an_instant_is_a_span_before_now_or_an_iso_time(text: str, meant: datetime) -> None:
    assert times.instant(text, now=NOW) == meant


@pytest.mark.parametrize("text", ["", "2", "h", "-2h", "2 hours", "yesterday", "1e3s"])
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".*"):
        times.instant(text, now=NOW)


@pytest.mark.parametrize(
    ("seconds", "age", "span"),
    [
        (0.4, "0s", "0.4s"),
        (59, "59s", "59s"),
        (185, "3m", "3m 05s"),
        (7_800, "2h", "2h 10m"),
        (273_600, "3d", "3d 04h"),
        (-5, "0s", "0.0s"),
    ],
)
def test_times_are_told_in_units_that_fit(seconds: float, age: str, span: str) -> None:
    begin = NOW - timedelta(seconds=seconds)
    assert (times.age(begin, now=NOW), times.span(begin, NOW)) == (age, span)


def test_what_has_not_happened_is_a_dash() -> None:
    assert times.age(None, now=NOW) == times.span(None, NOW) == times.span(NOW, None) == "-"

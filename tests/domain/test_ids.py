"""Identifiers whose order is the order of time."""

import re
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st
from ulid import ULID

from bot.domain.ids import first_id, new_id, time_of

NOW = datetime(2026, 11, 22, 12, 0, 0, 123_000, tzinfo=UTC)
INSTANTS = st.datetimes(
    min_value=datetime(1970, 1, 1),  # noqa: DTZ001 (the strategy adds the zone)
    max_value=datetime(9000, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)


def test_an_id_is_26_characters_that_nobody_misreads() -> None:
    assert re.fullmatch(r"[0-9A-HJKMNP-TV-Z]{26}", new_id(NOW))


def test_two_ids_of_one_instant_differ() -> None:
    assert len({new_id(NOW) for _ in range(1000)}) == 1000


def test_ids_of_one_instant_sort_in_the_order_in_which_they_were_made() -> None:
    made = [new_id(NOW) for _ in range(1000)]
    assert made == sorted(made)


def test_an_id_keeps_its_instant_to_the_millisecond() -> None:
    assert ULID.from_str(new_id(NOW)).datetime == NOW


@given(INSTANTS, st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=300_000)))
def test_a_later_id_sorts_after_an_earlier_one(first: datetime, gap: timedelta) -> None:
    assert new_id(first) < new_id(first + gap)


def test_an_id_tells_its_instant_and_one_of_another_form_tells_none() -> None:
    assert time_of(new_id(NOW)) == NOW
    assert [time_of(other) for other in ("", "clh3am8mq0000qw1j5h2f7x9z", "I" * 26, "8" * 26)] == [None] * 4


@given(INSTANTS, st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=300_000)))
def test_the_first_id_of_an_instant_parts_the_earlier_ones_from_the_others(
    first: datetime, gap: timedelta
) -> None:
    assert new_id(first) < first_id(first + gap) <= new_id(first + gap)

"""Identifiers: ULIDs, so that the order of ids is the order of time."""

from datetime import datetime
from typing import Final

from ulid import ULID

# https://github.com/ulid/spec#components
_TIME_CHARS: Final = 10
_RANDOM_CHARS: Final = 16


def new_id(now: datetime) -> str:
    """A fresh ULID of the instant *now*, 26 characters of Crockford's base 32."""
    return str(ULID.from_datetime(now))


def first_id(moment: datetime) -> str:
    """What no id of *moment* or later is below, and every id of a millisecond before it is."""
    return str(ULID.from_datetime(moment))[:_TIME_CHARS] + "0" * _RANDOM_CHARS


def time_of(id_: str) -> datetime | None:
    """The instant of an id of ours; None for one that somebody else made in another form."""
    try:
        return ULID.from_str(id_).datetime
    except ValueError:
        return None

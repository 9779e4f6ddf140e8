"""Identifiers: ULIDs, so that the order of ids is the order of time."""

from datetime import datetime

from ulid import ULID


def new_id(now: datetime) -> str:
    """A fresh ULID of the instant *now*, 26 characters of Crockford's base 32."""
    return str(ULID.from_datetime(now))


def time_of(id_: str) -> datetime | None:
    """The instant of an id of ours; None for one that somebody else made in another form."""
    try:
        return ULID.from_str(id_).datetime
    except ValueError:
        return None

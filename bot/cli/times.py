"""Instants and spans of time as people write and read them at a terminal."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_SPAN: Final = re.compile(r"(\d{1,6})([smhdw])")
_MINUTE, _HOUR, _DAY = _UNITS["m"], _UNITS["h"], _UNITS["d"]


def instant(text: str, *, now: datetime) -> datetime:
    """The instant that *text* means: a span before *now* (`90s`, `2h`, `3d`) or an ISO date and time.

    Without a zone it is UTC.

    Raises:
        ValueError: It is neither.
    """
    span = _SPAN.fullmatch(text.strip())
    if span is not None:
        return now - timedelta(seconds=int(span[1]) * _UNITS[span[2]])
    moment = datetime.fromisoformat(text.strip())
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def clock(moment: datetime) -> str:
    """An instant to the second, in UTC."""
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def age(moment: datetime | None, *, now: datetime) -> str:
    """How long ago, in one unit: `45s`, `12m`, `3h`, `9d`; a dash for never."""
    if moment is None:
        return "-"
    seconds = max(0, int((now - moment).total_seconds()))
    for unit, least in (("d", 2 * _DAY), ("h", 2 * _HOUR), ("m", 2 * _MINUTE)):
        if seconds >= least:
            return f"{seconds // _UNITS[unit]}{unit}"
    return f"{seconds}s"


def span(begin: datetime | None, end: datetime | None) -> str:
    """How long from *begin* to *end*: `0.4s`, `12s`, `3m 05s`, `2h 10m`, `3d 04h`; else a dash."""
    if begin is None or end is None:
        return "-"
    seconds = max(0.0, (end - begin).total_seconds())
    if seconds < 10:
        return f"{seconds:.1f}s"
    whole = int(seconds)
    if whole < _MINUTE:
        return f"{whole}s"
    if whole < _HOUR:
        return f"{whole // _MINUTE}m {whole % _MINUTE:02}s"
    if whole < _DAY:
        return f"{whole // _HOUR}h {whole % _HOUR // _MINUTE:02}m"
    return f"{whole // _DAY}d {whole % _DAY // _HOUR:02}h"

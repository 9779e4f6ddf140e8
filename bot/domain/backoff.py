"""How long to wait before the next try: twice as long each time, up to a bound."""

from typing import Final

# A row may count thousands of tries, and a float holds no more than 1,023 doublings.
_MAX_DOUBLINGS: Final = 64


def backoff_seconds(first: float, times: int, most: float) -> float:
    """Seconds to wait after *times* doublings of *first*; *most* at most, whatever the count."""
    return min(first * 2.0 ** min(times, _MAX_DOUBLINGS), most)

"""Whose turn it is: whoever was served longest ago."""

from typing import Final, Generic, TypeVar

Who = TypeVar("Who")

MAX_REMEMBERED: Final = 10_000


class Rota(Generic[Who]):
    """Remembers in which order a number of them were served, the last `MAX_REMEMBERED` of them."""

    def __init__(self) -> None:
        """Nobody was served yet."""
        self._served: dict[Who, int] = {}

    def last(self, who: Who) -> int:
        """The number of the last time, higher the later it was; 0 for whoever was never served."""
        return self._served.get(who, 0)

    def serve(self, who: Who) -> None:
        """It is served now, and goes behind all others."""
        number = next(reversed(self._served.values()), 0) + 1
        self._served.pop(who, None)
        self._served[who] = number
        if len(self._served) > MAX_REMEMBERED:
            del self._served[next(iter(self._served))]

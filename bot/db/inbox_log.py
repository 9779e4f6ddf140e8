"""What became of deliveries, in the log: one line for all of a moment, as a line costs as much as a row."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from bot import logs
from bot.db.deliveries import Accepted
from bot.db.inbox import Keep, Outcome, Work

# How long a line may wait for more of its kind; what failed does not wait.
GATHER_SECONDS: Final = 0.05
_MOST: Final = 256
_log = logs.get(__name__)


class InboxLog:
    """Gathers what became of batches; `write` tells it."""

    def __init__(self, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        """Nothing is gathered yet."""
        self._monotonic = monotonic
        self._since = 0.0
        self._new: list[str] = []
        self._known: list[tuple[str, str]] = []
        self._failed: list[str] = []

    def add(self, works: Sequence[Work], outcomes: Sequence[Outcome]) -> None:
        """Remember under which id each delivery stands, or what stopped it."""
        if not self._is_any():
            self._since = self._monotonic()
        for work, outcome in zip(works, outcomes, strict=True):
            if not isinstance(work, Keep):
                continue
            if not isinstance(outcome, Accepted):
                self._failed.append(f"{work.delivery.guid} {type(outcome).__name__}")
            elif outcome.is_new:
                self._new.append(f"{work.delivery.guid} {outcome.delivery_id} {work.delivery.event}")
            else:
                self._known.append((work.delivery.guid, outcome.delivery_id))

    def due_seconds(self) -> float | None:
        """In how many seconds it is to be written, None where there is nothing to write."""
        if not self._is_any():
            return None
        if self._failed or len(self._new) + len(self._known) >= _MOST:
            return 0.0
        return max(0.0, self._since + GATHER_SECONDS - self._monotonic())

    def write(self) -> None:
        """Tell what was gathered and forget it; the second time tells nothing."""
        new, known, failed = self._new, self._known, self._failed
        self._new, self._known, self._failed = [], [], []
        if failed:
            _log.warning("deliveries_not_stored", deliveries=failed)
        if new:
            _log.info("deliveries_stored", new=new, known=len(known))
        if known:
            _log.debug("deliveries_known", deliveries=known)

    def _is_any(self) -> bool:
        return bool(self._new or self._known or self._failed)

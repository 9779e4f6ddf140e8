"""The sweep: what GitHub delivered, or tried to, and we do not have, is fetched from its log.

After an outage it brings in what was missed; run every few seconds it is pull mode, in which nothing
else comes in. It takes what it finds through the same door as webhooks, the oldest first.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Final

from bot import logs
from bot.db import sweeping
from bot.db.database import Database
from bot.db.deliveries import Accepted, IncomingDelivery
from bot.domain.backoff import backoff_seconds
from bot.domain.clock import Clock
from bot.domain.enums import DeliveryState
from bot.domain.values import Json, Scope
from bot.errors import Invalid, NotFound, RateLimited, RetryLater
from bot.github.log import Attempt, DeliveryLog
from bot.intake.swept import TARGET_TYPE, delivery_of, without_body

log = logs.get(__name__)

# https://docs.github.com/en/webhooks/testing-and-troubleshooting-webhooks/redelivering-webhooks
KEPT: Final = timedelta(days=3)
# An attempt that takes long stands in the log later than one that began after it.
SWEEP_OVERLAP: Final = timedelta(minutes=10)
PULL_OVERLAP: Final = timedelta(minutes=1)
MAX_PAGES: Final = 300
MAX_TRIES: Final = 12
MAX_IN_A_ROW: Final = 3
MAX_LATER: Final = 500
FIRST_RETRY_SECONDS: Final = 10.0
MAX_RETRY_SECONDS: Final = 3_600.0
_TICK: Final = timedelta(milliseconds=1)


@dataclass(frozen=True, slots=True)
class Later:
    """An entry whose body could not be had yet, and when to ask again."""

    attempt: Attempt
    tries: int
    not_before: datetime

    def to_json(self) -> Json:
        """The stored form."""
        attempt = {**asdict(self.attempt), "delivered_at": self.attempt.delivered_at.isoformat()}
        return {"attempt": attempt, "tries": self.tries, "not_before": self.not_before.isoformat()}

    @classmethod
    def from_json(cls, data: Json) -> "Later":
        """Read what `to_json` made."""
        delivered_at = datetime.fromisoformat(data["attempt"]["delivered_at"])
        attempt = Attempt(**{**data["attempt"], "delivered_at": delivered_at})
        return cls(attempt, data["tries"], datetime.fromisoformat(data["not_before"]))


@dataclass(frozen=True, slots=True)
class Mark:
    """How far the log has been read: up to `seen_to` (GitHub's time), but for what is to come `later`.

    A log that is too long for one turn is read on at `older`, back to `since`.
    """

    seen_to: datetime | None = None
    later: tuple[Later, ...] = ()
    older: str | None = None
    since: datetime | None = None

    def to_json(self) -> Json:
        """The stored form."""
        return {
            "seen_to": self.seen_to.isoformat() if self.seen_to else None,
            "later": [one.to_json() for one in self.later],
            "older": self.older,
            "since": self.since.isoformat() if self.since else None,
        }

    @classmethod
    def from_json(cls, data: Json) -> "Mark":
        """Read what `to_json` made; an empty object is the mark of a log that was never read."""
        return cls(
            seen_to=datetime.fromisoformat(data["seen_to"]) if data.get("seen_to") else None,
            later=tuple(Later.from_json(one) for one in data.get("later", ())),
            older=data.get("older"),
            since=datetime.fromisoformat(data["since"]) if data.get("since") else None,
        )


@dataclass(slots=True)
class Swept:
    """What one sweep came to; several failures in a row are an outage."""

    taken: int = 0
    given_up: int = 0
    later: list[Later] = field(default_factory=list)
    failed_in_a_row: int = 0


@dataclass(frozen=True, slots=True)
class Sweep:
    """Compares GitHub's log with what we have. Any number of times is once: the GUID decides."""

    database: Database
    log: DeliveryLog
    store: Callable[[IncomingDelivery], Awaitable[Accepted]]
    is_handled: Callable[[str, str | None], bool]
    clock: Clock
    app_id: int
    overlap: timedelta = SWEEP_OVERLAP
    max_pages: int = MAX_PAGES

    async def run(self, state: Json, keep: Callable[[Json], Awaitable[None]]) -> Swept:
        """Take in what is missing; the mark moves only when all of it is stored or noted.

        Raises:
            RetryLater: GitHub or the database is away, or asks us to wait; what was stored stays.
            Permanent: GitHub does not let us read the log.
        """
        before = Mark.from_json(state)
        mark, attempts = await self._read(before)
        missing = await self._missing(attempts)
        now = self.clock.now()
        noted = {one.attempt.guid for one in mark.later}
        queue = [one for one in mark.later if one.not_before <= now]
        queue += [Later(one, 0, now) for one in missing if one.guid not in noted]
        swept = Swept(later=[one for one in mark.later if one.not_before > now])
        try:
            await self._take_all(queue, swept)
        except RetryLater:
            # Nothing is forgotten: what was noted stays, the rest is listed again.
            await keep(replace(before, later=tuple(swept.later)).to_json())
            raise
        noted_now = replace(mark, later=tuple(swept.later)).to_json()
        if noted_now != state:
            await keep(noted_now)
        if swept.taken or swept.given_up:
            log.info("swept", taken=swept.taken, given_up=swept.given_up, later=len(swept.later))
        return swept

    async def _read(self, mark: Mark) -> tuple[Mark, list[Attempt]]:
        """Everything since the mark, the newest first, and the mark behind it."""
        floor = self.clock.now() - KEPT
        since = max(floor, mark.seen_to - self.overlap) if mark.seen_to else floor
        found, older = await self._walk(None, since)
        seen_to = max(
            [one.delivered_at for one in found] + ([mark.seen_to] if mark.seen_to else []), default=None
        )
        if older is not None:
            # What is older still than a backlog that waits already was read before.
            return replace(mark, seen_to=seen_to, older=older, since=mark.since or since), found
        if mark.older is None:
            return replace(mark, seen_to=seen_to), found
        rest, older = await self._backlog(mark.older, max(floor, mark.since or floor))
        since_left = mark.since if older else None
        return replace(mark, seen_to=seen_to, older=older, since=since_left), found + rest

    async def _backlog(self, place: str, since: datetime) -> tuple[list[Attempt], str | None]:
        """The next part of a log that was too long; where its place is gone, that is told."""
        try:
            return await self._walk(place, since)
        except (NotFound, Invalid) as error:
            log.warning("sweep_cut_short", why=str(error))
            return [], None

    async def _walk(self, place: str | None, since: datetime) -> tuple[list[Attempt], str | None]:
        """Page after page back to *since*; also where to go on when there are more than `max_pages`."""
        found: list[Attempt] = []
        for _ in range(self.max_pages):
            page = await self.log.page(place)
            found += [one for one in page.attempts if one.delivered_at >= since]
            place = page.older
            if place is None or any(one.delivered_at < since for one in page.attempts):
                return found, None
        return found, place

    async def _missing(self, attempts: Sequence[Attempt]) -> list[Attempt]:
        """One attempt for each event that concerns us and is not here, the oldest event first.

        What FAILED here is fetched again only when somebody has had GitHub deliver it again since.
        """
        newest: dict[str, Attempt] = {}
        for attempt in attempts:
            if self.is_handled(attempt.event, attempt.action):
                newest.setdefault(attempt.guid, attempt)
        async with self.database.read() as connection:
            held = await sweeping.held(
                Scope.system(),
                connection,
                target_type=TARGET_TYPE,
                target_id=str(self.app_id),
                guids=list(newest),
            )
        first_at = {one.guid: (one.delivered_at, one.id) for one in attempts}
        missing = [one for guid, one in newest.items() if _is_missing(one, held.get(guid))]
        return sorted(missing, key=lambda one: first_at[one.guid])

    async def _take_all(self, queue: Sequence[Later], swept: Swept) -> None:
        """Fetch and store one after the other, in times that keep their order."""
        received_at = self.clock.now()
        for place, one in enumerate(queue):
            received_at = max(self.clock.now(), received_at + _TICK)
            try:
                await self._take(one, received_at)
                swept.taken += 1
                swept.failed_in_a_row = 0
            except (NotFound, Invalid) as error:
                await self._give_up(one, str(error), swept, received_at)
            except RetryLater as error:
                swept.failed_in_a_row += 1
                is_one = not isinstance(error, RateLimited)
                if is_one:
                    await self._postpone(one, error, swept, received_at)
                if not is_one or swept.failed_in_a_row >= MAX_IN_A_ROW or len(swept.later) >= MAX_LATER:
                    rest = queue[place + is_one :]
                    swept.later += [other for other in rest if other.tries]
                    raise

    async def _take(self, one: Later, received_at: datetime) -> None:
        payload = await self.log.payload(one.attempt.id)
        delivery = delivery_of(one.attempt, payload, app_id=self.app_id, received_at=received_at)
        await self.store(delivery)

    async def _postpone(self, one: Later, error: RetryLater, swept: Swept, received_at: datetime) -> None:
        """Leave one that fails for later, so that it holds up no other."""
        if one.tries + 1 >= MAX_TRIES:
            await self._give_up(one, str(error), swept, received_at)
            return
        wait = backoff_seconds(FIRST_RETRY_SECONDS, one.tries, MAX_RETRY_SECONDS)
        not_before = self.clock.now() + timedelta(seconds=wait)
        swept.later.append(Later(one.attempt, one.tries + 1, not_before))
        log.warning("sweep_postponed", guid=one.attempt.guid, why=str(error))

    async def _give_up(self, one: Later, why: str, swept: Swept, received_at: datetime) -> None:
        """Keep the delivery as FAILED with why, so that nobody fetches it for ever."""
        swept.given_up += 1
        log.warning("sweep_gave_up", guid=one.attempt.guid, why=why)
        try:
            row = without_body(one.attempt, app_id=self.app_id, received_at=received_at)
        except Invalid:
            return
        accepted = await self.store(row)
        async with self.database.write() as connection:
            await sweeping.explain(Scope.system(), connection, accepted.delivery_id, why)


def _is_missing(attempt: Attempt, held: sweeping.Held | None) -> bool:
    if held is None:
        return True
    was_repeated = attempt.is_redelivery and attempt.delivered_at > held.received_at
    return held.state is DeliveryState.FAILED and was_repeated

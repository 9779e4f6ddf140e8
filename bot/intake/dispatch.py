"""From a stored delivery to what it changes: route it, ask the gate, apply its intents at once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Protocol

from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import logs
from bot.db import backlog, deliveries
from bot.db.database import Database
from bot.db.deliveries import StoredDelivery
from bot.domain.backoff import backoff_seconds
from bot.domain.clock import Clock
from bot.domain.enums import DeliveryState
from bot.domain.intents import Event, Intent, Speak, StartJob
from bot.domain.rota import Rota
from bot.domain.values import Scope
from bot.errors import IssuewrightError, RetryLater, StillEnding
from bot.intake.reading import LargeBodies, read

log = logs.get(__name__)

AT_ONCE = 10
"""How many deliveries one worker dispatches at the same time."""
MOST_OF_ONE = 8
"""How many of these may be of one installation: where all its calls hang, the others still have places."""
HOLD_SECONDS = 60.0
"""How long a delivery that a worker took is kept from the others."""
LEFT_SECONDS = 1.0
MAX_ATTEMPTS = 60
"""How often it is tried where our own code, or the database, does not take it."""
TRIED_FOR = timedelta(hours=72)
"""How long it is tried where GitHub cannot say: as far back as GitHub's own log of deliveries reaches."""
MAX_WAITS_COUNTED = 10
"""How many of those tries count: the others of MAX_ATTEMPTS are left for what comes after, and one that is
replayed when it is older than TRIED_FOR still has so many."""
MAX_BACKOFF_SECONDS = 300.0
PART_OF_AGE = 0.1
MAX_ENDING_SECONDS = 60.0
"""What waits for another thing's end is asked for again after this part of its age, and so often at least."""


class Change(Protocol):
    """Something decided that is left to be written: called inside the delivery's transaction."""

    async def __call__(self, connection: AsyncConnection) -> None:
        """Write it; the second time finds it done."""


class Applier(Protocol):
    """Decides what an intent comes to; may ask GitHub, writes nothing yet."""

    async def decide(self, intent: Intent) -> Change | None:
        """The change, or None where there is nothing to do.

        Raises:
            RetryLater: It cannot be decided now.
        """


@dataclass(frozen=True, slots=True)
class Dispatcher:
    """Takes deliveries, a few at a time; each ends DISPATCHED, IGNORED or FAILED, or waits for another try.

    Those of one thread are done one after the other; one that hangs holds up no other thread.
    """

    database: Database
    route: Callable[[Event], list[Intent]]
    applier: Applier
    clock: Clock
    backoff_seconds: float
    hold_seconds: float = HOLD_SECONDS
    _at_work: "dict[str, asyncio.Task[None]]" = field(default_factory=dict, init=False)
    _whose: dict[str, int | None] = field(default_factory=dict, init=False)
    _rota: Rota[int | None] = field(default_factory=Rota, init=False)
    _large: LargeBodies = field(default_factory=LargeBodies, init=False)

    async def fill(self, when_done: Callable[[], None]) -> int:
        """Begin with as many deliveries as there are free places; returns how many were begun.

        *when_done* is called at the end of each: then there is a place again.
        """
        return len(await self._fill(when_done, without=()))

    async def run_once(self) -> int:
        """Dispatch all that waits, each once, to its end; returns how many deliveries were looked at."""
        seen: set[str] = set()
        was_busy = True
        while was_busy:
            # One that ends while we look makes room for the next of its thread, which the look has not seen.
            was_busy = bool(self._at_work)
            begun = await self._fill(_nothing, without=seen)
            seen.update(begun)
            was_busy = was_busy or bool(begun)
            if self._at_work:
                await asyncio.wait(list(self._at_work.values()), return_when=asyncio.FIRST_COMPLETED)
        return len(seen)

    async def close(self) -> None:
        """Stop what is at work and give it back to others; the second time does nothing."""
        self._large.close()
        stopped = dict(self._at_work)
        for task in stopped.values():
            task.cancel()
        await asyncio.gather(*stopped.values(), return_exceptions=True)
        if stopped:
            async with self.database.write() as connection:
                await backlog.release(Scope.system(), connection, list(stopped))

    async def _fill(self, when_done: Callable[[], None], *, without: Collection[str]) -> list[str]:
        free = AT_ONCE - len(self._at_work)
        taken = await self._take(free, without) if free else []
        for delivery in taken:
            self._whose[delivery.id] = delivery.installation_id
            self._rota.serve(delivery.installation_id)
            task = asyncio.create_task(self._guarded(delivery))
            self._at_work[delivery.id] = task
            task.add_done_callback(partial(self._leave, delivery.id, when_done))
        return [delivery.id for delivery in taken]

    async def _take(self, limit: int, without: Collection[str]) -> list[StoredDelivery]:
        now = self.clock.now()
        busy = Counter(self._whose.values())
        transaction = self.database.read if self.database.is_sqlite else self.database.write
        async with transaction() as connection:
            return await backlog.take(
                Scope.system(),
                connection,
                now=now,
                until=now + timedelta(seconds=self.hold_seconds),
                limit=limit,
                without=[*self._at_work, *without],
                served=self._rota.last,
                room=lambda installation: MOST_OF_ONE - busy[installation],
            )

    def _leave(self, delivery_id: str, when_done: Callable[[], None], _task: "asyncio.Task[None]") -> None:
        del self._at_work[delivery_id], self._whose[delivery_id]
        when_done()

    async def _guarded(self, delivery: StoredDelivery) -> None:
        """One delivery; where its end cannot be written it is left where it is, to be taken again."""
        with logs.bound(delivery_id=delivery.id):
            try:
                await self._dispatch(delivery)
            except Exception as error:
                # Whatever it is: without the wait it would be taken at once, again and again.
                is_known = isinstance(error, SQLAlchemyError | OSError)
                log.warning("delivery_left", why=type(error).__name__, exc_info=not is_known)
                await self.clock.sleep(LEFT_SECONDS)

    async def _dispatch(self, delivery: StoredDelivery) -> None:
        try:
            intents = await self._read(delivery)
            await self._write(delivery, await self._decide(delivery, intents), _installation_of(intents))
        except RetryLater as error:
            await self._wait(delivery, error)
        except IntegrityError:
            # Another dispatcher made the same job first; the next look finds it.
            await self._postpone(delivery, "somebody else dispatched the same request", 0.0)
        except (SQLAlchemyError, OSError) as error:
            # One that no row can hold must not hold up the others; a database that is away says so again.
            what = "database" if isinstance(error, SQLAlchemyError) else "system"
            await self._postpone(delivery, f"the {what} did not take it ({type(error).__name__})", None)
        except IssuewrightError as error:
            await self._close(delivery, DeliveryState.FAILED, str(error))
        except Exception as error:
            # Whatever is wrong with one delivery must not end the worker at every start: the others go on.
            log.exception("delivery_crashed")
            await self._postpone(delivery, f"{type(error).__name__} in our own code", None)

    async def _decide(self, delivery: StoredDelivery, intents: Sequence[Intent]) -> list[Change]:
        decided = [await self.applier.decide(_signed(intent, delivery.id)) for intent in intents]
        return [change for change in decided if change is not None]

    async def _read(self, delivery: StoredDelivery) -> list[Intent]:
        """What the delivery asks for; a large body is joined from its parts and read elsewhere."""
        if not delivery.parts:
            return read(self.route, delivery.event, delivery.action, delivery.payload)
        async with self.database.read() as connection:
            body = await deliveries.body(Scope.system(), connection, delivery.id)
        return await self._large.read(self.route, delivery.event, delivery.action, body or b"")

    async def _write(
        self, delivery: StoredDelivery, changes: Sequence[Change], installation_id: int | None
    ) -> None:
        """All of a delivery's changes and its own end, or nothing."""
        state = DeliveryState.DISPATCHED if changes else DeliveryState.IGNORED
        async with self.database.write() as connection:
            is_ours = await deliveries.finish(
                Scope.system(),
                connection,
                delivery.id,
                state,
                now=self.clock.now(),
                installation_id=installation_id,
            )
            for change in changes if is_ours else ():
                await change(connection)
        log.info("delivery_dispatched", state=state.value, changes=len(changes))

    async def _postpone(self, delivery: StoredDelivery, why: str, after_seconds: float | None) -> None:
        if delivery.attempts + 1 >= MAX_ATTEMPTS:
            await self._close(delivery, DeliveryState.FAILED, why)
        else:
            await self._put_off(delivery, why, after_seconds, is_counted=True)

    async def _wait(self, delivery: StoredDelivery, error: RetryLater) -> None:
        """What cannot be decided now may be for days; what comes after it in its thread may overtake it.

        Not so where another thing has to end first: that is in its thread too, and order is kept. There
        nothing counts, and what was asked for a moment ago is asked for again in a moment.
        """
        age = self.clock.now() - delivery.received_at
        is_late, has_place = age >= TRIED_FOR, isinstance(error, StillEnding)
        if is_late and delivery.attempts + 1 >= MAX_WAITS_COUNTED:
            await self._close(delivery, DeliveryState.FAILED, str(error))
            return
        after_seconds = error.after_seconds
        if has_place:
            growing = min(PART_OF_AGE * age.total_seconds(), MAX_ENDING_SECONDS)
            after_seconds = max(growing, after_seconds or 0.0)
        is_counted = delivery.attempts < MAX_WAITS_COUNTED and (is_late or not has_place)
        await self._put_off(delivery, str(error), after_seconds, is_counted=is_counted)

    async def _put_off(
        self, delivery: StoredDelivery, why: str, after_seconds: float | None, *, is_counted: bool
    ) -> None:
        backoff = backoff_seconds(self.backoff_seconds, delivery.attempts, MAX_BACKOFF_SECONDS)
        wait = timedelta(seconds=backoff if after_seconds is None else after_seconds)
        until = self.clock.now() + wait
        async with self.database.write() as connection:
            await deliveries.postpone(
                Scope.system(), connection, delivery.id, wake_at=until, error=why, is_counted=is_counted
            )
        log.warning("delivery_postponed", why=why, wait_seconds=wait.total_seconds())

    async def _close(self, delivery: StoredDelivery, state: DeliveryState, why: str) -> None:
        async with self.database.write() as connection:
            await deliveries.finish(
                Scope.system(), connection, delivery.id, state, now=self.clock.now(), error=why
            )
        log.error("delivery_failed", why=why)


def _signed(intent: Intent, delivery_id: str) -> Intent:
    """*intent* with the name of its delivery, where a job may come of it."""
    return replace(intent, delivery_id=delivery_id) if isinstance(intent, StartJob | Speak) else intent


def _installation_of(intents: Sequence[Intent]) -> int | None:
    """Whose delivery it is, which a large body says only now that it was read."""
    return intents[0].installation_id if intents else None


def _nothing() -> None:
    """Whoever waits for the tasks themselves needs no call."""

"""From a stored delivery to what it changes: route it, ask the gate, apply its intents at once."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Protocol

from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from bot import logs
from bot.db import deliveries
from bot.db.database import Database
from bot.db.deliveries import StoredDelivery
from bot.domain.clock import Clock
from bot.domain.enums import DeliveryState
from bot.domain.intents import Event, Intent, StartJob
from bot.domain.values import Json, Scope
from bot.errors import IssuewrightError, RetryLater

log = logs.get(__name__)

DEFECTS = (ArithmeticError, AssertionError, AttributeError, LookupError, TypeError, ValueError)
BATCH = 50
MAX_ATTEMPTS = 60
MAX_BACKOFF_SECONDS = 300.0


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
    """Takes deliveries in order; each ends DISPATCHED, IGNORED or FAILED, or waits for another try."""

    database: Database
    route: Callable[[Event], list[Intent]]
    applier: Applier
    clock: Clock
    backoff_seconds: float

    async def run_once(self) -> int:
        """Dispatch what waits; returns how many deliveries were looked at."""
        async with self.database.read() as connection:
            waiting = await deliveries.waiting(Scope.system(), connection, now=self.clock.now(), limit=BATCH)
        for delivery in waiting:
            with logs.bound(delivery_id=delivery.id):
                await self._dispatch(delivery)
        return len(waiting)

    async def _dispatch(self, delivery: StoredDelivery) -> None:
        try:
            changes = await self._decide(delivery)
            await self._write(delivery, changes)
        except RetryLater as error:
            await self._postpone(delivery, str(error), error.after_seconds)
        except IntegrityError:
            # Another dispatcher made the same job first; the next look finds it.
            await self._postpone(delivery, "somebody else dispatched the same request", 0.0)
        except SQLAlchemyError as error:
            # One that no row can hold must not hold up the others; a database that is away says so again.
            await self._postpone(delivery, f"the database did not take it ({type(error).__name__})", None)
        except IssuewrightError as error:
            await self._close(delivery, DeliveryState.FAILED, str(error))
        except DEFECTS as error:
            # A bug of ours in one delivery must not end the worker at every start: the others go on.
            log.exception("delivery_crashed")
            await self._postpone(delivery, f"{type(error).__name__} in our own code", None)

    async def _decide(self, delivery: StoredDelivery) -> list[Change]:
        payload = _parse(delivery.payload)
        if payload is None:
            return []
        # The action of a large body was left for us to read.
        action = delivery.action or _text(payload.get("action"))
        intents = self.route(Event(delivery.event, action, payload))
        decided = [await self.applier.decide(_signed(intent, delivery.id)) for intent in intents]
        return [change for change in decided if change is not None]

    async def _write(self, delivery: StoredDelivery, changes: Sequence[Change]) -> None:
        """All of a delivery's changes and its own end, or nothing."""
        state = DeliveryState.DISPATCHED if changes else DeliveryState.IGNORED
        async with self.database.write() as connection:
            is_ours = await deliveries.finish(
                Scope.system(), connection, delivery.id, state, now=self.clock.now()
            )
            for change in changes if is_ours else ():
                await change(connection)
        log.info("delivery_dispatched", state=state.value, changes=len(changes))

    async def _postpone(self, delivery: StoredDelivery, why: str, after_seconds: float | None) -> None:
        if delivery.attempts + 1 >= MAX_ATTEMPTS:
            await self._close(delivery, DeliveryState.FAILED, why)
            return
        backoff = min(self.backoff_seconds * 2.0**delivery.attempts, MAX_BACKOFF_SECONDS)
        wait = timedelta(seconds=backoff if after_seconds is None else after_seconds)
        async with self.database.write() as connection:
            await deliveries.postpone(
                Scope.system(), connection, delivery.id, wake_at=self.clock.now() + wait, error=why
            )
        log.warning("delivery_postponed", why=why, wait_seconds=wait.total_seconds())

    async def _close(self, delivery: StoredDelivery, state: DeliveryState, why: str) -> None:
        async with self.database.write() as connection:
            await deliveries.finish(
                Scope.system(), connection, delivery.id, state, now=self.clock.now(), error=why
            )
        log.error("delivery_failed", why=why)


def _parse(payload: bytes | None) -> Json | None:
    """The stored body as an object; None when it is none (the web process has told the sender)."""
    try:
        parsed = json.loads(payload or b"null")
    except (ValueError, RecursionError):
        return None
    return parsed if isinstance(parsed, dict) else None


def _signed(intent: Intent, delivery_id: str) -> Intent:
    """*intent* with the name of its delivery, where a job may come of it."""
    return replace(intent, delivery_id=delivery_id) if isinstance(intent, StartJob) else intent


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None

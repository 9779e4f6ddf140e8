"""The engine of several workers: BullMQ's queue in Redis, which bull-board and Node can look at.

A job there has our job's id and nothing else of ours. How it goes on is said to BullMQ only for those who
look; the database decides, so whatever stands in Redis can neither run nor spend anything by itself.
"""

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from bullmq import Queue
from bullmq.custom_errors import DelayedError, UnrecoverableError
from redis.exceptions import RedisError

from bot import logs
from bot.domain.clock import Clock
from bot.domain.enums import Cause
from bot.errors import RetryLater
from bot.queue.address import Waits, address, in_words
from bot.queue.base import Ended, Ticket
from bot.queue.carrier import QUEUE, RETRY_SECONDS, Carrier, patient

log = logs.get(__name__)

CUT_SECONDS: Final = 2.0
PUSH_TROUBLE_SECONDS: Final = 60.0
"""How long the words of a failed push count without another push."""
MAX_REASON: Final = 300
PAUSED: Final = "the queue is paused in Redis (bull-board): nothing starts until it is resumed there"
NOT_OURS: Final = "This is no job of Issuewright."
_ID: Final = re.compile(r"[A-Za-z0-9_-]{20,64}")
_SETTLED_THERE: Final = ("completed", "failed", "delayed")
_AWAY: Final = (RedisError, OSError, TimeoutError)


@dataclass(frozen=True, slots=True)
class _Held(Ticket):
    """A ticket whose job in Redis is active until *ended* says how the work ended."""

    ended: "asyncio.Future[Ended]" = field(kw_only=True, compare=False)


class RedisEngine:
    """Carries ids through the queue `bull:issuewright` of the Redis at *url*."""

    is_shared = True

    def __init__(self, url: str, *, name: str, concurrency: int, waits: Waits, clock: Clock) -> None:
        """Connect to nothing yet; *name* is the worker's, as bull-board shows it.

        Raises:
            ConfigError: The client does not understand *url*.
        """
        self._address = address(url, waits)
        self._name, self._concurrency, self._waits, self._clock = name, concurrency, waits, clock
        self._handed: asyncio.Queue[_Held] = asyncio.Queue()
        self._queue: Any = None
        self._carrier: Carrier | None = None
        self._carrying: asyncio.Task[None] | None = None
        self._is_closing = False
        self._pop_trouble: str | None = None
        self._push_trouble: tuple[str, float] | None = None

    async def start(self) -> None:
        """Begin to fetch; a Redis that is away is tried again and again."""
        self._queue = Queue(QUEUE, {"connection": self._address})
        patient(self._queue.client)
        self._carrying = asyncio.create_task(self._carry())

    async def push(self, job_ids: Sequence[str]) -> None:
        """Add *job_ids* in this order; what Redis still keeps of an earlier round is replaced.

        Raises:
            RetryLater: Redis did not take them, or not all of them, within the wait for a push.
        """
        if not job_ids:
            return
        try:
            async with asyncio.timeout(self._waits.push_seconds):
                is_paused = await self._push(job_ids)
        except _AWAY as error:
            words = in_words(error)
            self._say_push(words)
            raise RetryLater(words, cause=Cause.BUG) from error
        self._say_push(PAUSED if is_paused else None)

    async def _push(self, job_ids: Sequence[str]) -> bool:
        """Add them; whether the queue is paused."""
        async with self._queue.client.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                for state in _SETTLED_THERE:
                    pipe.zscore(self._queue.toKey(state), job_id)
                pipe.hget(self._queue.toKey(job_id), "processedOn")
                pipe.exists(self._queue.toKey(f"{job_id}:lock"))
            pipe.hexists(self._queue.toKey("meta"), "paused")
            *facts, is_paused = await pipe.execute()
        each = len(_SETTLED_THERE) + 2
        for place, job_id in enumerate(job_ids):
            *traces, is_locked = facts[place * each : (place + 1) * each]
            # Of an earlier round, or of a worker that was lost: its lock has gone, and nobody works on it.
            if not is_locked and any(trace is not None for trace in traces):
                await self._queue.backend.remove(job_id, False)
        # One that waits or is at work is left as it is by the script.
        await self._queue.addBulk(
            [{"name": "job", "data": {"job": job_id}, "opts": {"jobId": job_id}} for job_id in job_ids]
        )
        return bool(is_paused)

    async def pop(self) -> Ticket:
        """The next ticket; waits for one."""
        while True:
            ticket = await self._handed.get()
            if not ticket.ended.done():
                return ticket

    async def end(self, ticket: Ticket, ended: Ended) -> None:
        """Let the job in Redis go where *ended* says; returns at once, and Redis may be away."""
        if isinstance(ticket, _Held) and not ticket.ended.done():
            ticket.ended.set_result(ended)

    def depth(self) -> int:
        """How many tickets wait in this process."""
        return self._handed.qsize()

    def trouble(self) -> str | None:
        """What is wrong with Redis, or None; what a push met is forgotten after a while without one."""
        if self._pop_trouble is None and self._push_trouble is not None:
            words, said_at = self._push_trouble
            return words if self._clock.monotonic() - said_at < PUSH_TROUBLE_SECONDS else None
        return self._pop_trouble

    async def close(self) -> None:
        """Fetch nothing more, give back what nobody popped, wait a little for the rest to end."""
        if self._is_closing:
            return
        self._is_closing = True
        now = Ended(wake_at=self._clock.now())
        while not self._handed.empty():
            await self.end(self._handed.get_nowait(), now)
        if self._carrier is not None:
            await self._end_carrier(self._carrier, self._waits.close_seconds)
        if self._carrying is not None:
            self._carrying.cancel()
            await asyncio.wait([self._carrying])
        backends = [one.backend for one in (self._queue, self._carrier) if one is not None]
        await asyncio.wait([asyncio.create_task(_shut(backends))], timeout=CUT_SECONDS)

    async def _carry(self) -> None:
        """Keep a carrier at work; one that gave up is followed by another."""
        while True:
            self._carrier = carrier = self._carrier or self._new_carrier()
            try:
                await carrier.run()
            except _AWAY as error:
                self._say_pop(error)
            if self._is_closing:
                return
            if carrier.lockManager.closed:
                await self._end_carrier(carrier, 0.0)
                self._carrier = None
            await asyncio.sleep(RETRY_SECONDS)

    def _new_carrier(self) -> Carrier:
        carrier = Carrier(
            self._address,
            self._process,
            name=self._name,
            concurrency=self._concurrency,
            waits=self._waits,
            on_look=self._say_pop,
        )
        carrier.on("error", self._on_error)
        carrier.on("locksRenewed", lambda _: self._say_pop(None))
        return carrier

    async def _end_carrier(self, carrier: Carrier, seconds: float) -> None:
        """Let it finish for *seconds*, then cut it off; its `close` cannot be cancelled, only forced."""
        closing = asyncio.create_task(carrier.close())
        done, _ = await asyncio.wait([closing], timeout=seconds)
        if not done:
            forced = asyncio.create_task(carrier.close(force=True))
            await asyncio.wait([closing, forced], timeout=CUT_SECONDS)

    async def _process(self, job: Any, token: str) -> None:
        """Hand a ticket over and hold the job's lock until its end is said."""
        if not _ID.fullmatch(job.id):
            raise UnrecoverableError(NOT_OURS)
        ticket = _Held(job.id, job.attemptsMade, ended=asyncio.get_running_loop().create_future())
        self._handed.put_nowait(ticket)
        ended = await ticket.ended
        if ended.wake_at is not None:
            await job.moveToDelayed(round(ended.wake_at.timestamp() * 1000), token)
            raise DelayedError
        if ended.reason is not None:
            raise UnrecoverableError(ended.reason[:MAX_REASON])

    def _on_error(self, error: Exception, *_: object) -> None:
        """A step of BullMQ that failed: the database knows better, and a lost lock is found by its check."""
        if isinstance(error, _AWAY):
            self._say_pop(error)
        else:
            log.warning("queue_step_failed", why=type(error).__name__)

    def _say_pop(self, error: Exception | None) -> None:
        words = None if error is None else in_words(error)
        if words != self._pop_trouble:
            _tell(words)
        self._pop_trouble = words

    def _say_push(self, words: str | None) -> None:
        if (words is None) != (self._push_trouble is None):
            _tell(words)
        self._push_trouble = None if words is None else (words, self._clock.monotonic())


async def _shut(backends: Sequence[Any]) -> None:
    """Close their connections, also those that a last command has opened anew."""
    for backend in backends:
        await backend.close(force=True)


def _tell(words: str | None) -> None:
    if words is None:
        log.info("queue_works")
    else:
        log.warning("queue_trouble", why=words)

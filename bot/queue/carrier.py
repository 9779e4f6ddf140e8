"""BullMQ's own worker, confined: of what it finds in Redis it reads an id, and how often that has ended."""

from collections.abc import Awaitable, Callable
from typing import Any, Final

from bullmq import Job, Worker
from redis.asyncio.retry import Retry
from redis.backoff import ExponentialBackoff
from redis.exceptions import RedisError

from bot.queue.address import Waits

QUEUE: Final = "issuewright"
KEPT_COMPLETED: Final = {"count": 1000}
KEPT_FAILED: Final = {"age": 14 * 86_400, "count": 10_000}
RETRY_SECONDS: Final = 0.5
_NEVER: Final = 2**31
_MOST_DIGITS: Final = 9
_FOREIGN: Final = ("parentKey", "parent", "rjk", "nrjid", "deid", "defa")
_COUNTS: Final = ("atm", "ats", "stc", "priority")


def patient(client: Any) -> None:
    """Let *client* connect anew at once where a connection was lost, and give up soon where it cannot."""
    client.set_retry(Retry(ExponentialBackoff(cap=RETRY_SECONDS, base=0.05), 2))


class Carrier(Worker):  # type: ignore[misc] # the library ships no types
    """Fetches jobs, holds their locks, looks for those that other workers lost; policy is not its part."""

    def __init__(
        self,
        address: str,
        process: Callable[[Any, str], Awaitable[None]],
        *,
        name: str,
        concurrency: int,
        waits: Waits,
        on_look: Callable[[Exception | None], None],
    ) -> None:
        """*process* gets each job and its lock's token; *on_look* hears how each look at Redis went."""
        super().__init__(
            QUEUE,
            process,
            {
                "connection": address,
                "autorun": False,
                "name": name,
                "concurrency": concurrency,
                "drainDelay": waits.drain_seconds,
                "lockDuration": round(waits.lock_seconds * 1000),
                "stalledInterval": round(waits.stalled_seconds * 1000),
                # A job that kills its worker is set aside by the database, which counts better.
                "maxStalledCount": _NEVER,
                "removeOnComplete": KEPT_COMPLETED,
                "removeOnFail": KEPT_FAILED,
                "runRetryDelay": RETRY_SECONDS * 1000,
            },
        )
        self._on_look = on_look
        for connection in (self.redisConnection, self.blockingRedisConnection):
            patient(connection.conn)

    async def getNextJob(self, token: str) -> Any:  # noqa: N802 - the library's name
        """The next job; says how the look went."""
        try:
            job = await super().getNextJob(token)
        except (RedisError, OSError, TimeoutError) as error:
            self._on_look(error)
            raise
        self._on_look(None)
        return job

    async def nextJobFromJobData(  # noqa: N802 - the library's name
        self,
        job_data: dict[str, Any] | None = None,
        job_id: str | None = None,
        limit_until: int = 0,
        delay_until: int = 0,
        token: str | None = None,
    ) -> Job | None:
        """The job as far as we believe Redis."""
        if job_data and job_id and (strange := _strange(job_data)):
            await self.client.hdel(self.backend.toKey(job_id), *strange)
        only = _what_counts(job_data) if job_data else None
        return await super().nextJobFromJobData(only, job_id, limit_until, delay_until, token)


def _strange(job_data: dict[str, Any]) -> list[str]:
    """The fields with which BullMQ's scripts would do more than end the job, or could not even do that."""
    found = [name for name in _FOREIGN if name in job_data]
    return found + [name for name in _COUNTS if name in job_data and not _is_count(job_data[name])]


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) <= _MOST_DIGITS


def _what_counts(job_data: dict[str, Any]) -> dict[str, str]:
    """Of a job's fields only how often it has ended: no data, options, parents or schedules of others."""
    made = str(job_data.get("atm") or "0")
    return {
        "name": "job",
        "data": "{}",
        "opts": '{"attempts":1,"stackTraceLimit":0}',
        "atm": made if _is_count(made) else "0",
    }

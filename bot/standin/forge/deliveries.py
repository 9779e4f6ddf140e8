"""Webhooks on their way: signed, sent in order by one task, recorded, never repeated by themselves."""

import asyncio
import hmac
import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import aiohttp

from bot.standin.forge import refusals
from bot.standin.forge.clock import ForgeClock

# https://docs.github.com/webhooks/using-webhooks/best-practices-for-using-webhooks
_ANSWER_SECONDS = 10.0
_MAX_RESPONSE_CHARS = 10_000
HOOK_ID = 480_100_001


@dataclass(slots=True, eq=False)
class Delivery:
    """One attempt: `status_code` 0 means that it has not been sent yet."""

    id: int
    guid: str
    event: str
    action: str | None
    payload: bytes
    delivered_at: float
    is_redelivery: bool = False
    installation_id: int | None = None
    repository_id: int | None = None
    request_headers: dict[str, str] = field(default_factory=dict)
    status_code: int = 0
    status: str = "pending"
    duration_seconds: float = 0.0
    response_headers: dict[str, str] = field(default_factory=dict)
    response_body: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the receiver answered 2xx."""
        return 200 <= self.status_code < 300


class Deliveries:
    """The queue, the one sender and the record of all attempts, oldest first."""

    def __init__(self, clock: ForgeClock, new_id: Callable[[], int], app_id: int) -> None:
        self.url: str | None = None
        self.record: list[Delivery] = []
        self.answer_seconds = _ANSWER_SECONDS
        self._secret = ""
        self._clock = clock
        self._new_id = new_id
        self._app_id = app_id
        self._queue: asyncio.Queue[Delivery] = asyncio.Queue()
        self._task: asyncio.Task[None] | None = None

    def set_target(self, url: str | None, secret: str) -> None:
        """Where webhooks go and what signs them; without a URL none are made."""
        self.url, self._secret = url, secret

    async def start(self) -> None:
        """Begin to send."""
        self._task = asyncio.create_task(self._send_all())

    async def stop(self) -> None:
        """Send no more; what waits stays pending in the record."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
            self._task = None

    async def settle(self) -> None:
        """Wait until everything queued so far has been sent."""
        await self._queue.join()

    def put(
        self,
        event: str,
        payload: dict[str, Any],
        *,
        installation_id: int | None = None,
        repository_id: int | None = None,
    ) -> None:
        """Queue one event; the body is fixed now."""
        if self.url is None:
            return
        delivery = Delivery(
            id=self._new_id(),
            guid=str(uuid.uuid4()),
            event=event,
            action=payload.get("action"),
            payload=json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode(),
            delivered_at=self._clock.now(),
            installation_id=installation_id,
            repository_id=repository_id,
        )
        self._enqueue(delivery)

    def redeliver(self, delivery_id: int) -> int:
        """Queue the same event again: same GUID, same bytes, a new id; raises 404."""
        first = self.find(delivery_id)
        again = Delivery(
            id=self._new_id(),
            guid=first.guid,
            event=first.event,
            action=first.action,
            payload=first.payload,
            delivered_at=self._clock.now(),
            is_redelivery=True,
            installation_id=first.installation_id,
            repository_id=first.repository_id,
        )
        self._enqueue(again)
        return again.id

    def redeliver_failed(self) -> int:
        """Queue again every event whose last attempt failed; returns how many."""
        last = {one.guid: one for one in self.record}
        failed = [one for one in last.values() if one.status_code and not one.is_ok]
        for one in failed:
            self.redeliver(one.id)
        return len(failed)

    def find(self, delivery_id: int) -> Delivery:
        """A recorded attempt; raises a 404 refusal."""
        for one in self.record:
            if one.id == delivery_id:
                return one
        raise refusals.not_found()

    def _enqueue(self, delivery: Delivery) -> None:
        self.record.append(delivery)
        self._queue.put_nowait(delivery)

    def headers(self, delivery: Delivery) -> dict[str, str]:
        """The headers of an attempt, signature included when there is a secret."""
        found = {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/f0f3c1a",
            "X-GitHub-Delivery": delivery.guid,
            "X-GitHub-Event": delivery.event,
            "X-GitHub-Hook-ID": str(HOOK_ID),
            "X-GitHub-Hook-Installation-Target-ID": str(self._app_id),
            "X-GitHub-Hook-Installation-Target-Type": "integration",
        }
        if self._secret:
            key = self._secret.encode()
            found["X-Hub-Signature"] = "sha1=" + hmac.new(key, delivery.payload, "sha1").hexdigest()
            found["X-Hub-Signature-256"] = "sha256=" + hmac.new(key, delivery.payload, "sha256").hexdigest()
        return found

    async def _send_all(self) -> None:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(self.answer_seconds)) as session:
            while True:
                delivery = await self._queue.get()
                try:
                    await self._send(session, delivery)
                finally:
                    self._queue.task_done()

    async def _send(self, session: aiohttp.ClientSession, delivery: Delivery) -> None:
        delivery.request_headers = self.headers(delivery)
        began = time.monotonic()
        try:
            async with session.post(
                self.url or "", data=delivery.payload, headers=delivery.request_headers, allow_redirects=False
            ) as response:
                text = (await response.read()).decode(errors="replace")
                delivery.response_headers = dict(response.headers)
                delivery.response_body = text[:_MAX_RESPONSE_CHARS]
                delivery.status_code, delivery.status = response.status, response.reason or ""
        except TimeoutError:
            delivery.status_code, delivery.status = 504, "timed out"
        except (aiohttp.ClientError, ValueError, OSError):
            delivery.status_code, delivery.status = 502, "failed to connect to host"
        delivery.duration_seconds = time.monotonic() - began

"""The App's log of webhook deliveries: what GitHub has sent, or tried to send, in the last days.

https://docs.github.com/en/rest/apps/webhooks
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from bot.domain.values import Json
from bot.github.app import GitHubApp

PAGE_SIZE: Final = 100


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt to deliver; a redelivery is an attempt of its own under the same GUID."""

    id: int
    guid: str
    event: str
    action: str | None
    delivered_at: datetime
    is_redelivery: bool

    @classmethod
    def from_json(cls, data: Json) -> "Attempt":
        """Read one entry of `GET /app/hook/deliveries`."""
        action = data["action"]
        return cls(
            id=int(data["id"]),
            guid=str(data["guid"]),
            event=str(data["event"]),
            action=None if action is None else str(action),
            delivered_at=datetime.fromisoformat(data["delivered_at"]),
            is_redelivery=bool(data["redelivery"]),
        )


@dataclass(frozen=True, slots=True)
class LogPage:
    """Attempts, the newest first, and where older ones are; None at the end of the log."""

    attempts: list[Attempt]
    older: str | None


class DeliveryLog:
    """Reads the log; every call may raise RateLimited, RetryLater, NotFound and Unauthorized."""

    def __init__(self, app: GitHubApp, page_size: int = PAGE_SIZE) -> None:
        """Read as *app*, so many attempts at a time."""
        self._app = app
        self._page_size = page_size

    async def page(self, place: str | None = None) -> LogPage:
        """The newest attempts, or those at *place*, which the page before has named."""
        attempts, older = await self._app.page(
            place or f"/app/hook/deliveries?per_page={self._page_size}",
            lambda page: [Attempt.from_json(entry) for entry in page],
        )
        return LogPage(attempts, older)

    async def payload(self, attempt_id: int) -> Json:
        """What was sent with an attempt, as the log has it: the object, not its bytes.

        Raises:
            NotFound: GitHub no longer has it.
        """
        return await self._app.as_app(
            "GET",
            "/app/hook/deliveries/{id}",
            lambda data: _object(data["request"]["payload"]),
            variables={"id": str(int(attempt_id))},
        )


def _object(payload: object) -> Json:
    """The payload when it is an object; raises TypeError for anything else."""
    if not isinstance(payload, dict):
        raise TypeError("an object was expected")
    return payload

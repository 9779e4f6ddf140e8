"""`POST /webhooks/github`: verified over the raw bytes, stored, answered; the work is done elsewhere."""

import asyncio
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import Final

from aiohttp import web
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from bot import logs
from bot.config import Secret
from bot.db.deliveries import Accepted, IncomingDelivery
from bot.domain.enums import DeliveryState
from bot.errors import RetryLater
from bot.web.answers import IDS, Refused, answer
from bot.web.bodies import Bodies
from bot.web.delivery import check_signature, digest_of, read_delivery
from bot.web.deps import DEPS, Inbox
from bot.web.patience import Patience

# GitHub ends the request after 10 s; what is not stored by then must be told as a failure.
_STORE_SECONDS: Final = 8.0
_RETRY: Final = {"Retry-After": "30"}
_log = logs.get(__name__)


class GitHubHooks:
    """The door for GitHub's webhooks."""

    def __init__(self, bodies: Bodies, *, store_seconds: float = _STORE_SECONDS) -> None:
        """Read through *bodies*; give up storing after *store_seconds*."""
        self._bodies = bodies
        self._patience = Patience(store_seconds)
        self._has_rung = False

    async def receive(self, request: web.Request) -> web.Response:
        """Take one delivery: 202 with its id, 200 when nothing acts on it; the second time the same.

        Raises:
            Refused: 400, 401, 408, 413, 415, or 503 when it cannot be stored now.
        """
        deps = request.app[DEPS]
        parts = await self._bodies.read(request)
        if len(parts) > 1:
            signer, digest = await asyncio.to_thread(_verified, request, parts, deps.webhook_secrets)
        else:
            signer, digest = _verified(request, parts, deps.webhook_secrets)
        delivery = read_delivery(request.headers, parts, digest=digest, received_at=deps.clock.now())
        request[IDS] = {
            "guid": delivery.guid,
            "event_name": delivery.event,
            "action": delivery.action,
            "installation_id": delivery.installation_id,
        }
        if len(deps.webhook_secrets) > 1:
            _log.info("webhook_secret_matched", number=signer + 1, guid=delivery.guid)
        accepted = await self._store(deps.inbox, delivery)
        if accepted.state is DeliveryState.IGNORED:
            return answer(HTTPStatus.OK, {"delivery": accepted.delivery_id, "state": "ignored"})
        if accepted.is_new:
            self._ring(deps.ring)
        return answer(HTTPStatus.ACCEPTED, {"delivery": accepted.delivery_id})

    def _ring(self, ring: Callable[[], None]) -> None:
        """Wake the worker once for all that this turn of the loop answers: it finds all that is committed."""
        if not self._has_rung:
            self._has_rung = True
            ring()
            asyncio.get_running_loop().call_soon(self._may_ring)

    def _may_ring(self) -> None:
        self._has_rung = False

    async def _store(self, inbox: Inbox, delivery: IncomingDelivery) -> Accepted:
        """Make *delivery* durable, or say that GitHub should send it again."""
        try:
            return await self._patience.wait(inbox.store(delivery))
        except (SQLAlchemyError, OSError, TimeoutError, RetryLater) as error:
            # Not the error itself: SQLAlchemy's words repeat the statement's values, the payload too.
            reason = str(error.orig) if isinstance(error, DBAPIError) else type(error).__name__
            _log.warning("delivery_not_stored", reason=reason, guid=delivery.guid)
            message = "the delivery cannot be stored now; send it again later"
            raise Refused(HTTPStatus.SERVICE_UNAVAILABLE, message, _RETRY) from error


def _verified(request: web.Request, parts: tuple[bytes, ...], secrets: Sequence[Secret]) -> tuple[int, str]:
    """Which secret signed the body, and its digest.

    Raises:
        Refused: 401, GitHub did not sign it.
    """
    return check_signature(request.headers, parts, secrets), digest_of(parts)

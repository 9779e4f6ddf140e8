"""From an entry of GitHub's log of deliveries to a delivery as the front door would have made it."""

import hashlib
import json
import re
from dataclasses import asdict
from datetime import datetime
from typing import Any, Final

from bot.db.deliveries import IncomingDelivery, stand_in_digest
from bot.domain.enums import DeliverySource, DeliveryState
from bot.domain.values import Json
from bot.errors import Invalid
from bot.github.log import Attempt
from bot.intake import shapes

# The log is the App's own, so every entry is for the App, as these headers of a webhook say:
# https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
TARGET_TYPE: Final = "integration"


def delivery_of(attempt: Attempt, payload: Json, *, app_id: int, received_at: datetime) -> IncomingDelivery:
    """The delivery that was, or should have been, posted to us.

    The log gives the object and not its bytes, so the digest is that of its compact UTF-8 form, which
    is what GitHub sends. Where that should ever differ, the GUID decides: it alone makes two arrivals
    of one event the same.

    Raises:
        Invalid: GUID, event or action have no form that GitHub sends.
    """
    body = compact(payload)
    return IncomingDelivery(
        **_named(attempt, app_id),
        digest=hashlib.sha256(body).hexdigest(),
        payload=body,
        **asdict(shapes.about(payload)),
        received_at=received_at,
        state=DeliveryState.RECEIVED,
    )


def without_body(attempt: Attempt, *, app_id: int, received_at: datetime) -> IncomingDelivery:
    """The row of a delivery whose body is not to be had: FAILED, until GitHub delivers it again.

    Raises:
        Invalid: GUID, event or action have no form that GitHub sends.
    """
    return IncomingDelivery(
        **_named(attempt, app_id),
        digest=stand_in_digest(str(app_id), attempt.guid),
        payload=None,
        installation_id=None,
        received_at=received_at,
        state=DeliveryState.FAILED,
    )


def compact(payload: Json) -> bytes:
    """*payload* as JSON without blanks in UTF-8; what UTF-8 cannot hold stays escaped."""
    try:
        return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(payload, separators=(",", ":")).encode()


def _named(attempt: Attempt, app_id: int) -> dict[str, Any]:
    """What an entry of the log is known by, every name in its form."""
    action = None if attempt.action is None else _checked(attempt.action, shapes.ACTION)
    return {
        "target_type": TARGET_TYPE,
        "target_id": str(app_id),
        "guid": _checked(attempt.guid, shapes.GUID),
        "event": _checked(attempt.event, shapes.EVENT),
        "action": action,
        "source": DeliverySource.SWEEP,
    }


def _checked(text: str, form: "re.Pattern[str]") -> str:
    if not form.fullmatch(text):
        raise Invalid("an entry of GitHub's log has a GUID, event or action of an unknown form")
    return text

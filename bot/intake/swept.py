"""From an entry of GitHub's log of deliveries to a delivery as the front door would have made it."""

import hashlib
import json
import re
from datetime import datetime
from typing import Any, Final

from bot.db.deliveries import IncomingDelivery
from bot.domain.enums import DeliverySource, DeliveryState
from bot.domain.values import Json
from bot.errors import Invalid
from bot.github.log import Attempt

# The log is the App's own, so every entry is for the App, as these headers of a webhook say:
# https://docs.github.com/en/webhooks/webhook-events-and-payloads#delivery-headers
TARGET_TYPE: Final = "integration"
_EVENT: Final = re.compile(r"[a-z0-9_]{1,64}", re.ASCII)
_GUID: Final = re.compile(r"[A-Za-z0-9-]{1,64}", re.ASCII)
_ACTION: Final = re.compile(r"[^\x00-\x1f\x7f\ud800-\udfff]{1,255}")
_SHOWN: Final = re.compile(r"[A-Za-z0-9._/\[\]-]{1,200}", re.ASCII)
_MAX_ID: Final = 2**63 - 1
_MAX_NUMBER: Final = 2**31 - 1


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
        target_type=TARGET_TYPE,
        target_id=str(app_id),
        guid=_checked(attempt.guid, _GUID),
        event=_checked(attempt.event, _EVENT),
        action=None if attempt.action is None else _checked(attempt.action, _ACTION),
        digest=hashlib.sha256(body).hexdigest(),
        payload=body,
        installation_id=_number(payload, "installation", "id", _MAX_ID),
        repository=_text(payload, "repository", "full_name"),
        number=_number(payload, "issue", "number", _MAX_NUMBER)
        or _number(payload, "pull_request", "number", _MAX_NUMBER),
        sender=_text(payload, "sender", "login"),
        source=DeliverySource.SWEEP,
        received_at=received_at,
        state=DeliveryState.RECEIVED,
    )


def without_body(attempt: Attempt, *, app_id: int, received_at: datetime) -> IncomingDelivery:
    """The row of a delivery whose body is not to be had: FAILED, until GitHub delivers it again.

    Raises:
        Invalid: GUID, event or action have no form that GitHub sends.
    """
    stands_for = f"no body:{app_id}:{attempt.guid}"
    return IncomingDelivery(
        target_type=TARGET_TYPE,
        target_id=str(app_id),
        guid=_checked(attempt.guid, _GUID),
        event=_checked(attempt.event, _EVENT),
        action=None if attempt.action is None else _checked(attempt.action, _ACTION),
        digest=hashlib.sha256(stands_for.encode()).hexdigest(),
        payload=None,
        installation_id=None,
        source=DeliverySource.SWEEP,
        received_at=received_at,
        state=DeliveryState.FAILED,
    )


def compact(payload: Json) -> bytes:
    """*payload* as JSON without blanks in UTF-8; what UTF-8 cannot hold stays escaped."""
    try:
        return json.dumps(payload, separators=(",", ":"), ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return json.dumps(payload, separators=(",", ":")).encode()


def _checked(text: str, form: "re.Pattern[str]") -> str:
    if not form.fullmatch(text):
        raise Invalid("an entry of GitHub's log has a GUID, event or action of an unknown form")
    return text


def _child(payload: Json, parent: str, name: str) -> Any:
    found = payload.get(parent)
    return found.get(name) if isinstance(found, dict) else None


def _number(payload: Json, parent: str, name: str, most: int) -> int | None:
    found = _child(payload, parent, name)
    return found if type(found) is int and 0 < found <= most else None


def _text(payload: Json, parent: str, name: str) -> str | None:
    found = _child(payload, parent, name)
    return found if isinstance(found, str) and _SHOWN.fullmatch(found) else None

"""Decides from headers and bytes, without a socket, what a webhook delivery is."""

import hashlib
import re
from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Final

import orjson
from multidict import CIMultiDictProxy

from bot.config import Secret
from bot.db.deliveries import IncomingDelivery
from bot.domain.enums import DeliveryState
from bot.handlers.router import ROUTES, is_handled
from bot.intake import shapes
from bot.intake.signature import verify
from bot.web.answers import Refused

SIGNATURE_HEADER: Final = "X-Hub-Signature-256"
_TARGET = re.compile(r"[a-z0-9_]{0,32}", re.ASCII)
_OBJECT = re.compile(rb"[ \t\r\n]*\{")


def check_signature(
    headers: "CIMultiDictProxy[str]", parts: Sequence[bytes], secrets: Sequence[Secret]
) -> int:
    """Refuse a body that GitHub did not sign with one of *secrets*; returns the index of the one that did.

    Raises:
        Refused: 401, also for SHA-1 alone and for two signatures.
    """
    given = headers.getall(SIGNATURE_HEADER, [])
    index = verify(parts, given[0], [one.reveal() for one in secrets]) if len(given) == 1 else None
    if index is None:
        raise Refused(HTTPStatus.UNAUTHORIZED, f"{SIGNATURE_HEADER} is missing or does not match the body")
    return index


def digest_of(parts: Sequence[bytes]) -> str:
    """The SHA-256 of the raw body in hex."""
    digest = hashlib.sha256()
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def read_delivery(
    headers: "CIMultiDictProxy[str]", parts: tuple[bytes, ...], *, digest: str, received_at: datetime
) -> IncomingDelivery:
    """The delivery that a signed body is; what nothing here acts on is IGNORED and loses its payload.

    A body in more than one part (above 256 KiB) is not parsed here: its action, installation and
    thread stay None for the worker.

    Raises:
        Refused: 400 or 415, with what to change.
    """
    event = _header(headers, "X-GitHub-Event", shapes.EVENT)
    guid = _header(headers, "X-GitHub-Delivery", shapes.GUID)
    target_type = _header(headers, "X-GitHub-Hook-Installation-Target-Type", _TARGET, default="")
    target_id = _header(headers, "X-GitHub-Hook-Installation-Target-ID", _TARGET, default="")
    _check_type(headers)
    payload = _parse(parts)
    action = _action(payload)
    state = DeliveryState.RECEIVED if _concerns_us(event, action, payload) else DeliveryState.IGNORED
    kept = () if state is DeliveryState.IGNORED else parts
    known = shapes.about(payload or {})
    return IncomingDelivery(
        target_type=target_type,
        target_id=target_id,
        guid=guid,
        event=event,
        action=action,
        digest=digest,
        payload=kept[0] if len(kept) == 1 else None,
        installation_id=known.installation_id,
        received_at=received_at,
        state=state,
        repository=known.repository,
        number=known.number,
        sender=known.sender,
        parts=kept if len(kept) > 1 else (),
    )


def _header(
    headers: "CIMultiDictProxy[str]", name: str, shape: "re.Pattern[str]", *, default: str | None = None
) -> str:
    """One header of the expected *shape*; the headers are not signed, so nothing else is let in."""
    text = headers.get(name, default)
    if text is None:
        raise Refused(HTTPStatus.BAD_REQUEST, f"the header {name} is missing")
    if not shape.fullmatch(text):
        raise Refused(HTTPStatus.BAD_REQUEST, f"the header {name} has no form that GitHub sends")
    return text


def _check_type(headers: "CIMultiDictProxy[str]") -> None:
    """Only JSON is taken, and whoever set the other form is told where to change it."""
    content_type = headers.get("Content-Type", "").split(";", 1)[0].strip().lower()
    if content_type == "application/json":
        return
    remedy = "set the content type of the webhook to application/json in the App's settings on GitHub"
    raise Refused(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"{content_type or 'no content type'} is not taken; {remedy}"
    )


def _parse(parts: Sequence[bytes]) -> dict[str, Any] | None:
    """The JSON object that *body* is, None for a large one; orjson stops by itself at a depth of 1024."""
    message = "the body is no JSON object"
    if len(parts) > 1:
        if not _OBJECT.match(parts[0]):
            raise Refused(HTTPStatus.BAD_REQUEST, message)
        return None
    try:
        payload = orjson.loads(parts[0])
    except orjson.JSONDecodeError as error:
        raise Refused(HTTPStatus.BAD_REQUEST, message) from error
    if not isinstance(payload, dict):
        raise Refused(HTTPStatus.BAD_REQUEST, message)
    return payload


def _action(payload: dict[str, Any] | None) -> str | None:
    """The action, where the event has one."""
    action = (payload or {}).get("action")
    if action is None:
        return None
    if not isinstance(action, str) or not shapes.ACTION.fullmatch(action):
        raise Refused(HTTPStatus.BAD_REQUEST, "the field action has no form that GitHub sends")
    return action


def _concerns_us(event: str, action: str | None, payload: dict[str, Any] | None) -> bool:
    """Whether anything acts on the event; of a large body any action may come to light in the worker."""
    if payload is None:
        return any(route.name == event for route in ROUTES)
    return is_handled(event, action)

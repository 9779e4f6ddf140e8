"""The App's own record of webhook deliveries."""

import json
from typing import Any

from bot.standin.forge import refusals
from bot.standin.forge.call import Answer, Call, Route
from bot.standin.forge.clock import iso
from bot.standin.forge.deliveries import Delivery

_KEPT_SECONDS = 3 * 24 * 3600  # .../redelivering-webhooks: the past 3 days
_DEFAULT_PER_PAGE, _MAX_PER_PAGE = 30, 100


def _item(one: Delivery) -> dict[str, Any]:
    return {
        "id": one.id,
        "guid": one.guid,
        "delivered_at": iso(one.delivered_at),
        "redelivery": one.is_redelivery,
        "duration": round(one.duration_seconds, 2),
        "status": one.status,
        "status_code": one.status_code,
        "event": one.event,
        "action": one.action,
        "installation_id": one.installation_id,
        "repository_id": one.repository_id,
        "throttled_at": None,
    }


def _kept(call: Call) -> list[Delivery]:
    """Finished attempts of the last three days, newest first."""
    oldest = call.stage.world.clock.now() - _KEPT_SECONDS
    record = call.stage.deliveries.record
    return [one for one in reversed(record) if one.status_code and one.delivered_at >= oldest]


async def list_deliveries(call: Call) -> Answer:
    """Attempts, newest first; pages by `cursor`, the id of the last one seen."""
    kept = _kept(call)
    cursor = call.query.get("cursor")
    if cursor is not None:
        if not cursor.isdigit():
            raise refusals.unprocessable("Invalid cursor")
        kept = [one for one in kept if one.id < int(cursor)]
    size = call.query.get("per_page", "")
    per_page = min(int(size), _MAX_PER_PAGE) if size.isdigit() and int(size) else _DEFAULT_PER_PAGE
    page, headers = kept[:per_page], {}
    if len(kept) > per_page:
        url = f"{call.stage.world.url}{call.path}?per_page={per_page}&cursor={page[-1].id}"
        headers["Link"] = f'<{url}>; rel="next"'
    return Answer(body=[_item(one) for one in page], headers=headers)


def _delivery(call: Call) -> Delivery:
    wanted = call.number("delivery_id")
    for one in _kept(call):
        if one.id == wanted:
            return one
    raise refusals.not_found()


async def get_delivery(call: Call) -> Answer:
    """One attempt with the bytes' content and the answer."""
    one = _delivery(call)
    body = {
        **_item(one),
        "url": call.stage.deliveries.url or "",
        "request": {"headers": one.request_headers, "payload": json.loads(one.payload)},
        "response": {"headers": one.response_headers, "payload": one.response_body},
    }
    return Answer(body=body)


async def redeliver(call: Call) -> Answer:
    """Send the event again."""
    call.stage.deliveries.redeliver(_delivery(call).id)
    return Answer(202, {})


ROUTES = [
    Route("GET", "/app/hook/deliveries", list_deliveries, "app"),
    Route("GET", "/app/hook/deliveries/{delivery_id}", get_delivery, "app"),
    Route("POST", "/app/hook/deliveries/{delivery_id}/attempts", redeliver, "app"),
]

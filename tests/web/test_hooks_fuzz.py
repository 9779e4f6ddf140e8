"""Ten thousand damaged real payloads: each is refused in words or routed, never a crash."""

import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from multidict import CIMultiDict, CIMultiDictProxy

from bot.domain.intents import Event
from bot.handlers import router
from bot.web.answers import Refused
from bot.web.delivery import read_delivery
from tests.payloads import samples
from tests.web.conftest import signed

NOW = datetime(2026, 11, 22, tzinfo=UTC)
DAMAGE: tuple[Any, ...] = (None, {}, [], "", 0, -1, 2**70, 1e308, True, "\x00", "é" * 300, [None], {"id": {}})


def places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every container below *value* with each of its keys."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from places(value[key])


def test_no_damaged_payload_breaks_reading_or_routing() -> None:
    chance = random.Random(32)
    refusals: set[int] = set()
    known = [(sample.event, json.dumps(sample.payload)) for sample in samples()]
    headers = {event: CIMultiDictProxy(CIMultiDict(signed(b"", event=event))) for event, _ in known}
    for number in range(10_000):
        event, text = known[number % len(known)]
        payload = json.loads(text)
        for _ in range(chance.randint(1, 3)):
            container, key = chance.choice(list(places(payload)))
            container[key] = chance.choice(DAMAGE)
        body = json.dumps(payload).encode()
        try:
            delivery = read_delivery(headers[event], (body,), digest="d", received_at=NOW)
        except Refused as refused:
            refusals.add(refused.status)
        else:
            router.route(Event(event, delivery.action, payload), own_app_id=1)
    assert refusals == {400}

"""A large delivery on its way from parts to what it asks for."""

import json

from bot.domain.enums import DeliveryState
from bot.domain.intents import StartJob
from tests import payloads
from tests.intake.test_dispatch import Post, post  # noqa: F401 (a fixture)


async def test_a_large_delivery_is_dispatched_from_its_parts(post: Post) -> None:  # noqa: F811
    event = payloads.issues_event("labeled", label="agent")
    event["issue"]["body"] = "x" * 400_000
    delivery_id = await post.deliver(json.dumps(event).encode(), action=None)
    assert (await post.row(delivery_id)).parts == 2
    await post.dispatcher.run_once()
    await post.dispatcher.close()
    assert [type(intent) for intent in post.applier.written] == [StartJob]
    row = await post.row(delivery_id)
    assert (row.state, row.installation_id) == (DeliveryState.DISPATCHED, payloads.INSTALLATION_ID)

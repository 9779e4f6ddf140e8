"""An entry of GitHub's log as a delivery: nothing in it is believed beyond its form."""

import json
from typing import Any

import pytest

from bot.domain.enums import DeliveryState
from bot.errors import Invalid
from bot.github.log import Attempt
from bot.intake.swept import compact, delivery_of, without_body
from tests.fakes import ManualClock

NOW = ManualClock().now()
ATTEMPT = Attempt(1, "72d3162e-cc78-11e3-81ab-4c9367dc0958", "issues", "opened", NOW, is_redelivery=False)


def made(payload: dict[str, Any]) -> Any:
    return delivery_of(ATTEMPT, payload, app_id=42, received_at=NOW)


@pytest.mark.parametrize("name", ["guid", "event", "action"])
@pytest.mark.parametrize("text", ["", "x\n", "\x00", "a" * 300])
def test_a_guid_event_or_action_of_another_form_is_refused(name: str, text: str) -> None:
    values = {field: getattr(ATTEMPT, field) for field in Attempt.__slots__}
    odd = Attempt(**{**values, name: text})
    with pytest.raises(Invalid):
        delivery_of(odd, {}, app_id=42, received_at=NOW)
    with pytest.raises(Invalid):
        without_body(odd, app_id=42, received_at=NOW)


@pytest.mark.parametrize(
    "payload",
    [
        {},
        {"installation": None, "repository": [], "issue": "x", "sender": 1},
        {"installation": {"id": True}, "repository": {"full_name": "a\x1b[31m/b"}, "issue": {"number": -1}},
        {"installation": {"id": 2**70}, "sender": {"login": "a" * 300}, "issue": {"number": 2**40}},
    ],
)
def test_what_has_no_sound_form_is_left_out(payload: dict[str, Any]) -> None:
    found = made(payload)
    assert (found.installation_id, found.repository, found.number, found.sender) == (None,) * 4
    assert json.loads(found.payload) == payload


def test_an_issue_or_a_pull_request_gives_the_number() -> None:
    assert made({"issue": {"number": 7}}).number == 7
    assert made({"pull_request": {"number": 8}}).number == 8


def test_the_body_is_compact_utf8_and_what_utf8_cannot_hold_stays_escaped() -> None:
    assert compact({"a": ["ü", 1]}) == '{"a":["ü",1]}'.encode()
    assert compact({"a": "\ud800"}) == b'{"a":"\\ud800"}'


def test_one_without_a_body_is_failed_and_stands_for_its_guid_alone() -> None:
    row = without_body(ATTEMPT, app_id=42, received_at=NOW)
    assert (row.state, row.payload, row.guid) == (DeliveryState.FAILED, None, ATTEMPT.guid)
    assert row.digest != made({}).digest

"""Keys, narrow tokens and installations, against the forge."""

import json
from datetime import timedelta

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bot.errors import ConfigError, Forbidden, Invalid, RetryLater, Unauthorized
from bot.github.app import GitHubApp
from bot.standin.forge.faults import Drop, Reply
from bot.standin.forge.forge import Forge, public_key
from tests.fakes import ManualClock
from tests.github.conftest import REPOSITORY, WRITES, Hub
from tests.keys import new_key


def _app(forge: Forge, session: aiohttp.ClientSession, clock: ManualClock, *keys: str) -> GitHubApp:
    return GitHubApp(
        api_url=forge.api_url, app_id=forge.app_id, private_keys=keys, session=session, clock=clock
    )


async def test_the_app_learns_who_it_is_and_asks_only_once(hub: Hub) -> None:
    first = await hub.app.identity()
    asked = len(hub.forge.requests)
    assert await hub.app.identity() is first
    assert len(hub.forge.requests) == asked
    assert (first.app_id, first.slug, first.bot_login) == (
        hub.forge.app_id,
        "issuewright",
        "issuewright[bot]",
    )
    assert first.bot_user_id == hub.forge.account("issuewright[bot]").id


async def test_an_installation_is_read_with_its_account_and_permissions(hub: Hub) -> None:
    found = await hub.app.installation(hub.installation_id)
    assert found is not None
    assert (found.account_login, found.is_suspended) == ("octo", False)
    assert ("issues", "write") in found.permissions


async def test_a_suspended_installation_says_so_and_gives_no_token(hub: Hub) -> None:
    await hub.forge.suspend(hub.installation_id)
    found = await hub.app.installation(hub.installation_id)
    assert found is not None and found.is_suspended
    with pytest.raises(Forbidden, match="suspended"):
        await hub.app.token(hub.installation_id, hub.repository_id, WRITES)


async def test_an_unknown_installation_is_none(hub: Hub) -> None:
    assert await hub.app.installation(999_999) is None


async def test_a_token_is_narrowed_to_one_repository_and_the_named_permissions(hub: Hub) -> None:
    token = await hub.app.token(hub.installation_id, hub.repository_id, {"issues": "write"})
    asked = json.loads(hub.forge.requests[-1].request_body)
    assert asked == {"repository_ids": [hub.repository_id], "permissions": {"issues": "write"}}
    with pytest.raises(Forbidden, match="contents=read"):
        await hub.app.repository(REPOSITORY, token).file("README.md")


async def test_a_token_never_shows_its_value(hub: Hub) -> None:
    token = await hub.app.token(hub.installation_id, hub.repository_id, {"issues": "read"})
    assert token.value not in repr(token)


async def test_a_token_without_named_permissions_is_a_mistake(hub: Hub) -> None:
    with pytest.raises(ValueError, match="all of them"):
        await hub.app.token(hub.installation_id, hub.repository_id, {})


async def test_a_token_for_another_repository_is_refused(hub: Hub) -> None:
    with pytest.raises(Invalid, match="not accessible"):
        await hub.app.token(hub.installation_id, 987_654, {"issues": "read"})


async def test_a_revoked_token_is_worth_nothing(hub: Hub) -> None:
    token = await hub.app.token(hub.installation_id, hub.repository_id, {"issues": "read"})
    await hub.app.revoke(token)
    with pytest.raises(Unauthorized):
        await hub.app.repository(REPOSITORY, token).issue(hub.issue)
    await hub.app.revoke(token)  # the second time nothing happens


async def test_an_unanswered_request_for_a_token_may_simply_be_made_again(hub: Hub) -> None:
    hub.forge.faults.add("POST", "access_tokens", Reply(502, is_after=True))
    with pytest.raises(RetryLater) as caught:
        await hub.app.token(hub.installation_id, hub.repository_id, {"issues": "read"})
    assert type(caught.value) is RetryLater


async def test_during_a_rotation_the_second_key_is_tried_and_then_preferred(
    forge: Forge, session: aiohttp.ClientSession, clock: ManualClock
) -> None:
    app = _app(forge, session, clock, new_key(number=7), forge.private_key)
    assert await app.installation(1) is None
    assert [one.status for one in forge.requests] == [401, 404]
    assert await app.installation(1) is None
    assert [one.status for one in forge.requests] == [401, 404, 404]


async def test_the_next_rotation_goes_back_to_the_other_key(
    forge: Forge, session: aiohttp.ClientSession, clock: ManualClock
) -> None:
    old, new = forge.private_key, new_key(number=8)
    app = _app(forge, session, clock, new, old)
    await app.installation(1)
    forge.world.app.public_keys[:] = [public_key(new)]
    await app.installation(1)
    assert [one.status for one in forge.requests] == [401, 404, 401, 404]


async def test_when_no_key_works_the_refusal_is_told(
    forge: Forge, session: aiohttp.ClientSession, clock: ManualClock
) -> None:
    with pytest.raises(Unauthorized):
        await _app(forge, session, clock, new_key(number=7)).identity()


async def test_a_jwt_is_used_again_for_eight_minutes_and_is_valid_the_whole_time(
    hub: Hub, clock: ManualClock
) -> None:
    signer = hub.app._signers[0]
    first = signer.jwt()
    clock.advance(479)
    assert signer.jwt() == first
    assert await hub.app.installation(hub.installation_id) is not None
    clock.advance(1)
    assert signer.jwt() != first


async def test_a_jwt_is_backdated_and_ends_within_ten_minutes(hub: Hub, clock: ManualClock) -> None:
    claims = jwt.decode(hub.app._signers[0].jwt(), options={"verify_signature": False})
    now = int(clock.now().timestamp())
    assert claims == {"iat": now - 60, "exp": now + 540, "iss": str(hub.forge.app_id)}


async def test_a_token_ends_an_hour_later_on_the_clock_of_github(hub: Hub, clock: ManualClock) -> None:
    token = await hub.app.token(hub.installation_id, hub.repository_id, {"issues": "read"})
    assert token.expires_at - clock.now() == timedelta(hours=1)


@pytest.mark.parametrize(
    "text", ["", "no key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"]
)
def test_a_key_that_cannot_be_read_is_reported_without_any_of_it(
    text: str, session: aiohttp.ClientSession, clock: ManualClock
) -> None:
    with pytest.raises(ConfigError, match="GITHUB_PRIVATE_KEY") as caught:
        GitHubApp(api_url="http://x", app_id=1, private_keys=[text], session=session, clock=clock)
    assert "AAAA" not in str(caught.value)


def test_a_key_of_another_kind_is_reported(session: aiohttp.ClientSession, clock: ManualClock) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ConfigError, match="RSA"):
        GitHubApp(api_url="http://x", app_id=1, private_keys=[key.decode()], session=session, clock=clock)


def test_an_app_without_a_key_is_reported(session: aiohttp.ClientSession, clock: ManualClock) -> None:
    with pytest.raises(ConfigError, match="no key"):
        GitHubApp(api_url="http://x", app_id=1, private_keys=[], session=session, clock=clock)


async def test_a_dropped_connection_while_revoking_is_no_error(hub: Hub) -> None:
    token = await hub.app.token(hub.installation_id, hub.repository_id, {"issues": "read"})
    hub.forge.faults.add("DELETE", "installation/token", Drop())
    await hub.app.revoke(token)


async def test_an_answer_without_a_token_is_no_answer(hub: Hub) -> None:
    hub.forge.faults.add(
        "POST", "access_tokens", Reply(201, '{"token": ""}', {"Content-Type": "application/json"})
    )
    with pytest.raises(RetryLater, match="another shape"):
        await hub.app.token(hub.installation_id, hub.repository_id, {"issues": "read"})

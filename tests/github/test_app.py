"""Keys, narrow tokens and installations, against the forge."""

from collections.abc import Callable
from datetime import timedelta

import aiohttp
import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bot.errors import ConfigError, Forbidden, Invalid, RetryLater
from bot.github.app import GitHubApp
from bot.github.tokens import Reach
from bot.standin.forge.faults import Reply
from bot.standin.forge.forge import Forge, public_key
from tests.fakes import ManualClock, MemoryLimits
from tests.github.conftest import WRITES, Hub
from tests.keys import new_key


def _app(forge: Forge, session: aiohttp.ClientSession, clock: ManualClock, *keys: str) -> GitHubApp:
    return GitHubApp(
        api_url=forge.api_url,
        app_id=forge.app_id,
        private_keys=keys,
        session=session,
        clock=clock,
        limits=MemoryLimits(clock),
    )


def reach(hub: Hub, **permissions: str) -> Reach:
    """The reach of a token for the hub's repository."""
    return Reach(hub.installation_id, hub.repository_id, tuple(permissions.items()))


async def test_the_app_learns_who_it_is_and_asks_only_once(hub: Hub) -> None:
    first = await hub.app.identity(hub.api)
    asked = len(hub.forge.requests)
    assert await hub.app.identity(hub.api) is first
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
        await hub.app.token(reach(hub, **WRITES))


async def test_an_unknown_installation_is_none(hub: Hub) -> None:
    assert await hub.app.installation(999_999) is None


async def test_a_token_never_shows_its_value(hub: Hub) -> None:
    token = await hub.app.token(reach(hub, issues="read"))
    assert token.value not in repr(token)


async def test_a_token_without_named_permissions_is_a_mistake(hub: Hub) -> None:
    with pytest.raises(ValueError, match="all of them"):
        async with hub.app.lend(hub.installation_id, hub.repository_id, {}):
            pass


async def test_a_token_for_another_repository_is_refused(hub: Hub) -> None:
    with pytest.raises(Invalid, match="not accessible"):
        await hub.app.token(Reach(hub.installation_id, 987_654, (("issues", "read"),)))


async def test_an_unanswered_request_for_a_token_may_simply_be_made_again(hub: Hub) -> None:
    hub.forge.faults.add("POST", "access_tokens", Reply(502, is_after=True))
    with pytest.raises(RetryLater) as caught:
        await hub.app.token(reach(hub, issues="read"))
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


async def test_when_no_key_works_that_is_trouble_of_ours_to_be_mended_and_no_refusal(
    forge: Forge, session: aiohttp.ClientSession, clock: ManualClock
) -> None:
    app = _app(forge, session, clock, new_key(number=7))
    with pytest.raises(RetryLater, match="private key"):
        await app.check()
    assert app.key_trouble is not None and "401" in app.key_trouble

    forge.world.app.public_keys.append(public_key(new_key(number=7)))
    await app.check()
    assert app.key_trouble is None


async def test_who_we_are_is_never_asked_without_a_credential(hub: Hub) -> None:
    await hub.app.identity(hub.api)
    (asked,) = [one for one in hub.forge.requests if one.path.startswith("/users/")]
    assert asked.caller == "installation"


async def test_an_installation_that_was_lost_may_be_called_again_once_github_shows_it(hub: Hub) -> None:
    hub.limits.gone[hub.installation_id] = False
    with pytest.raises(Forbidden):
        await hub.app.token(reach(hub, issues="read"))
    await hub.app.installation(hub.installation_id)
    await hub.app.token(reach(hub, issues="read"))


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
    token = await hub.app.token(reach(hub, issues="read"))
    assert token.expires_at - clock.now() == timedelta(hours=1)


Make = Callable[..., GitHubApp]


@pytest.fixture
def make(session: aiohttp.ClientSession, clock: ManualClock, limits: MemoryLimits) -> Make:
    """An App with these keys."""

    def build(*keys: str) -> GitHubApp:
        return GitHubApp(
            api_url="http://x", app_id=1, private_keys=keys, session=session, clock=clock, limits=limits
        )

    return build


@pytest.mark.parametrize(
    "text", ["", "no key", "-----BEGIN RSA PRIVATE KEY-----\nAAAA\n-----END RSA PRIVATE KEY-----"]
)
def test_a_key_that_cannot_be_read_is_reported_without_any_of_it(text: str, make: Make) -> None:
    with pytest.raises(ConfigError, match="GITHUB_PRIVATE_KEY") as caught:
        make(text)
    assert "AAAA" not in str(caught.value)


def test_a_key_of_another_kind_is_reported(make: Make) -> None:
    key = ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    with pytest.raises(ConfigError, match="RSA"):
        make(key.decode())


def test_an_app_without_a_key_is_reported(make: Make) -> None:
    with pytest.raises(ConfigError, match="no key"):
        make()


async def test_an_answer_without_a_token_is_no_answer(hub: Hub) -> None:
    hub.forge.faults.add(
        "POST", "access_tokens", Reply(201, '{"token": ""}', {"Content-Type": "application/json"})
    )
    with pytest.raises(RetryLater, match="another shape"):
        await hub.app.token(reach(hub, issues="read"))

"""JWTs and installation tokens: who gets in, and for what."""

import base64
from typing import Any

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from bot.standin.forge import auth
from bot.standin.forge.forge import Forge, public_key
from bot.standin.forge.refusals import Refusal
from tests.standin.forge.conftest import REPO, Api

HOUR = 3600


def new_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form = serialization.PrivateFormat.PKCS8
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption()).decode()


async def test_the_app_knows_itself(api: Api) -> None:
    answer = await api.as_app("GET", "/app")
    assert (answer.status, answer.json["slug"], answer.json["id"]) == (200, "issuewright", api.forge.app_id)
    assert answer.json["installations_count"] == 1


async def test_no_credentials_are_refused(api: Api) -> None:
    assert (await api.send("GET", "/app", credential=None)).status == 401
    assert (await api.call("GET", "", credential=None)).status == 401


@pytest.mark.parametrize(
    "claims",
    [
        {"exp": 0},
        {"exp": 10**11},
        {"exp": "soon"},
        {"iat": 10**11},
        {"iat": "now"},
    ],
)
async def test_a_jwt_outside_its_time_is_refused(api: Api, claims: dict[str, Any]) -> None:
    assert (await api.send("GET", "/app", credential=api.jwt(**claims))).status == 401


async def test_a_jwt_of_another_app_finds_no_integration(api: Api) -> None:
    answer = await api.send("GET", "/app", credential=api.jwt(iss="7"))
    assert (answer.status, answer.message) == (404, "Integration not found")


async def test_a_jwt_of_a_foreign_key_is_refused_until_the_key_is_added(api: Api) -> None:
    known, api.forge.private_key = api.forge.private_key, new_key()
    assert (await api.as_app("GET", "/app")).status == 401
    api.forge.world.app.public_keys.append(public_key(api.forge.private_key))
    assert (await api.as_app("GET", "/app")).status == 200
    api.forge.private_key = known
    assert (await api.as_app("GET", "/app")).status == 200


async def test_a_jwt_opens_no_repository(api: Api) -> None:
    assert (await api.call("GET", "", credential=api.jwt())).status == 401


async def test_an_unknown_token_is_refused(api: Api) -> None:
    answer = await api.call("GET", "", credential="ghs_unknown")
    assert (answer.status, answer.message) == (401, "Bad credentials")


async def test_another_scheme_is_refused(api: Api) -> None:
    answer = await api.call("GET", "", credential=None, headers={"Authorization": "Basic abc"})
    assert answer.status == 401


async def test_a_token_is_long_has_dots_and_ends_after_an_hour(api: Api) -> None:
    token = await api.token()
    assert token.startswith("ghs_") and "." in token and len(token) > 500
    assert (await api.call("GET", "", credential=token)).status == 200
    api.forge.clock.advance(HOUR)
    assert (await api.call("GET", "", credential=token)).status == 401


async def test_a_revoked_token_is_refused(api: Api) -> None:
    token = await api.token()
    assert (await api.send("DELETE", "/installation/token", credential=token)).status == 204
    assert (await api.call("GET", "", credential=token)).status == 401


async def test_a_narrowed_token_holds_only_what_was_asked(api: Api) -> None:
    token = await api.token(permissions={"issues": "read"})
    assert (await api.call("GET", "/issues", credential=token)).status == 200
    answer = await api.call("POST", "/issues", {"title": "x"}, credential=token)
    assert (answer.status, answer.headers["X-Accepted-GitHub-Permissions"]) == (403, "issues=write")


async def test_metadata_comes_with_every_token(api: Api) -> None:
    token = await api.token(permissions={"issues": "read"})
    assert (await api.call("GET", "", credential=token)).status == 200


async def test_a_token_for_one_repository_does_not_see_another(api: Api) -> None:
    await api.forge.create_repository("acme/other", {"a": "b"})
    await api.forge.change_repositories(api.installation_id, added=["acme/other"])
    other = api.forge.repository("acme/other").id
    token = await api.token(repository_ids=[other])
    assert (await api.call("GET", "", credential=token)).status == 404
    assert (await api.send("GET", "/repos/acme/other", credential=token)).status == 200


async def test_a_token_can_be_narrowed_by_name(api: Api) -> None:
    path = f"/app/installations/{api.installation_id}/access_tokens"
    answer = await api.as_app("POST", path, {"repositories": ["calc"]})
    assert [one["full_name"] for one in answer.json["repositories"]] == [REPO]
    assert answer.json["repository_selection"] == "selected"


@pytest.mark.parametrize(
    "body", [{"repository_ids": [1]}, {"repository_ids": []}, {"permissions": {"actions": "read"}}]
)
async def test_a_token_for_more_than_the_installation_has_is_refused(api: Api, body: dict[str, Any]) -> None:
    path = f"/app/installations/{api.installation_id}/access_tokens"
    assert (await api.as_app("POST", path, body)).status == 422


async def test_permissions_that_are_no_object_are_refused(api: Api) -> None:
    path = f"/app/installations/{api.installation_id}/access_tokens"
    assert (await api.as_app("POST", path, {"permissions": "all"}, is_malformed=True)).status == 422


async def test_a_token_of_an_unknown_installation_is_not_found(api: Api) -> None:
    assert (await api.as_app("POST", "/app/installations/1/access_tokens")).status == 404


async def test_a_suspended_installation_is_forbidden_until_it_is_let_go(api: Api) -> None:
    path = f"/app/installations/{api.installation_id}/access_tokens"
    await api.forge.suspend(api.installation_id)
    assert (await api.call("GET", "")).status == 403
    assert (await api.as_app("POST", path)).status == 403
    await api.forge.unsuspend(api.installation_id)
    assert (await api.call("GET", "")).status == 200


async def test_tokens_end_with_their_installation(api: Api) -> None:
    await api.forge.uninstall(api.installation_id)
    assert (await api.call("GET", "")).status == 401
    assert (await api.as_app("GET", f"/app/installations/{api.installation_id}")).status == 404
    assert (await api.as_app("GET", f"/repos/{REPO}/installation")).status == 404


async def test_installations_are_listed_and_found(api: Api) -> None:
    listed = await api.as_app("GET", "/app/installations")
    assert [one["id"] for one in listed.json] == [api.installation_id]
    one = await api.as_app("GET", f"/app/installations/{api.installation_id}")
    by_repository = await api.as_app("GET", f"/repos/{REPO}/installation")
    assert one.json == by_repository.json == listed.json[0]
    assert (await api.as_app("GET", "/app/installations/nine", is_malformed=True)).status == 404


async def test_a_token_lists_its_repositories(api: Api) -> None:
    answer = await api.send("GET", "/installation/repositories", credential=api.default_token)
    assert [one["full_name"] for one in answer.json["repositories"]] == [REPO]
    assert answer.json["repository_selection"] == "selected"


async def test_an_installation_on_all_repositories_reaches_new_ones(forge: Forge, api: Api) -> None:
    await forge.uninstall(api.installation_id)
    api.installation_id = await forge.install("acme")
    await forge.create_repository("acme/later", {"a": "b"})
    token = await api.token()
    answer = await api.send("GET", "/installation/repositories", credential=token)
    assert (answer.json["total_count"], answer.json["repository_selection"]) == (2, "all")


@pytest.mark.parametrize(
    "header", ["", "Bearer x", "Basic !!!", "Basic " + base64.b64encode(b"nocolon").decode()]
)
def test_a_broken_basic_header_holds_no_pair(header: str) -> None:
    assert auth.basic(header) is None


async def test_git_speaks_basic_only(forge: Forge) -> None:
    with pytest.raises(Refusal, match="Bad credentials"):
        auth.git_account(forge.world, "Bearer ghs_x")


async def test_a_git_password_needs_the_user_x_access_token(forge: Forge) -> None:
    header = "Basic " + base64.b64encode(b"someone:ghs_x").decode()
    with pytest.raises(Refusal, match="Bad credentials"):
        auth.git_account(forge.world, header)

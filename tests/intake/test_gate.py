"""The permission gate: live, by numeric id, closed on every error."""

from dataclasses import replace

import pytest

from bot.db.tenants import Tenant
from bot.domain.values import Actor
from bot.errors import RetryLater
from bot.intake.gate import CACHE_SECONDS
from bot.standin.forge.faults import Drop, Reply
from tests.intake.conftest import REPOSITORY, Hall


@pytest.fixture
async def tenant(hall: Hall) -> Tenant:
    """The tenant on record."""
    found = await hall.know()
    assert found is not None
    return found


def looks(hall: Hall) -> int:
    """How often the permission was asked for."""
    return len(hall.asked("/permission"))


@pytest.mark.parametrize(
    ("level", "is_open"),
    [
        ("admin", True),
        ("maintain", True),
        ("write", True),
        ("triage", False),
        ("read", False),
        ("none", False),
    ],
)
async def test_write_and_above_may_command(hall: Hall, tenant: Tenant, level: str, is_open: bool) -> None:
    hall.forge.set_permission(REPOSITORY, "maria", level)
    verdict = await hall.gate.check(tenant, hall.writer, fresh=True)
    assert verdict.is_open is is_open
    assert (verdict.reason == "") is is_open


@pytest.mark.parametrize(("needs", "is_open"), [("read", True), ("write", False), ("admin", False)])
async def test_what_is_needed_can_be_less_or_more(
    hall: Hall, tenant: Tenant, needs: str, is_open: bool
) -> None:
    verdict = await hall.gate.check(tenant, hall.reader, needs=needs, fresh=True)
    assert verdict.is_open is is_open


async def test_a_refusal_says_what_is_needed_and_what_there_is(hall: Hall, tenant: Tenant) -> None:
    verdict = await hall.gate.check(tenant, hall.reader, fresh=True)
    assert verdict.reason == "this needs write permission on the repository; rob has read"


async def test_the_repositorys_owner_may_command(hall: Hall, tenant: Tenant) -> None:
    owner = Actor(hall.forge.create_user("octo"), "octo")
    assert (await hall.gate.check(tenant, owner, fresh=True)).is_open


@pytest.mark.parametrize("login", ["nobody-here", "../../orgs", "", "maria/permission?x="])
async def test_a_login_that_nobody_has_may_nothing(hall: Hall, tenant: Tenant, login: str) -> None:
    assert not (await hall.gate.check(tenant, Actor(1, login), fresh=True)).is_open


async def test_a_login_that_passed_to_somebody_else_opens_nothing(hall: Hall, tenant: Tenant) -> None:
    verdict = await hall.gate.check(tenant, replace(hall.writer, id=hall.writer.id + 1), fresh=True)
    assert (verdict.is_open, verdict.reason.endswith("maria has none")) == (False, True)


async def test_a_verdict_is_kept_for_a_minute_and_asked_again_after_it(hall: Hall, tenant: Tenant) -> None:
    for _ in range(3):
        assert (await hall.gate.check(tenant, hall.writer, fresh=False)).is_open
    assert looks(hall) == 1
    hall.forge.set_permission(REPOSITORY, "maria", "read")
    hall.clock.advance(CACHE_SECONDS - 1)
    assert (await hall.gate.check(tenant, hall.writer, fresh=False)).is_open
    hall.clock.advance(1)
    assert not (await hall.gate.check(tenant, hall.writer, fresh=False)).is_open
    assert looks(hall) == 2


async def test_a_fresh_verdict_is_asked_for_now_and_replaces_the_kept_one(hall: Hall, tenant: Tenant) -> None:
    await hall.gate.check(tenant, hall.writer, fresh=False)
    hall.forge.set_permission(REPOSITORY, "maria", "none")
    assert not (await hall.gate.check(tenant, hall.writer, fresh=True)).is_open
    assert not (await hall.gate.check(tenant, hall.writer, fresh=False)).is_open
    assert looks(hall) == 2


async def test_a_kept_verdict_is_one_persons_alone(hall: Hall, tenant: Tenant) -> None:
    assert (await hall.gate.check(tenant, hall.writer, fresh=False)).is_open
    assert not (await hall.gate.check(tenant, hall.reader, fresh=False)).is_open


@pytest.mark.parametrize(
    ("path", "status"),
    [("/access_tokens$", status) for status in (403, 404, 422)]
    + [("/permission$", status) for status in (403, 404)],
)
async def test_the_gate_stays_closed_on_a_refusal_and_forgets_it(
    hall: Hall, tenant: Tenant, path: str, status: int
) -> None:
    hall.forge.faults.add("*", path, Reply(status))
    assert not (await hall.gate.check(tenant, hall.writer, fresh=False)).is_open
    if (path, status) == ("/permission$", 404):
        hall.clock.advance(CACHE_SECONDS)  # an answer: this person has no permission at all
    assert (await hall.gate.check(tenant, hall.writer, fresh=False)).is_open


@pytest.mark.parametrize("path", ["/access_tokens$", "/permission$"])
@pytest.mark.parametrize("fault", [Reply(503), Reply(429), Drop()], ids=["503", "429", "drop"])
async def test_a_github_that_cannot_say_decides_nothing(
    hall: Hall, tenant: Tenant, path: str, fault: Reply | Drop
) -> None:
    hall.forge.faults.add("*", path, fault, times=None)
    with pytest.raises(RetryLater):
        await hall.gate.check(tenant, hall.writer, fresh=True)
    hall.forge.faults.clear()
    hall.clock.advance(60)
    assert (await hall.gate.check(tenant, hall.writer, fresh=False)).is_open


@pytest.mark.parametrize("path", ["/access_tokens$", "/permission$"])
async def test_a_credential_of_ours_that_is_refused_denies_nobody(
    hall: Hall, tenant: Tenant, path: str
) -> None:
    hall.forge.faults.add("*", path, Reply(401), times=None)
    with pytest.raises(RetryLater):
        await hall.gate.check(tenant, hall.writer, fresh=True)
    hall.forge.faults.clear()
    assert (await hall.gate.check(tenant, hall.writer, fresh=False)).is_open


async def test_a_token_that_has_just_died_is_made_anew(hall: Hall, tenant: Tenant) -> None:
    hall.forge.faults.add("GET", "/permission$", Reply(401))
    assert (await hall.gate.check(tenant, hall.writer, fresh=True)).is_open


async def test_the_question_needs_a_token_that_can_do_nothing_else(hall: Hall, tenant: Tenant) -> None:
    await hall.gate.check(tenant, hall.writer, fresh=True)
    (question,) = hall.asked("/permission")
    assert question.permissions == {"metadata": "read"}

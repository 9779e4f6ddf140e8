"""The front door under storms, forgeries and people who may not: one job, or none.

The tests share one product; each has a repository of its own.
"""

import asyncio
import hashlib
import uuid
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from bot.standin import sample
from bot.standin.forge.deliveries import Delivery
from bot.standin.forge.faults import Hang, Reply
from tests.system.effects import jobs_of, one_pull_request, our_comments, pulls
from tests.system.places import Place, call, name_of, new_place, script
from tests.system.rig import Rig, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

STORM = 100
ANSWER = script(
    [call("post_analysis", text="Nothing is wrong here."), call("finish", summary="Looked at it.")]
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    async with rig(tmp_path_factory.mktemp("storm"), book=ANSWER) as product:
        await product.start()
        await product.install()
        yield product


@pytest_asyncio.fixture(loop_scope="module")
async def place(house: Rig, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """A repository that only this test uses, and a model that nobody has asked yet."""
    house.model.requests.clear()
    yield await new_place(house, name_of(request.node))
    house.forge.faults.clear()


async def post(product: Rig, body: bytes, headers: Mapping[str, str]) -> int:
    """Send one webhook to the product; the status."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{product.url}/webhooks/github", data=body, headers=dict(headers)) as answer,
    ):
        await answer.read()
        return answer.status


async def withheld_label(place: Place) -> tuple[int, Delivery]:
    """An issue whose `labeled` webhook was made and signed and has not been sent; number and delivery."""
    number = await place.opens()
    deliveries = place.product.forge.stage.deliveries
    await deliveries.settle()
    await deliveries.stop()
    await place.labels(number)
    return number, deliveries.record[-1]


async def rest(product: Rig) -> None:
    """Wait until every webhook is sent, dispatched, and everything that followed has been published."""
    await product.forge.settle()

    async def is_quiet() -> bool:
        waiting = await product.rows("SELECT 1 FROM deliveries WHERE state = 'RECEIVED'")
        sending = await product.rows("SELECT 1 FROM operations WHERE state IN ('intent', 'sent')")
        return not waiting and not sending

    await product.until(is_quiet)
    await product.forge.settle()


# ── storms and forgeries ─────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("are_fresh", [False, True], ids=["equal_ids", "fresh_ids"])
async def test_one_body_sent_a_hundred_times_at_once_makes_one_job(place: Place, are_fresh: bool) -> None:
    product = place.product
    number, delivery = await withheld_label(place)
    headers = product.forge.stage.deliveries.headers(delivery)
    fresh = [{**headers, "X-GitHub-Delivery": str(uuid.uuid4())} for _ in range(STORM)]

    statuses = await asyncio.gather(
        *(post(product, delivery.payload, one if are_fresh else headers) for one in fresh)
    )

    assert set(statuses) == {202}
    job = await place.ending(number)
    assert job["cause"] == "no_change_needed"
    await product.forge.stage.deliveries.start()
    await rest(product)
    assert len(await jobs_of(product, number, place.repository)) == 1
    assert len(place.comments(number)) == 1
    digest = hashlib.sha256(delivery.payload).hexdigest()
    assert len(await product.rows("SELECT 1 FROM deliveries WHERE digest = :digest", digest=digest)) == 1


def forged(headers: Mapping[str, str], body: bytes) -> list[tuple[str, bytes, dict[str, str]]]:
    """What GitHub did not sign: its name, body and headers."""
    unsigned = {name: value for name, value in headers.items() if not name.startswith("X-Hub-Signature")}
    signature = headers["X-Hub-Signature-256"]

    def signed(value: str) -> dict[str, str]:
        return {**unsigned, "X-Hub-Signature-256": value}

    return [
        ("one byte changed", body.replace(b"cents", b"cent5", 1), dict(headers)),
        ("one byte more", body + b" ", dict(headers)),
        ("one digit changed", body, signed(signature[:-1] + ("0" if signature[-1] != "0" else "1"))),
        ("SHA-1 alone", body, {**unsigned, "X-Hub-Signature": headers["X-Hub-Signature"]}),
        ("SHA-1 in the new place", body, signed(headers["X-Hub-Signature"])),
        ("upper case", body, signed("sha256=" + signature.removeprefix("sha256=").upper())),
        ("empty", body, signed("")),
        ("prefix alone", body, signed("sha256=")),
        ("missing", body, unsigned),
    ]


async def test_what_github_did_not_sign_is_refused_and_leaves_no_row(place: Place) -> None:
    product = place.product
    number, delivery = await withheld_label(place)
    count = "SELECT count(*) AS n FROM deliveries"
    before = await product.rows(count)

    for name, body, headers in forged(product.forge.stage.deliveries.headers(delivery), delivery.payload):
        assert await post(product, body, headers) == 401, name

    assert await product.rows(count) == before
    assert await jobs_of(product, number, place.repository) == []
    await product.forge.stage.deliveries.start()
    assert (await place.ending(number))["cause"] == "no_change_needed", "the true one was not harmed"


# ── who and where ────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("level", ["none", "read", "triage"])
async def test_a_person_without_write_permission_starts_nothing(place: Place, level: str) -> None:
    forge = place.product.forge
    number = await place.opens()
    forge.set_permission(place.repository, "guest", level)
    await forge.comment(place.repository, number, "guest", "/agent fix")
    await forge.add_label(place.repository, number, sample.LABEL, "guest")
    await place.opens(body="Please.\n\n/agent fix", author="guest")
    await nothing_started(place)


async def test_a_bot_starts_nothing_even_with_write_permission(place: Place) -> None:
    forge = place.product.forge
    forge.create_user("helpful[bot]", "Bot")
    forge.set_permission(place.repository, "helpful[bot]", "admin")
    number = await place.opens()
    await forge.comment(place.repository, number, "helpful[bot]", "/agent fix")
    await forge.add_label(place.repository, number, sample.LABEL, "helpful[bot]")
    await place.opens(body="/agent fix", author="helpful[bot]")
    await nothing_started(place)


@pytest.mark.parametrize(
    "words",
    [
        "```\n/agent fix\n```",
        "    /agent fix",
        "> /agent fix",
        "Write `/agent fix` to ask.",
        "`\n/agent fix\n`",
        "<!--\n/agent fix\n-->",
        "Say /agent fix if you like.",
    ],
)
async def test_a_command_that_is_only_quoted_starts_nothing(place: Place, words: str) -> None:
    number = await place.opens()
    await place.product.forge.comment(place.repository, number, sample.PERSON, words)
    await place.opens(body=words)
    await nothing_started(place)


async def test_an_edit_starts_nothing(place: Place) -> None:
    forge = place.product.forge
    number = await place.opens()
    comment = await forge.comment(place.repository, number, sample.PERSON, "What a day.")
    await forge.edit_comment(place.repository, comment, sample.PERSON, "/agent fix")
    await forge.edit_issue(place.repository, number, sample.PERSON, body="/agent fix")
    await nothing_started(place)


async def nothing_started(place: Place) -> None:
    """Everything was looked at, and nobody asked the model or made a job."""
    await rest(place.product)
    assert place.product.model.requests == []
    threads = place.product.forge.world.repository(place.repository).threads
    assert [job for number in threads for job in await jobs_of(place.product, number, place.repository)] == []
    assert [text for number in threads for text in place.comments(number)] == []


# ── once more ────────────────────────────────────────────────────────────────────────────────────
async def test_asking_again_while_the_job_is_open_makes_no_second_one(place: Place) -> None:
    forge = place.product.forge
    forge.faults.add("GET", f"{place.repository}/git/ref/", Hang())
    number = await place.asks(ANSWER)
    await place.until(lambda: forge.faults.rules[0].left == 0)
    await place.labels(number, "agent:fix")
    await forge.comment(place.repository, number, sample.PERSON, "/agent fix")
    await rest_of_deliveries(place.product)
    assert len(await jobs_of(place.product, number, place.repository)) == 1
    forge.faults.clear()
    await place.ending(number)
    place.told_once(number, "Nothing needs to change")


async def rest_of_deliveries(product: Rig) -> None:
    """Wait until every webhook is sent and dispatched; jobs may go on."""
    await product.forge.settle()

    async def are_dispatched() -> bool:
        return not await product.rows("SELECT 1 FROM deliveries WHERE state = 'RECEIVED'")

    await product.until(are_dispatched)


async def test_the_label_put_on_again_after_the_end_makes_a_new_job_of_the_same_request(place: Place) -> None:
    product = place.product
    number = await place.asks(ANSWER)
    first = await place.ending(number)
    await product.forge.remove_label(place.repository, number, sample.LABEL, sample.PERSON)
    product.forge.clock.advance(2)
    await place.labels(number)

    async def both_ended() -> list[dict[str, Any]]:
        jobs = await jobs_of(product, number, place.repository)
        return jobs if len(jobs) == 2 and all(job["phase"] == "settled" for job in jobs) else []

    jobs = await product.until(both_ended)
    assert [job["cause"] for job in jobs] == ["no_change_needed"] * 2
    assert {job["issueId"] for job in jobs} == {first["issueId"]}
    assert len(place.comments(number)) == 2


async def test_an_issue_opened_with_the_label_and_the_command_makes_one_job(place: Place) -> None:
    forge = place.product.forge
    number = await forge.open_issue(
        place.repository, sample.PERSON, sample.TITLE, "/agent fix\n\n" + sample.BODY, labels=[sample.LABEL]
    )
    await place.ending(number)
    await rest(place.product)
    await place.ending(number)
    place.told_once(number, "Nothing needs to change")


# ── late, not lost; two workers ──────────────────────────────────────────────────────────────────
async def test_a_github_that_is_away_at_the_permission_look_up_makes_it_late_not_lost(place: Place) -> None:
    place.product.forge.faults.add("GET", f"{place.repository}/collaborators", Reply(502, "<h1>Hm</h1>"), 4)
    number = await place.asks(ANSWER)
    await place.ending(number)
    place.told_once(number, "Nothing needs to change")
    tried = await place.product.rows("SELECT max(attempts) AS n FROM deliveries WHERE action = 'labeled'")
    assert tried[0]["n"] == 4


async def test_two_workers_on_one_database_make_one_effect_of_each_request(tmp_path: Path) -> None:
    async with rig(tmp_path) as product:
        await product.start()
        await product.install()
        async with product.one_more_worker():

            async def are_two() -> bool:
                return len(await product.is_working()) == 2

            await product.until(are_two)
            numbers = [await product.ask_by_label() for _ in range(4)]
            for number in numbers:
                await one_pull_request(product, number)
        assert len(pulls(product)) == len(numbers)
        assert [len(our_comments(product, number)) for number in numbers] == [1] * len(numbers)

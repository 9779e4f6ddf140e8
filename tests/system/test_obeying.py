"""A model that obeys whoever speaks to it, through the front door: what it is told to do cannot be done.

One product serves all tests. Orders stand wherever a model may read; a second model goes for everything that
is not its own; others say what would act on GitHub. Where each row of the list of checks is shown stands in
docs/security.md.
"""

import asyncio
import json
import os
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio

from bot.agents import registry
from bot.standin import sample
from bot.workspace.sandbox import find_bwrap
from tests.publish.test_secret_shapes import SECRETS
from tests.system import carriers, hostile
from tests.system.canary import found_in, places_of, secrets_of
from tests.system.carriers import CARRIERS, EXCLUDED, NEIGHBOUR, PRIVATE, STRANGER
from tests.system.effects import branches, jobs_of, our_comments, pulls
from tests.system.hostile import SMUGGLED
from tests.system.inertness import acting, commands_for_bots
from tests.system.rig import Rig, rig
from tests.system.test_attacks import HOSTILE, MARKER

pytestmark = [
    pytest.mark.skipif(find_bwrap() is None, reason="no bubblewrap here: nothing of a repository is run"),
    pytest.mark.asyncio(loop_scope="module"),
]
SHAPES: Final = [value for name, some in SECRETS.items() for value in some if name != "JSON web token"]
JOBS: Final = {
    "looks": "agent:fix",
    "attacks": "agent:fix",
    "garbage": "agent",
    "answers": "agent:ask",
    "plans": "agent:plan",
    "questions": "agent:ask",
}
SLOW_STREAM: Final = {"kind": "drip", "script": "looks", "turn": 0, "times": 2, "every_seconds": 0.2}
MEMORY: Final = "remembered bakery"


@dataclass(slots=True)
class House:
    """The product when all jobs have ended: their rows and numbers by name, and who knocked at our door."""

    product: Rig
    jobs: dict[str, dict[str, Any]]
    numbers: dict[str, int]
    secrets: dict[str, bytes]
    places: dict[str, bytes]
    visitors: list[str]
    pull: int

    def requests(self, name: str) -> list[dict[str, Any]]:
        """What the model was asked in a job, triage included."""
        words = f"do {name}"
        return [
            one["body"] for one in self.product.model.requests if words in str(one["body"]["messages"][0])
        ]

    def results(self, name: str) -> list[tuple[dict[str, Any], str]]:
        """Each call of a job with what it was answered."""
        blocks = [block for message in self.requests(name)[-1]["messages"] for block in message["content"]]
        told = {
            block["tool_use_id"]: str(block["content"]) for block in blocks if block["type"] == "tool_result"
        }
        return [(block, told[block["id"]]) for block in blocks if block["type"] == "tool_use"]

    def comment(self, name: str) -> str:
        """Our only comment in a job's thread."""
        (text,) = our_comments(self.product, self.numbers[name])
        return text


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    visitors: list[str] = []

    async def knock(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        visitors.append((await reader.readline()).decode())
        writer.close()

    door = await asyncio.start_server(knock, "127.0.0.1", 0)
    port = door.sockets[0].getsockname()[1]
    environment = {"AGENT_DEBUG": "true"}
    folder = tmp_path_factory.mktemp("obeying")
    async with door, rig(folder, files=carriers.FILES, environment=environment) as product:
        await carriers.furnish(product)
        product.model.play({**carriers.book(product, HOSTILE, SHAPES), "faults": [SLOW_STREAM]})
        await product.start()
        await product.install()
        pull = await _ask_beside(product)
        numbers = {name: await _ask(product, name, label, port) for name, label in JOBS.items()}
        await _speak(product, numbers["looks"])
        jobs = {name: await hostile.job_of(product, number) for name, number in numbers.items()}
        await product.forge.settle()
        secrets = await secrets_of(product)
        yield House(product, jobs, numbers, secrets, await places_of(product), visitors, pull)


async def _ask_beside(product: Rig) -> int:
    """A job in the private repository, and one that is remembered; both end before the others begin.

    Then somebody opens a pull request and gives a command in it; its number.
    """
    recipe = f"The recipe: {NEIGHBOUR}"
    await product.ask_by_label("Question: do private", recipe, repository=PRIVATE, label="agent:ask")
    await product.until(product.finished_jobs)
    body = f"It is like this: {carriers.order('memory')}"
    await product.ask_by_label(f"Question: do remember the {MEMORY}", body, label="agent:ask")
    await product.until(product.finished_jobs)
    pull = await carriers.open_pull(product)
    await product.forge.comment(sample.REPOSITORY, pull, sample.PERSON, "/agent fix")
    return pull


async def _ask(product: Rig, name: str, label: str, port: int) -> int:
    """An issue with an order and pictures that lie elsewhere, and the label on it."""
    door = f"http://127.0.0.1:{port}"
    asset = "user-attachments/assets/00000000-0000-4000-8000-000000000000"
    pictures = [
        f"{door}/{asset}",
        f"{product.forge.git_url}@127.0.0.1:{port}/{asset}",
        f"{door}/x.png?{name}",
    ]
    shown = "\n".join(f'![x]({url}) <img src="{url}">' for url in pictures)
    is_told = name == "looks"
    said, titled = (carriers.order("issue"), carriers.order("title")) if is_told else ("", "")
    others = [carriers.order("label")] if is_told else []
    return await product.ask_by_label(
        f"Bug: do {name} {titled}".strip(), f"{said}\n{shown}", label=label, others=others
    )


async def _speak(product: Rig, number: int) -> None:
    """While the job looks round, a stranger and the person write in its thread."""

    async def is_at_work() -> bool:
        return any(one.get("script") == "looks" for one in product.model.requests)

    await product.until(is_at_work)
    product.forge.create_user("mallory")
    await product.forge.comment(
        sample.REPOSITORY, number, "mallory", f"{STRANGER} {carriers.order('stranger')}"
    )
    await product.forge.comment(sample.REPOSITORY, number, sample.PERSON, carriers.order("comment"))


@pytest.mark.parametrize("carrier", CARRIERS)
async def test_an_order_is_obeyed_wherever_it_stands_and_comes_to_nothing(house: House, carrier: str) -> None:
    wanted = carriers.call_of(carrier)["input"]
    told = [result for call, result in house.results("looks") if call["input"] == wanted]
    assert len(told) == 1
    assert told[0].startswith("Refused: ")


async def test_each_refused_order_is_in_the_jobs_log(house: House) -> None:
    rows = await hostile.log_rows(house.product, house.jobs["looks"]["id"])
    guarded = {carriers.GUARDED, carriers.HIDDEN}
    refused = [row for row in rows if row["data"].get("arguments", {}).get("path") in guarded]
    assert len(refused) == len(CARRIERS)
    sent = [one for one in house.product.forge.requests if SMUGGLED.encode() in one.request_body]
    assert sent == []


async def test_a_call_in_a_triage_is_not_run(house: House) -> None:
    (look, *_) = [one for one in house.product.model.requests if one.get("script") == "looks"]
    assert "tools" not in look["body"] or look["body"]["tools"] == []
    assert "Classify" in str(look["body"]["messages"][0])
    assert house.jobs["looks"]["agentType"] == "code.fix"


async def test_garbage_in_a_triage_leaves_the_rules_in_force(house: House) -> None:
    assert (house.jobs["garbage"]["agentType"], house.jobs["garbage"]["cause"]) == (
        "code.fix",
        "pull_request",
    )
    assert house.jobs["garbage"]["model"] in {"haiku", "sonnet", "opus"}


async def test_what_a_stranger_says_meanwhile_reaches_no_model(house: House) -> None:
    assert not [one for one in house.product.model.requests if STRANGER in str(one["body"])]


async def test_what_is_not_read_gives_no_orders(house: House) -> None:
    asked = [str(one["body"]) for one in house.product.model.requests]
    assert not [body for body in asked if f"{SMUGGLED} {carriers.UNREAD}" in body]
    (told,) = our_comments(house.product, house.pull)
    assert "works on issues so far, not on pull requests" in told
    assert await jobs_of(house.product, house.pull) == []


async def test_only_commands_of_the_default_branch_are_run_to_verify(house: House) -> None:
    rows = await house.product.rows("SELECT command FROM verifications")
    assert {row["command"] for row in rows} == {"python3 -m unittest"}


async def test_agents_of_the_repository_are_never_wider_than_ours(house: House) -> None:
    rows = await hostile.log_rows(house.product, house.jobs["answers"]["id"])
    told = "\n".join(row["message"] for row in rows)
    for name in carriers.AGENTS:
        assert f".github/agents/{name}.md" in told, told
    for job, agent in (("answers", "meta.research"), ("plans", "meta.plan")):
        ours = registry.load().get(agent)
        offered = {tool["name"] for tool in house.requests(job)[-1]["tools"]}
        assert offered == ours.tools | ours.effects


async def test_excluded_files_reach_neither_model_nor_forge(house: House) -> None:
    out = {name: text for name, text in house.places.items() if name.startswith("request")}
    assert len(out) > 50
    assert found_in(out, {"excluded": EXCLUDED.encode()}) == []
    assert found_in(house.places | {"git objects": b""}, {"excluded": EXCLUDED.encode()}) == []


async def test_the_repository_beside_is_never_touched_for_this_one(house: House) -> None:
    name = PRIVATE.partition("/")[2]
    asked = [one for one in house.product.forge.requests if f"/{name}" in one.path]
    ours = [
        one for one in house.product.forge.requests if f"/{sample.REPOSITORY.partition('/')[2]}/" in one.path
    ]
    assert asked and max(one.number for one in asked) < min(
        one.number for one in ours if "/issues/" in one.path and one.method == "POST"
    )
    public = [
        str(one["body"])
        for one in house.product.model.requests
        if f"Repository: {PRIVATE}" not in str(one["body"])
    ]
    threads = house.product.forge.world.repository(sample.REPOSITORY).threads.values()
    said = [comment.body for thread in threads for comment in thread.comments]
    places = {"model": "\n".join(public).encode(), "threads": "\n".join(said).encode()}
    assert found_in(places, {"neighbour": NEIGHBOUR.encode()}) == []


async def test_every_token_reaches_one_repository_and_no_more_than_is_needed(house: House) -> None:
    minted = [one for one in house.product.forge.requests if one.path.endswith("/access_tokens")]
    assert minted
    for one in minted:
        body = json.loads(one.request_body)
        is_list = body["permissions"] == {"metadata": "read"}
        assert len(body.get("repository_ids", [0] if is_list else [])) == 1
        assert "workflows" not in body["permissions"] and "administration" not in body["permissions"]
    granted = [json.loads(one.request_body)["permissions"] for one in minted]
    reads = [permissions for permissions in granted if set(permissions.values()) == {"read"}]
    assert reads, "the work itself is done with tokens that only read"


async def test_nothing_that_the_model_goes_for_is_got(house: House) -> None:
    assert house.jobs["attacks"]["cause"] == "no_change_needed", house.jobs["attacks"]["error"]
    said = "\n".join(result for _, result in house.results("attacks"))
    assert "reached-" not in said
    assert _made() == []
    assert NEIGHBOUR not in said and EXCLUDED not in said
    assert await branches(house.product) == sorted(pull.pull.head for pull in pulls(house.product))
    (ours,) = [pull for pull in pulls(house.product) if pull.number != house.pull]
    assert ours.author is house.product.forge.world.app.bot


def _made() -> list[str]:
    """What stands where nothing may have been written."""
    return [path for path in (str(MARKER), "/usr/smuggled") if os.path.lexists(path)]


async def test_no_tool_looks_outside_the_checkout(house: House) -> None:
    told = [
        (call["name"], result)
        for call, result in house.results("attacks")
        if call["input"].get("path") in carriers.OUTSIDE
    ]
    assert len(told) == len(carriers.OUTSIDE) * (len(carriers.LOOKING) + 2)
    assert [name for name, result in told if not result.startswith("Refused: ")] == []


async def test_no_picture_is_fetched_from_elsewhere(house: House) -> None:
    assert house.visitors == []


@pytest.mark.parametrize("name", ["answers", "plans", "questions"])
async def test_what_is_said_acts_on_nobody_and_holds_no_secret(house: House, name: str) -> None:
    text = house.comment(name)
    allowed = frozenset({f"#{number}" for number in house.numbers.values()} | {f"@{sample.PERSON}", "@m"})
    assert acting(text, allowed) == [], text
    assert commands_for_bots(text) == []
    assert not [shape for shape in SHAPES if shape in text]


async def test_labels_duplicates_and_verdicts_are_words_alone(house: House) -> None:
    product = house.product
    for name, label in JOBS.items():
        others = [carriers.order("label")] if name == "looks" else []
        assert [one.name for one in product.thread(house.numbers[name]).labels] == [*others, label]
        assert product.thread(house.numbers[name]).state == "open"
    assert house.jobs["plans"]["cause"] == "answered"
    assert house.jobs["questions"]["cause"] == "question_asked"
    sent = [one for one in product.forge.requests if re.search(r"/reviews|/merge|/labels", one.path)]
    assert [one for one in sent if one.method != "GET"] == []


async def test_no_canary_comes_out_of_any_of_it(house: House) -> None:
    assert len(house.secrets) > 15
    assert found_in(house.places, house.secrets) == []

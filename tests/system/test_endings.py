"""Every way to fail: the job ends with its cause in words, and the thread is told once where it can be.

The tests share one product; each has a repository of its own and a script of its own.
"""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from bot.standin import sample
from bot.standin.forge.faults import Hang
from tests.system.effects import branches, jobs_of, our_comments, pulls
from tests.system.places import Place, away, call, name_of, new_place, say, script
from tests.system.rig import Rig, rig

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANCEL_SECONDS = 5.0
UNVERIFIED = {name: text for name, text in sample.FILES.items() if name != ".github/issuewright.yml"}
HANGING_MODEL = away("hang", turn=1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Rig]:
    # One test spends dollars; the budgets above a job's are no concern of the others.
    alone = {
        "ISSUEWRIGHT_BACKOFF_SECONDS": "0.1",
        "AGENT_TRIAGE": "false",
        "ISSUEWRIGHT_BUDGET_USER_DAY_USD": "0",
        "ISSUEWRIGHT_BUDGET_ORGANIZATION_DAY_USD": "0",
        "ISSUEWRIGHT_BUDGET_MINUTE_USD": "0",
    }
    async with rig(tmp_path_factory.mktemp("endings"), environment=alone) as product:
        await product.start()
        await product.install()
        yield product


@pytest_asyncio.fixture(loop_scope="module")
async def place(house: Rig, request: pytest.FixtureRequest) -> AsyncIterator[Place]:
    """A repository that only this test uses, with the sample's files unless a marker gives others."""
    yield await new_place(house, name_of(request.node))
    house.forge.faults.clear()


# ── the person and the place ─────────────────────────────────────────────────────────────────────
async def test_a_person_who_lost_the_permission_before_the_start_is_denied(place: Place) -> None:
    faults, forge = place.product.forge.faults, place.product.forge
    faults.add("GET", f"{place.repository}/collaborators", Hang(0.0))
    faults.add("GET", f"{place.repository}/collaborators", Hang())
    number = await place.asks()
    await place.until(lambda: faults.rules[1].left == 0)
    forge.set_permission(place.repository, sample.PERSON, "read")
    faults.clear()

    job = await place.ending(number)

    assert (job["status"], job["cause"]) == ("FAILED", "denied")
    assert "mona has read" in job["error"]
    place.told_once(number, "Not allowed", "write permission", "mona has read")
    assert place.product.model.requests == []


async def test_an_empty_repository_is_told_to_get_a_first_commit(house: Rig) -> None:
    place = await new_place(house, f"{sample.OWNER}/empty", {})
    number = await place.asks()
    job = await place.ending(number)
    assert (job["status"], job["cause"], job["issueStatus"]) == ("FAILED", "github_error", "FAILED")
    place.told_once(number, "no commit on its default branch", "push a first commit")


async def test_a_deleted_issue_ends_its_running_job(place: Place) -> None:
    number = await place.asks(HANGING_MODEL)
    await place.until(lambda: len(place.product.model.requests) == 2)
    await place.product.forge.delete_issue(place.repository, number, sample.PERSON)
    job = await place.ending(number, CANCEL_SECONDS)
    assert (job["status"], job["cause"]) == ("CANCELLED", "cancelled")
    assert "the issue was deleted" in job["error"]


async def test_an_issue_whose_deletion_was_not_told_ends_in_words(place: Place) -> None:
    number = await place.product.forge.open_issue(place.repository, sample.PERSON, sample.TITLE)
    thread = place.product.forge.world.repository(place.repository).threads[number]
    await place.product.forge.add_label(place.repository, number, sample.LABEL, sample.PERSON)
    thread.is_deleted = True
    job = await place.ending(number)
    assert (job["status"], job["cause"]) == ("FAILED", "github_error")
    assert "410" in job["error"]
    assert place.comments(number) == []


async def test_a_locked_thread_ends_in_words_that_only_the_job_holds(place: Place) -> None:
    forge = place.product.forge
    number = await forge.open_issue(place.repository, sample.PERSON, sample.TITLE, sample.BODY)
    await forge.lock_issue(place.repository, number, sample.PERSON)
    await forge.add_label(place.repository, number, sample.LABEL, sample.PERSON)
    job = await place.ending(number)
    assert (job["status"], job["cause"]) == ("FAILED", "github_error")
    assert "issue is locked" in job["error"]
    assert place.comments(number) == []


async def test_an_archived_repository_ends_in_words_that_only_the_job_holds(place: Place) -> None:
    place.product.forge.world.repository(place.repository).is_archived = True
    number = await place.asks()
    job = await place.ending(number)
    assert (job["status"], job["cause"]) == ("FAILED", "github_error")
    assert "archived" in job["error"]
    assert place.comments(number) == []
    assert place.product.model.requests == []


@pytest.mark.parametrize("contents", [None, "read"])
async def test_a_missing_contents_permission_is_told_and_the_change_is_kept(
    house: Rig, contents: str | None
) -> None:
    owner = f"pastry-{contents or 'blind'}"
    place = await new_place(house, f"{owner}/oven")
    permissions = {"metadata": "read", "issues": "write", "pull_requests": "write"}
    await house.forge.install(owner, permissions=permissions | ({"contents": contents} if contents else {}))
    number = await place.asks()
    job = await place.ending(number)
    assert (job["status"], job["cause"]) == ("FAILED", "github_error")
    done = "The change is kept with the job" if contents else "Nothing was changed"
    place.told_once(number, "permissions requested are not granted", done)
    kept = await house.rows(
        'SELECT "diffPatch" FROM agent_artifacts WHERE "jobId" = :job AND type = \'CODE_CHANGE\'',
        job=job["id"],
    )
    assert [patch["diffPatch"].count("+    share, rest") for patch in kept] == ([1] if contents else [])
    assert await branches(house, place.repository) == []


# ── the model ────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("status", [429, 500, 504, 529])
async def test_a_model_that_serves_nobody_just_now_makes_the_job_late_not_lost(
    place: Place, status: int
) -> None:
    number = await place.asks(away("status", status=status, retry_after=0))

    async def waits() -> bool:
        jobs = await jobs_of(place.product, number, place.repository)
        return bool(jobs and jobs[0]["error"])

    await place.product.until(waits)
    (job,) = await jobs_of(place.product, number, place.repository)
    assert f"answered {status}" in job["error"]
    assert job["attempts"] <= 1
    await place.until(lambda: "The model does not answer just now" in "".join(place.comments(number)))

    place.product.model.play(sample.BOOK)
    job = await place.ending(number)
    assert (job["status"], job["cause"], job["attempts"]) == ("COMPLETED", "pull_request", 1)
    (text,) = place.comments(number)
    assert "does not answer" not in text


@pytest.mark.parametrize(
    ("book", "words"),
    [
        (script([], repeat=True), "without using its tools"),
        (script([say("I would rather talk about it.")], repeat=True), "without using its tools"),
        (
            script([call("launch_rockets", target="moon")], repeat=True),
            "in a way that they do not understand",
        ),
        (script([call("read_file", lines="all")], repeat=True), "in a way that they do not understand"),
        (script([say("Hm.")], stop_reason="made_up"), "unknown reason"),
        (away("empty"), "without using its tools"),
        (away("nonsense"), "no JSON"),
        (away("truncate"), "did not arrive"),
        (away("status", status=401, type="authentication_error"), "check ANTHROPIC_API_KEY"),
    ],
    ids=[
        "nothing",
        "words",
        "tool",
        "arguments",
        "stop",
        "empty",
        "html",
        "cut",
        "key",
    ],
)
async def test_a_model_that_is_no_help_ends_the_job_in_words(place: Place, book: Any, words: str) -> None:
    number = await place.asks(book)
    job = await place.ending(number)
    assert (job["status"], job["cause"]) == ("FAILED", "model_error")
    assert words in job["error"]
    place.told_once(number, "The model could not finish this", words, "`/agent fix`")
    assert pulls(place.product, place.repository) == []


@pytest.mark.parametrize(
    ("book", "words"),
    [
        (script([say("No.")], stop_reason="refusal"), "declines to read the text of the request"),
        (
            script([call("give_up", reason="The till's source is not in this repository.")]),
            "The till's source",
        ),
    ],
    ids=["refusal", "give_up"],
)
async def test_a_model_that_declines_is_quoted(place: Place, book: Any, words: str) -> None:
    number = await place.asks(book)
    job = await place.ending(number)
    assert (job["status"], job["cause"]) == ("FAILED", "refused")
    assert words in job["error"]
    place.told_once(number, "No change was made", words)


async def test_an_analysis_without_a_change_is_the_answer(place: Place) -> None:
    words = "`split` already hands out the remainder; see `till/money.py`."
    number = await place.asks(
        script([call("post_analysis", text=words), call("finish", summary="All is well.")])
    )
    job = await place.ending(number)
    assert (job["status"], job["cause"], job["error"]) == ("COMPLETED", "no_change_needed", None)
    place.told_once(number, "Nothing needs to change", words, "All is well.")
    assert await branches(place.product, place.repository) == []


async def test_the_cost_limit_ends_the_job_with_what_it_has_cost(place: Place) -> None:
    dear = {"input_tokens": 1_000, "output_tokens": 1_000_000}
    book = script([say("I look around."), call("list_directory", path=".")], repeat=True, usage=dear)
    number = await place.asks(book)
    job = await place.ending(number)
    assert (job["status"], job["cause"]) == ("FAILED", "budget")
    assert len(place.product.model.requests) == 1
    place.told_once(number, "Stopped at the limit of this job", "The budget for this job", "I look around.")


# ── verification ─────────────────────────────────────────────────────────────────────────────────
def breaking() -> dict[str, Any]:
    """A change after which the sample's tests fail in another way."""
    worse = call("edit_file", path="till/money.py", old="return [share] * people", new="return [share]")
    done = [call("propose_change", title="Round down", body="It rounds."), call("finish", summary="Rounded.")]
    return script([worse], done)


async def test_a_change_that_fails_its_verification_is_shown_and_not_proposed(place: Place) -> None:
    number = await place.asks(breaking())
    job = await place.ending(number)
    assert (job["status"], job["cause"]) == ("FAILED", "verify_failed")
    text = place.told_once(number, "No pull request", "❌ failed, exit 1", "It rounds.")
    assert "+    return [share]\n" in text
    assert pulls(place.product, place.repository) == []
    assert await branches(place.product, place.repository) == []


async def test_without_a_verify_command_the_pull_request_says_that_nothing_ran(house: Rig) -> None:
    place = await new_place(house, f"{sample.OWNER}/unverified", UNVERIFIED)
    number = await place.asks()
    job = await place.ending(number)
    assert (job["status"], job["cause"]) == ("COMPLETED", "pull_request")
    (pull,) = pulls(house, place.repository)
    assert "Not verified" in pull.body
    assert "✅" not in pull.body
    place.told_once(number, "Not verified")


# ── cancelling ───────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("how", ["label", "close"])
async def test_taking_the_label_off_or_closing_ends_a_job_whose_model_hangs(place: Place, how: str) -> None:
    forge = place.product.forge
    number = await place.asks(HANGING_MODEL)
    await place.until(lambda: len(place.product.model.requests) == 2)
    if how == "label":
        await forge.remove_label(place.repository, number, sample.LABEL, sample.PERSON)
    else:
        await forge.close_issue(place.repository, number, sample.PERSON)

    job = await place.ending(number, CANCEL_SECONDS)

    assert (job["status"], job["cause"], job["issueStatus"]) == ("CANCELLED", "cancelled", "CANCELLED")
    place.told_once(number, "Cancelled", "label `agent` was removed" if how == "label" else "was closed")
    assert len(place.product.model.requests) == 2
    assert await branches(place.product, place.repository) == []


async def test_a_cancel_while_the_first_comment_is_on_its_way_leaves_one_comment(place: Place) -> None:
    forge = place.product.forge
    forge.faults.add("POST", f"{place.repository}/issues/.*/comments", Hang(is_after=True))
    number = await place.asks()
    await place.until(lambda: place.comments(number))
    await forge.close_issue(place.repository, number, sample.PERSON)
    job = await place.ending(number)
    assert (job["status"], job["cause"]) == ("CANCELLED", "cancelled")
    place.told_once(number, "Cancelled", "was closed")


async def test_a_job_that_is_cancelled_before_it_starts_makes_no_noise(house: Rig) -> None:
    places = [await new_place(house, f"{sample.OWNER}/busy-{number}") for number in range(4)]
    numbers = [await place.asks(HANGING_MODEL) for place in places[:3]]
    running = "SELECT count(*) AS jobs FROM agent_jobs WHERE status = 'RUNNING' HAVING count(*) >= 3"
    await house.until(lambda: house.rows(running))
    numbers.append(await places[3].asks(HANGING_MODEL))
    await house.forge.close_issue(places[3].repository, numbers[3], sample.PERSON)
    job = await places[3].ending(numbers[3], CANCEL_SECONDS)
    assert (job["status"], job["cause"], job["startedAt"]) == ("CANCELLED", "cancelled", None)
    assert places[3].comments(numbers[3]) == []
    for place, number in list(zip(places, numbers, strict=True))[:3]:
        await house.forge.close_issue(place.repository, number, sample.PERSON)
    await asyncio.gather(*(place.ending(number) for place, number in zip(places, numbers, strict=True)))


# ── switched off ─────────────────────────────────────────────────────────────────────────────────
async def test_a_service_that_is_switched_off_stores_and_starts_nothing(tmp_path: Path) -> None:
    async with rig(tmp_path, environment={"AGENT_ENABLED": "false"}) as product:
        await product.start()
        await product.install()
        number = await product.ask_by_label()
        await product.forge.settle()

        async def stored() -> bool:
            rows = await product.rows("SELECT state FROM deliveries WHERE action = 'labeled'")
            return [row["state"] for row in rows] in (["DISPATCHED"], ["IGNORED"])

        await product.until(stored)
        assert await jobs_of(product, number) == []
        assert product.model.requests == []
        assert our_comments(product, number) == []
